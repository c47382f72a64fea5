"""Run commands in a process whose deeds are noted: see `test_audit`.

Called as ``python audit_run.py OUT FOLDER``: what Python's audit events say of pickles,
sockets and other programs, from the first command on, goes to OUT as JSON.
"""

import json
import logging
import sys
from pathlib import Path

EVENTS = ("pickle.", "socket.", "os.system", "subprocess.Popen")
# event loops have a pair of their own, and locks name the machine
QUIET = ("socket.__new__", "socket.gethostname")


def main(out: str, folder: str) -> None:
    import torch  # noqa: F401 - what imports do is no deed of a command
    from typer.testing import CliRunner

    from napari_structsr.cli import app
    from napari_structsr.zoo.user_models import export_model, import_model

    logging.disable(logging.CRITICAL)
    here = Path(folder)
    noted: list[str] = []
    exits: dict[str, int] = {}

    def note(event: str, args: tuple) -> None:
        if event.startswith(EVENTS) and event not in QUIET:
            noted.append(f"{event} {str(args)[:200]}")

    sys.addaudithook(note)
    commands = [
        ["models"],
        ["info", here / "a.tif"],
        ["upscale", here / "a.tif", here / "a.ome.zarr", "--device", "cpu"],
        ["upscale", here / "a.ome.zarr", here / "b.ome.tif", "--model", "bicubic"],
        ["info", here / "a.ome.zarr"],
        ["info", here / "b.ome.tif"],
        ["inspect", here / "a.ome.zarr", "--out", here / "maps", "--maps", "residual"],
        ["upscale", here / "a.tif", here / "c.ome.zarr", "--model", here / "evil.pth"],
        ["upscale", here / "evil.zarr", here / "d.ome.zarr"],
    ]
    for words in commands:
        result = CliRunner().invoke(app, [str(word) for word in words])
        exits[" ".join(map(str, words))] = result.exit_code
    shipped = here / "mine-x2.json"
    import_model(shipped)
    export_model("mine", here / "mine.zip", factor=2)
    import_model(here / "mine.zip", replace=True)
    loaded = [
        name
        for name in ("distributed", "tornado", "aiohttp", "s3fs")
        if name in sys.modules
    ]
    found = {"noted": noted, "exits": exits, "loaded": loaded}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
