"""`structsr info`: what an image is, and how it was made if it was made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_structsr.cli.terminal import err, exit_on_error, out

if TYPE_CHECKING:
    from napari_structsr.core.axes import ImageSpec


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

    with exit_on_error():
        # an unfinished image has a record, and pixels that are not all there
        status, record = read_record(path)
        if as_json:
            # nothing but JSON, for other programs
            out.print_json(json.dumps(record.to_json() if record else None))
            return
        if status == "partial":
            err.print(f"{path} is unfinished; repeat its command to finish it")
        else:
            _show_image(open_source(path).spec)
        if record:
            command = record.command(str(Path(path).absolute()))
            out.print_json(json.dumps(record.to_json()))
            out.print(f"made by: {command}", soft_wrap=True, highlight=False)


def _show_image(spec: ImageSpec) -> None:
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
    _show_optics(spec)


def _show_optics(spec: ImageSpec) -> None:
    """Show how channels were taken, and how wide their blur is in pixels."""
    from napari_structsr.errors import SettingsError
    from napari_structsr.upscaling.channel_optics import find_pixel_size

    try:
        pixel_size = find_pixel_size(spec)
    except SettingsError:  # without one the width in pixels is unknown
        pixel_size = None
    for number, channel in enumerate(spec.channels):
        optics = channel.optics
        if optics is None:
            continue
        width = ""
        if pixel_size is not None:
            sigma = optics.psf_sigma(pixel_size)
            width = f": point-spread sigma {sigma:.2f} pixels"
        kind = "confocal" if optics.confocal else "wide field"
        out.print(
            f"{channel.name or f'channel {number}'}: NA {optics.aperture:g}, "
            f"{1000 * optics.wavelength:.0f} nm, {kind}{width}",
            highlight=False,
            markup=False,
        )
