"""How a result, its reference and its source lie to each other.

It decides whether world coordinates or the field of view place the reference, and says
why images do not belong together. Pixels are read by the views it returns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from napari_structsr.core.types import Array
from napari_structsr.errors import AxesError
from napari_structsr.io.grid_matching import (
    SAME_STEP,
    compare_planes,
    describe_extent,
    find_covered,
    match_fields,
    match_world,
)
from napari_structsr.io.remote.address import is_stored
from napari_structsr.io.resampled_view import AxisMapping, ResampledView
from napari_structsr.io.source import Source
from napari_structsr.io.views import CroppedView, LuminanceView

Match = Literal["auto", "world", "pixels"]

_SMALLEST = 16  # pixels along y and x that must overlap
_SAME_PLACE = 1.0  # pixels that origins may differ where fields are otherwise equal
_UNLIKE = 32  # times as large or small a pixel of the reference may be
_FACTORS = range(1, 9)


@dataclass(frozen=True)
class MatchedImages:
    """Images on one grid."""

    # what is inspected, as far as a reference covers it, and the truth on its grid
    result: Source
    reference: Source | None
    # the measured image of the same field, whose pixels are `factor` of the others
    source: Source | None
    factor: int
    notes: tuple[str, ...] = ()  # what was decided, for the user

    def present(self) -> list[Source]:
        """Return the images that are there."""
        images = self.result, self.reference, self.source
        return [image for image in images if image is not None]

    def crop(self, rows: slice, columns: slice) -> MatchedImages:
        """Cut all images to pixels of the result, multiples of `factor`."""
        coarse = (
            slice(part.start // self.factor, part.stop // self.factor)
            for part in (rows, columns)
        )
        return replace(
            self,
            result=CroppedView(self.result, rows, columns),
            reference=self.reference and CroppedView(self.reference, rows, columns),
            source=self.source and CroppedView(self.source, *coarse),
        )


def match_images(
    result: Source,
    reference: Source | None,
    source: Source | None,
    *,
    match: Match = "auto",
) -> MatchedImages:
    """Bring images onto one grid, or say why they do not belong together.

    No pixel is read.

    Parameters
    ----------
    result
        What is inspected.
    reference
        The truth, of any pixel size and place.
    source
        What the result was made from.
    match
        "auto" goes by world coordinates, and takes images of equal pixels and
        nearly equal place, or without pixel size, as one field of view; "world"
        trusts the coordinates alone, "pixels" only the number of pixels.
    """
    notes: list[str] = []
    images = [image for image in (result, reference, source) if image]
    grey = partial(
        _convert_to_grey,
        notes=notes,
        colour=any(image.spec.axes.samples >= 3 for image in images),
    )
    result = grey(result, "result")
    reference = reference and grey(reference, "reference")
    source = source and grey(source, "source")
    factor = 1 if source is None else _find_factor(result, source)
    if source is not None:
        _check_planes(result, source, "source")
        # the grids agree; the view gives the source the axes of the result
        source = ResampledView(
            source, result.spec.axes.downscale(factor), AxisMapping(), AxisMapping()
        )
    if reference is not None:
        _check_planes(result, reference, "reference")
        lines = _place(result, reference, match, notes)
        # a pixel counts where the reference has its centre; a part is cut along
        # whole source pixels, so that the source can be cut with it
        rows, columns = (
            slice(
                *find_covered(line, mine, theirs, outside=0.5 + 1e-6, multiple=factor)
            )
            for line, mine, theirs in zip(
                lines, result.spec.axes.plane, reference.spec.axes.plane, strict=True
            )
        )
        _check_overlap(result, reference, rows, columns, factor)
        axes = result.spec.axes
        reference = ResampledView(reference, axes, *lines)
        if (rows.stop - rows.start, columns.stop - columns.start) != axes.plane:
            notes.append(
                f"the reference covers rows {rows.start} to {rows.stop} and columns "
                f"{columns.start} to {columns.stop} of the result; only these are "
                "compared"
            )
            matched = MatchedImages(result, reference, source, factor, tuple(notes))
            return matched.crop(rows, columns)
    return MatchedImages(result, reference, source, factor, tuple(notes))


def read_middle(
    result: Source, other: Source, step: int, *, plane: tuple[int, ...], side: int
) -> tuple[Array, Array]:
    """Read the middle of a plane of the result and of another image of the field.

    A pixel of the other is `step` pixels of the result wide; at most `side` pixels of
    the result are read along y and x.
    """
    coarse = find_middle(other, side // step)
    fine = (slice(part.start * step, part.stop * step) for part in coarse)
    return result.read(plane, *fine), other.read(plane, *coarse)


def find_middle(image: Source, side: int) -> tuple[slice, slice]:
    """Return the middle of a plane, at most `side` pixels along y and x."""
    rows, columns = (
        slice((size - min(size, side)) // 2, (size + min(size, side)) // 2)
        for size in image.spec.axes.plane
    )
    return rows, columns


def _convert_to_grey(
    image: Source, name: str, *, notes: list[str], colour: bool
) -> Source:
    """Return the luminance of a colour image, where one of the images is one."""
    axes = image.spec.axes
    # OME-Zarr stores colour along c; taken for colour only where the other image is
    by_channel = colour and "c" in axes and axes["c"].size in (3, 4)
    if axes.samples < 3 and not by_channel:
        return image
    notes.append(f"the {name} is in colour: its luminance is compared")
    return LuminanceView(image)


def _check_planes(result: Source, other: Source, name: str) -> None:
    mine, theirs = result.spec.axes, other.spec.axes
    if difference := compare_planes(mine, theirs):
        what, own, others = difference
        remedy = "--channels" if what == "channels" else "slices of an array or layer"
        raise AxesError(
            f"the result has {own} {what}, the {name} {others} (axes "
            f"{mine.names} of shape {mine.shape} against {theirs.names} of shape "
            f"{theirs.shape}); give images of the same planes, by {remedy}"
        )


def _find_factor(result: Source, source: Source) -> int:
    """Return how many result pixels lie along the side of a source pixel."""
    mine, theirs = result.spec.axes.plane, source.spec.axes.plane
    # objects of a kind share their origin
    if mine == theirs and is_stored(result.origin) and _is_same(result, source):
        raise AxesError(
            f"result and source are the same image, {result.origin}; give the image "
            "that the result was made from"
        )
    for factor in _FACTORS:
        if mine == (theirs[0] * factor, theirs[1] * factor):
            return factor
    raise AxesError(
        f"planes of the result have {mine[0]} x {mine[1]} pixels, those of the source "
        f"{theirs[0]} x {theirs[1]}, which is no whole factor between 1 and 8; "
        "give the image that the result was made from"
    )


def _is_same(one: Source, other: Source) -> bool:
    return one.origin == other.origin and dict(one.options) == dict(other.options)


def _place(
    result: Source, reference: Source, match: Match, notes: list[str]
) -> tuple[AxisMapping, AxisMapping]:
    """Return where rows and columns of the result lie in the reference."""
    mine, theirs = result.spec.axes, reference.spec.axes
    field = match_fields(mine, theirs)
    alike = math.isclose(field[0].step, field[1].step, rel_tol=SAME_STEP)
    if match == "pixels":
        if not alike:
            raise AxesError(
                f"planes of {mine.plane} and {theirs.plane} pixels are no equal "
                "fields of view; match them by world coordinates"
            )
        return field
    world = match_world(mine, theirs)
    same_steps = world is not None and all(
        math.isclose(line.step, wanted.step, rel_tol=SAME_STEP)
        for line, wanted in zip(world, field, strict=True)
    )
    if match == "auto" and alike and world and same_steps:
        off = [one.start - other.start for one, other in zip(world, field, strict=True)]
        # an upscaled image begins a quarter of a pixel earlier than its source, and
        # origins are often not written down: below a pixel the field of view decides
        if all(
            abs(shift) < _SAME_PLACE * max(1.0, line.step)
            for shift, line in zip(off, field, strict=True)
        ):
            if max(map(abs, off)) > 1e-3 * field[0].step:
                notes.append(
                    f"by its coordinates the reference lies {off[0]:+.2f}, "
                    f"{off[1]:+.2f} of its pixels off (y, x); the fields of view are "
                    'taken as equal (match "world" takes the coordinates)'
                )
            return field
    # a pixel size of 1 that nobody set is no coordinate
    unknown = mine["y"].unit is None or theirs["y"].unit is None
    if match == "auto" and unknown and alike and not same_steps:
        notes.append(
            "the pixel size of an image is not known; both are taken to show the same "
            'field of view (match "world" takes the coordinates)'
        )
        return field
    if world is None:
        units = [axes["y"].unit or "pixels" for axes in (mine, theirs)]
        raise AxesError(
            f"the result is measured in {units[0]}, the reference in {units[1]}, and "
            f"their planes of {mine.plane} and {theirs.plane} pixels are no equal "
            "fields of view; give both their pixel size in units of length"
        )
    for line, name in zip(world, "yx", strict=True):
        if line.step <= 0:
            raise AxesError(
                "the reference is mirrored against the result (a negative pixel size); "
                "flip it first"
            )
        # a wrong unit, nanometre for micrometre, is a factor of 1000
        if not 1 / _UNLIKE <= line.step <= _UNLIKE:
            pixels = [
                f"{axis.scale:.4g} {axis.unit or 'pixels'}"
                for axis in (theirs[name], mine[name])
            ]
            raise AxesError(
                f"a pixel of the reference is {pixels[0]} large along {name}, one of "
                f"the result {pixels[1]}; correct the pixel size or its unit"
            )
    return world


def _check_overlap(
    result: Source, reference: Source, rows: slice, columns: slice, factor: int
) -> None:
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if min(height, width) >= max(_SMALLEST, factor):
        return
    shared = f"overlap by {height} x {width} pixels, but {_SMALLEST} are needed"
    if min(height, width) <= 0:
        shared = "do not overlap"
    places = [describe_extent(image.spec.axes) for image in (result, reference)]
    raise AxesError(
        f"result and reference {shared}: the result covers {places[0]}, the reference "
        f"{places[1]}; check pixel sizes and places, or match them by pixels"
    )
