"""A fuzz guided by coverage, where atheris installs: one reader a process.

Run it from the root of the repository::

    python -m benchmarks.faults_campaign.guided_fuzz "ome-tiff" --minutes 20

Bytes that atheris makes stand in the place of one file of the reader's family.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_LARGEST = 2**19  # bytes of a made file: whole weights and zips fit


@app.command()
def fuzz_reader(
    name: Annotated[str, typer.Argument(help="Name of a family of files.")],
    minutes: Annotated[float, typer.Option(help="How long.")] = 20.0,
    work: Annotated[Path | None, typer.Option(help="Where files are made.")] = None,
) -> None:
    """Fuzz one reader; a file that breaks it is kept, and ends the process."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import atheris

    folder = Path(tempfile.mkdtemp(dir=work))
    # what decides is here and in these two; torch and numpy are not instrumented
    with atheris.instrument_imports(include=["napari_structsr", "tifffile", "zarr"]):
        from benchmarks.faults_campaign.fuzz import READERS, limit_process
        from benchmarks.faults_campaign.odd_files import Family, find_fault

        if name not in READERS:
            raise typer.BadParameter(f"{name}: choose among {', '.join(READERS)}")
        family = READERS[name]
        # read once, since most modules are imported late
        if fault := find_fault(family.read, family.prepare(folder / "whole")):
            raise fault
    seeds = folder / "seeds"
    seeds.mkdir()
    patterns = [pattern for pattern, _ in dict(family.changes).items()]
    for number, pattern in enumerate(patterns):
        for path in (folder / "whole").glob(pattern):
            data = bytes([number]) + path.read_bytes()[:_LARGEST]
            (seeds / f"{number}-{path.name}").write_bytes(data)
    limit_process()
    # libFuzzer has a clock of its own
    signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def read(data: bytes) -> None:
        pattern = patterns[data[0] % len(patterns)] if data else patterns[0]
        changed = Family(
            family.name, family.make, family.read, ((pattern, lambda *_: data[1:]),)
        )
        path = changed.change(folder / "whole", folder / "trial", random.Random(0))
        if fault := find_fault(family.read, path):
            raise fault

    options = [
        *(str(seeds), f"-max_total_time={int(60 * minutes)}", "-timeout=300"),
        *(f"-max_len={_LARGEST + 1}", f"-artifact_prefix={folder}/", "-rss_limit_mb=0"),
    ]
    atheris.Setup([sys.argv[0], *options], read)
    atheris.Fuzz()


if __name__ == "__main__":
    app()
