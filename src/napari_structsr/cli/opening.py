"""Opening the image that a command names, and saying where there are others in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_structsr.cli.terminal import err
from napari_structsr.errors import SettingsError

if TYPE_CHECKING:
    from napari_structsr.io.source import Source

Series = Annotated[
    str | None,
    typer.Option(
        metavar="N|NAME",
        help="One of several images in a file; structsr info lists them.",
    ),
]


def open_image(path: str, series: str | None, **options: Any) -> Source:
    """Open an image, and warn if it is one of several and nobody chose it.

    Arguments and errors are those of `napari_structsr.io.open.open_source`; a plate of
    several fields is refused too.
    """
    from napari_structsr.io.open import list_names, open_source

    if series is None and is_plate(path) and len(fields := list_names(path)) > 1:
        raise SettingsError(
            f"{path} is a plate of {len(fields)} fields; take one with --series "
            f"{fields[0]}, or upscale them all with structsr upscale {path} OUT.zarr"
        )
    source = open_source(path, series=series, **options)
    names: tuple[str, ...] = getattr(source, "images", ())
    if series is None and len(names) > 1:
        called = "" if names[0] == "0" else f", {names[0]},"
        err.print(
            f"warning: {path} holds {len(names)} images; the first{called} is taken: "
            "choose another with --series, structsr info lists them",
            style="yellow",
            soft_wrap=True,
        )
    return source


def is_plate(path: str) -> bool:
    """Tell a plate from an image."""
    # zarr takes time to import, and no file is one
    if not Path(path).expanduser().is_dir():
        return False
    from napari_structsr.io.ome_zarr import plate

    return plate.is_plate(path)


def open_one_of(path: str, series: str | None, **options: Any) -> Source:
    """Open an image where `series` counts only for a file that holds several."""
    from napari_structsr.io.open import list_names

    several = series is not None and len(list_names(path)) > 1
    return open_image(path, series if several else None, **options)
