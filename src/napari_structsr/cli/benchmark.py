"""`structsr benchmark`: how near each method comes to the truth, and what it costs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from napari_structsr.cli.terminal import (
    exit_on_error,
    follow,
    make_settings,
    out,
    split_words,
)


def benchmark(
    folder: Annotated[Path, typer.Option("--out", help="Where tables and figures go.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="One folder of PNG and TIFF images a source. Without it, images of "
            "scikit-image and drawn ones are taken."
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="By comma: models, .safetensors files, richardson-lucy. Without it, "
            "all that ship."
        ),
    ] = None,
    tracks: Annotated[
        str | None,
        typer.Option(
            help="By comma: x2-mild, x2-noisy, x4-mild, x4-noisy. Without it, all."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Images of each source.")] = None,
    every: Annotated[int, typer.Option(help="Of a stack, each so many-th plane.")] = 12,
    agreement: Annotated[
        str, typer.Option(help="By comma: off, noise, exact; for learned methods.")
    ] = "off",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, float32, bfloat16 or float16.")
    ] = "auto",
    speed: Annotated[bool, typer.Option(help="Time the methods too.")] = True,
) -> None:
    """Compare methods with the truth, and write tables and figures."""
    with exit_on_error():
        # in the body: torch takes two seconds, and --help must not wait for it
        from napari_structsr.benchmark.settings import BenchmarkSettings

        settings = make_settings(
            BenchmarkSettings,
            "structsr benchmark",
            data=data,
            methods=split_words(methods),
            tracks=split_words(tracks),
            limit=limit,
            every=every,
            agreement=split_words(agreement),
            device=device,
            precision=precision,
            speed=speed,
        )
        from napari_structsr.benchmark.run import benchmark as run

        start = partial(run, folder, settings=settings)
        finished = follow(start, unit="images", again="nothing was written")
        out.print(f"wrote {finished.output}/quality.md", soft_wrap=True)
