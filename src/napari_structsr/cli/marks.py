"""Options that say where in an image the blur is measured."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from napari_structsr.cli.terminal import split_numbers

Bead = Annotated[
    str | None,
    typer.Option(help="Measure the blur on a bead at Y,X; more of them by comma."),
]
Edge = Annotated[
    str | None,
    typer.Option(help="Measure it on an edge; Y,X,Y,X is a line across it."),
]
Filament = Annotated[
    str | None,
    typer.Option(help="Measure it on a filament; Y,X,Y,X is a line across it."),
]
Plane = Annotated[
    str | None,
    typer.Option(help="Where these are: index along t,c,z as far as present."),
]
Diameter = Annotated[
    float | None, typer.Option(help="Of the bead or filament, in micrometres.")
]


def read_marks(
    bead: str | None, edge: str | None, filament: str | None, plane: str | None
) -> dict[str, Any]:
    """Return the settings that options make which say where the blur is measured."""
    index = split_numbers(plane, "--plane")
    return {
        "bead": split_numbers(bead, "--bead"),
        "edge": split_numbers(edge, "--edge"),
        "filament": split_numbers(filament, "--filament"),
        # strict settings take no 1.5 for an index, and no 1.0 either
        "plane": None
        if index is None
        else tuple(int(n) if n.is_integer() else n for n in index),
    }
