"""Plant faults into results of a model, and write which maps find them.

Run it from the root of the repository::

    python -m benchmarks.faults --data DIR --out OUT
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.faults.run import FaultSettings, find_faults
from napari_structsr.cli.terminal import (
    exit_on_error,
    follow,
    make_settings,
    out,
    split_words,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def plant_and_find(
    folder: Annotated[Path, typer.Option("--out", help="Where tables and figures go.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="One folder of PNG and TIFF images a source. Without it, images of "
            "scikit-image and drawn ones are taken."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Model whose results get the faults.")
    ] = "sharp",
    track: Annotated[
        str, typer.Option(help="x2-mild, x2-noisy, x4-mild or x4-noisy.")
    ] = "x2-mild",
    kinds: Annotated[
        str | None,
        typer.Option(help="Kinds of faults, by comma. Without it, all."),
    ] = None,
    planes: Annotated[int, typer.Option(help="Planes of each source.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Plant faults into results, and write which maps find them."""
    with exit_on_error():
        settings = make_settings(
            FaultSettings,
            "python -m benchmarks.faults",
            data=data,
            model=model,
            track=track,
            kinds=split_words(kinds),
            planes=planes,
            device=device,
        )
        start = partial(find_faults, folder, settings=settings)
        finished = follow(start, unit="planes", again="nothing was written")
        out.print(f"wrote {finished.output}/faults.md", soft_wrap=True)


if __name__ == "__main__":
    app()
