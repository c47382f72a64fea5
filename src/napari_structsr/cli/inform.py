"""`structsr info`, `models` and `demo`: what there is, and what it looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from napari_structsr.cli.terminal import err, errors_in_words, out

__all__ = ["demo", "info", "models"]


def info(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="TIFF, pattern, or zarr.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="The record as JSON.")
    ] = False,
) -> None:
    """Show what an image is, and how it was made if it was made here."""
    from napari_structsr.io.open import open_source
    from napari_structsr.io.records import read_record

    with errors_in_words():
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


def models() -> None:
    """List the models that ship."""
    from napari_structsr.zoo.catalogue import list_models

    table = Table("model", "factor", "description", "licence", "weights")
    for card in list_models():
        digest = card.sha256[:12] if card.sha256 else "-"
        table.add_row(
            card.name, str(card.factor), card.description, card.licence, digest
        )
    out.print(table)


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the results go.")] = Path(
        "demo"
    ),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
) -> None:
    """Upscale a stack made from images of scikit-image, and compare with the truth."""
    from napari_structsr.benchmark.demo import run_demo

    with errors_in_words():
        for line in run_demo(folder, device=device):
            out.print(line)


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
