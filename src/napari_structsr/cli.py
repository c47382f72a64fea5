"""The command `structsr`: the same runs as in napari, for scripts and clusters.

It owns words on the terminal and exit codes: 0 done, 1 refused or failed, 130
cancelled. What is refused, and why, is decided below.
"""

from __future__ import annotations

import ctypes
import json
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from napari_structsr.errors import SettingsError, SinkError, StructsrError

if TYPE_CHECKING:
    from napari_structsr.engine.events import Cancel, Event, Finished
    from napari_structsr.engine.settings import UpscaleSettings
    from napari_structsr.io.sink import Sink

__all__ = ["app"]

app = typer.Typer(
    help="Structure-informed super-resolution for microscopy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

_M_ARENA_MAX = -8  # of malloc.h


@app.command()
def upscale(
    image: Annotated[str, typer.Argument(metavar="IN", help="TIFF, pattern, or zarr.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="name.ome.zarr or name.ome.tif")
    ],
    factor: Annotated[int, typer.Option(help="2 or 4.")] = 2,
    model: Annotated[
        str, typer.Option(help="Name, or .safetensors file.")
    ] = "faithful",
    agreement: Annotated[
        str, typer.Option(help="With the measurement: off, noise or exact.")
    ] = "off",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, float32, bfloat16 or float16.")
    ] = "auto",
    tile: Annotated[
        int | None, typer.Option(help="Input pixels computed at once, along a side.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(help="Names of the dimensions, such as tczyx.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="Channels to keep: indices or names, by comma.")
    ] = None,
    level: Annotated[int, typer.Option(help="Pyramid level of an OME-Zarr.")] = 0,
    color: Annotated[
        str, typer.Option(help="RGB images: channels or luminance.")
    ] = "channels",
    dtype: Annotated[str, typer.Option(help="same as the input, or float32.")] = "same",
    ome_version: Annotated[str, typer.Option(help="OME-Zarr 0.5 or 0.4.")] = "0.5",
    overwrite: Annotated[bool, typer.Option(help="Replace what is at OUT.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done.")] = False,
) -> None:
    """Upscale a stack of any size; the same command continues an interrupted run."""
    with _errors_in_words():
        settings = _settings(
            agreement=agreement,
            device=device,
            precision=precision,
            tile=tile,
            color=color,
            dtype=dtype,
        )
        sink = _sink(output, overwrite=overwrite, ome_version=ome_version)

        from napari_structsr.engine.catalogue import find_card, load_model

        find_card(model, factor=factor)  # before anything slow
        from napari_structsr.engine import upscale as engine
        from napari_structsr.engine.events import Cancel
        from napari_structsr.io.source import open_source

        source = open_source(
            image, axes=axes, level=level, channels=_channels(channels)
        )
        network = load_model(model, factor=factor)
        if dry_run:
            out.print(str(engine.plan(source, network, sink, settings=settings)))
            return
        cancel = Cancel()
        events = engine.upscale(source, network, sink, settings=settings, cancel=cancel)
        with _cancelled_by_ctrl_c(cancel):
            finished = _follow(events)
        out.print(f"wrote {finished.output}", soft_wrap=True)


@app.command()
def info(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="TIFF, pattern, or zarr.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="The record as JSON.")
    ] = False,
) -> None:
    """Show what an image is, and how it was made if it was made here."""
    from napari_structsr.io.records import read_record
    from napari_structsr.io.source import open_source

    with _errors_in_words():
        status, record = read_record(path)
        if as_json:
            out.print_json(json.dumps(record.to_json() if record else None))
            return
        if status != "partial":
            _show_image(open_source(path).spec)
        if status == "partial":
            err.print(f"{path} is unfinished; repeat its command to finish it")
        if record:
            command = record.command(str(Path(path).absolute()))
            out.print_json(json.dumps(record.to_json()))
            out.print(f"made by: {command}", soft_wrap=True, highlight=False)


@app.command()
def models() -> None:
    """List the models that ship."""
    from napari_structsr.engine.catalogue import list_models

    table = Table("model", "factor", "description", "licence", "weights")
    for card in list_models():
        digest = card.sha256[:12] if card.sha256 else "-"
        table.add_row(
            card.name, str(card.factor), card.description, card.licence, digest
        )
    out.print(table)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the results go.")] = Path(
        "demo"
    ),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
) -> None:
    """Upscale a stack made from images of scikit-image, and compare with the truth."""
    from napari_structsr.benchmark.demo import run_demo

    with _errors_in_words():
        for line in run_demo(folder, device=device):
            out.print(line)


def main() -> None:
    """Run the command line."""
    _steady_memory()
    app()


def _steady_memory() -> None:
    """Keep glibc from hoarding what each thread has freed: peaks would creep up.

    By default it has up to eight arenas a core.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _settings(**values: Any) -> UpscaleSettings:
    """Check settings given as words."""
    from pydantic import ValidationError

    from napari_structsr.engine.settings import UpscaleSettings

    try:
        return UpscaleSettings(**values)
    except ValidationError as error:
        faults = "; ".join(
            f"--{fault['loc'][0]} {fault['input']}: {fault['msg']}".replace(
                "Input s", "s"
            )
            for fault in error.errors()
        )
        raise SettingsError(f"{faults}; see structsr upscale --help") from error


def _sink(path: Path, *, overwrite: bool, ome_version: str) -> Sink:
    """Choose the format by the ending of the name."""
    from napari_structsr.io.tiff_sink import TiffSink
    from napari_structsr.io.zarr_sink import OmeZarrSink

    if path.suffix.lower() == ".zarr":
        if ome_version not in ("0.4", "0.5"):
            raise SettingsError(
                f"OME-Zarr {ome_version} is unknown; choose --ome-version 0.5 or 0.4"
            )
        version: Any = ome_version
        return OmeZarrSink(path, overwrite=overwrite, version=version)
    if path.suffix.lower() in (".tif", ".tiff"):
        return TiffSink(path, overwrite=overwrite)
    raise SinkError(
        f"the ending of {path.name} names no format that is written; "
        "use name.ome.zarr or name.ome.tif"
    )


def _channels(text: str | None) -> list[int | str] | None:
    """Split a list of channels; digits are indices."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    return [int(word) if word.isdigit() else word for word in words]


def _follow(events: Iterator[Event]) -> Finished:
    """Show the progress of a run; return its end."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from napari_structsr.engine.events import (
        Cancelled,
        Failed,
        Finished,
        Progressed,
        Started,
        Warned,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    )
    quiet = not err.is_terminal
    with Progress(*columns, console=err, transient=True, disable=quiet) as progress:
        bar = progress.add_task("starting", total=None)
        for event in events:
            match event:
                case Started(plan=plan):
                    err.print(str(plan), highlight=False)
                case Progressed(done, total, doing):
                    progress.update(bar, completed=done, total=total, description=doing)
                case Warned(message):
                    err.print(f"warning: {message}", style="yellow", highlight=False)
                case Failed(error):
                    raise error
                case Cancelled(done):
                    progress.stop()
                    err.print(
                        f"cancelled after {done} tiles; "
                        "the same command goes on from there"
                    )
                    raise typer.Exit(130)
                case Finished():
                    return event
    raise AssertionError("a run ends with Finished, Cancelled or Failed")


def _show_image(spec: Any) -> None:
    """Print axes, pixel sizes and channels."""
    table = Table("axis", "pixels", "pixel size", "first centre", title=spec.name)
    for axis in spec.axes.items:
        unit = f" {axis.unit}" if axis.unit else ""
        table.add_row(
            axis.name,
            str(axis.size),
            f"{axis.scale:g}{unit}",
            f"{axis.translate:g}{unit}",
        )
    out.print(table)
    names = ", ".join(channel.name for channel in spec.channels if channel.name)
    out.print(
        f"{spec.dtype}, {spec.nbytes / 1e6:.4g} MB" + (f"; {names}" if names else "")
    )


@contextmanager
def _errors_in_words() -> Iterator[None]:
    """Print an error as one sentence and exit with 1."""
    try:
        yield
    except StructsrError as error:
        _fail(str(error))


def _fail(sentence: str) -> NoReturn:
    """Print a sentence and exit."""
    line = f"error: {sentence}"
    err.print(line, style="red", highlight=False, soft_wrap=True, markup=False)
    raise typer.Exit(1)


@contextmanager
def _cancelled_by_ctrl_c(cancel: Cancel) -> Iterator[None]:
    """Let the first Ctrl-C stop after the tiles in flight, the second at once."""
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        """Ask the run to stop."""
        cancel()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    main()
