"""`structsr demo`: a real stack and a drawn cell upscaled, beside the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_structsr.cli.terminal import exit_on_error, out


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the results go.")] = Path(
        "demo"
    ),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
) -> None:
    """Upscale a tissue stack and a drawn cell, and compare both with the truth."""
    # in the body: torch takes two seconds, and --help must not wait for it
    from napari_structsr.benchmark.demo import run_demo
    from napari_structsr.benchmark.optics_demo import run_optics_demo

    with exit_on_error():
        for line in run_demo(folder, device=device):
            out.print(line)
        for line in run_optics_demo(folder, device=device):
            out.print(line)
