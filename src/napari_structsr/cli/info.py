"""`structsr info`: what an image is, and how it was made if it was made here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_structsr.cli.marks import (
    Bead,
    Diameter,
    Edge,
    Filament,
    Plane,
    read_marks,
)
from napari_structsr.cli.opening import Series, open_image
from napari_structsr.cli.terminal import (
    err,
    exit_on_error,
    make_settings,
    out,
)

if TYPE_CHECKING:
    from napari_structsr.core.axes import Axes, ImageSpec
    from napari_structsr.core.record import Record
    from napari_structsr.io.source import Source


def info(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="TIFF, pattern, or zarr.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="The record as JSON.")
    ] = False,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Noise, and how wide the blur may be."),
    ] = False,
    series: Series = None,
    axes: Annotated[
        str | None, typer.Option(help="Names of the dimensions, such as tczyx.")
    ] = None,
    bead: Bead = None,
    edge: Edge = None,
    filament: Filament = None,
    plane: Plane = None,
    diameter: Diameter = None,
) -> None:
    """Show what an image is, and how it was made if it was made here."""
    from napari_structsr.io.open import list_names
    from napari_structsr.io.records import read_record
    from napari_structsr.io.remote.place import find_place

    with exit_on_error():
        # an unfinished image has a record, and pixels that are not all there
        status, record = read_record(path)
        if as_json:
            # nothing but JSON, for other programs
            _print_record(record)
            return
        if status == "partial":
            shown = find_place(path)
            err.print(f"{shown} is unfinished; repeat its command to finish it")
        words = read_marks(bead, edge, filament, plane)
        one = series is not None or axes is not None or measure or any(words.values())
        if status != "partial" and not one and len(list_names(path)) > 1:
            _list_images(path)
        elif status != "partial":
            source = open_image(path, series, axes=axes)
            _show_image(source.spec)
            _show_marked(source, words | {"diameter": diameter})
            if measure:
                _show_measured(source)
            elif not record and not any(c.optics for c in source.spec.channels):
                out.print(
                    "optics unknown; --measure says what the image shows of them",
                    highlight=False,
                )
        if record:
            command = record.command(str(find_place(path)))
            _print_record(record)
            out.print(f"made by: {command}", soft_wrap=True)


def _list_images(path: str) -> None:
    """Show all images of a file that holds several."""
    from napari_structsr.io.open import list_images

    table = Table("--series", "name", "axes", "pixels", "type", "pixel size")
    found = list_images(path)
    for entry in found:
        row = [str(entry.index), entry.name if entry.name != str(entry.index) else ""]
        if entry.axes is None or entry.dtype is None:
            row += ["", "", "", ""]
        else:
            sizes = " x ".join(map(str, entry.axes.shape))
            row += [entry.axes.names, sizes, str(entry.dtype)]
            row.append(_describe_pixel(entry.axes))
        table.add_row(*row)
    out.print(table)
    for entry in found:
        if entry.fault:
            err.print(f"{entry.index}: {entry.fault}", soft_wrap=True)
    out.print(f"{len(found)} images; choose one with --series", highlight=False)


def _describe_pixel(axes: Axes) -> str:
    """Return the distances between pixels along z, y and x in words."""
    steps = [axes[name] for name in "zyx" if name in axes]
    known = [f"{axis.scale:g} {axis.unit}" for axis in steps if axis.unit]
    return " x ".join(known)


def _print_record(record: Record | None) -> None:
    # in ASCII: JSON has its own escapes for what a terminal would act on
    text = json.dumps(record.to_json() if record else None)
    out.print_json(text, ensure_ascii=True)


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
        )


def _show_marked(source: Source, words: dict[str, Any]) -> None:
    """Show the width of the blur on what is pointed at."""
    if not any(words.values()):
        return
    from napari_structsr.io.units import compute_pixel_size
    from napari_structsr.upscaling.measured_width import find_marks, measure_marks
    from napari_structsr.upscaling.settings import UpscaleSettings

    wish = make_settings(UpscaleSettings, "structsr info", **words)
    marks = find_marks(wish, source.spec)
    if marks is not None:
        found = measure_marks(source, marks)
        size = compute_pixel_size(source.spec.axes)
        out.print(f"blur {found.describe(size)}")


def _show_measured(source: Source) -> None:
    """Show noise, and how wide the blur may be, of each channel."""
    from napari_structsr.engine.statistics import measure_intensity
    from napari_structsr.io.units import compute_pixel_size
    from napari_structsr.upscaling.measured_noise import measure_noise
    from napari_structsr.upscaling.measured_width import measure_image

    size = compute_pixel_size(source.spec.axes)
    for number, intensity in enumerate(measure_intensity(source)):
        channels = source.spec.channels
        label = channels[number].name if number < len(channels) else ""
        noise = measure_noise(intensity)
        found = measure_image(source, number)
        out.print(
            f"{label or f'channel {number}'}: noise {noise.describe()}; "
            f"blur {found.describe(size)}",
        )
