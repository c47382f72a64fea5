"""`structsr benchmark`: how near each method comes to the truth, and what it costs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from napari_structsr.cli.terminal import (
    Progress,
    ProgressKind,
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
    paired: Annotated[
        Path | None,
        typer.Option(
            help="A folder of really measured pairs, NAME_x2__lr.tif and "
            "NAME_x2__hr.tif, instead of data and tracks."
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="By comma: models, .safetensors files, richardson-lucy, wiener; what "
            "a conditional model is told stands behind an @, as conditional@told (the "
            "truth), @wide, @narrow, @loud, @quiet, or @0.8 (pixels). Without it, all "
            "that ship."
        ),
    ] = None,
    tracks: Annotated[
        str | None,
        typer.Option(
            help="By comma: x2-mild, x2-noisy, x4-mild, x4-noisy, which are taken "
            "without it; x2-gaussian for all widths and photons, x2-gaussian-1.0 for "
            "one width; x1, x2 or x4 with gaussian, airy, elliptic or astigmatic."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Images of each source.")] = None,
    every: Annotated[int, typer.Option(help="Of a stack, each so many-th plane.")] = 12,
    crop: Annotated[
        int | None,
        typer.Option(help="Measured pixels of the busiest part, alone measured."),
    ] = None,
    measures: Annotated[
        str | None, typer.Option(help="By comma, such as psnr,ssim. Without it, all.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Take scores that are in OUT already.")
    ] = False,
    agreement: Annotated[
        str, typer.Option(help="By comma: off, noise, exact; for learned methods.")
    ] = "off",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, float32, bfloat16 or float16.")
    ] = "auto",
    speed: Annotated[bool, typer.Option(help="Time the methods too.")] = True,
    progress: Progress = ProgressKind.BAR,
) -> None:
    """Compare methods with the truth, and write tables and figures."""
    with exit_on_error(progress):
        # in the body: torch takes two seconds, and --help must not wait for it
        from napari_structsr.benchmark.settings import BenchmarkSettings

        settings = make_settings(
            BenchmarkSettings,
            "structsr benchmark",
            data=data,
            paired=paired,
            methods=split_words(methods),
            tracks=split_words(tracks),
            limit=limit,
            every=every,
            crop=crop,
            measures=split_words(measures),
            resume=resume,
            agreement=split_words(agreement),
            device=device,
            precision=precision,
            speed=speed,
        )
        from napari_structsr.benchmark.run import benchmark as run

        start = partial(run, folder, settings=settings)
        page = "quality.md" if paired is None else "paired.md"
        finished = follow(
            start, progress=progress, unit="images", again="nothing was written"
        )
        out.print(f"wrote {finished.output}/{page}", soft_wrap=True)
