"""`structsr train`: from a recipe and a folder of images to a model."""

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
)


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a .toml file.")],
    data: Annotated[
        Path, typer.Option(help="Folder with a folder of images for each source.")
    ],
    output: Annotated[Path, typer.Option("--out", help="Folder of the training.")],
    minutes: Annotated[
        float | None, typer.Option(help="Length; the recipe's steps without it.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in --out.")
    ] = False,
    start: Annotated[
        str | None, typer.Option(help="Model to start from: name or .safetensors.")
    ] = None,
    megapixels: Annotated[
        float | None, typer.Option(help="Measured pixels to see, in millions.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Patches of a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every choice.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16.")] = "auto",
    progress: Progress = ProgressKind.BAR,
) -> None:
    """Train a generator; stop it by Ctrl-C, go on with --resume."""
    with exit_on_error(progress):
        # Late: torch takes seconds to import, and `--help` needs none of it.
        from napari_structsr.training.recipe import read_recipe
        from napari_structsr.training.settings import TrainingSettings
        from napari_structsr.training.train import train as run

        chosen = read_recipe(
            recipe, start=start, megapixels=megapixels, batch=batch, seed=seed
        )
        settings = make_settings(
            TrainingSettings,
            "structsr train",
            device=device,
            precision=precision,
            minutes=minutes,
            resume=resume,
        )
        finished = follow(
            partial(run, chosen, data, output, settings=settings),
            progress=progress,
            unit="steps",
            again="--resume goes on from there",
        )
        out.print(f"wrote {finished.output}", soft_wrap=True)
