"""The width of the blur, measured in the image that is upscaled.

Either the user points at a bead, an edge or a filament, or the whole image has to tell.
A small part of a plane is read for the first, samples of the stack for the second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.intensity import fit_intensity
from napari_structsr.core.optics import FoundWidth
from napari_structsr.engine.statistics import list_samples
from napari_structsr.errors import SettingsError
from napari_structsr.imaging.blur_width.marked import (
    REACH,
    Shape,
    Width,
    combine_widths,
    fit_width,
)
from napari_structsr.io.source import Source
from napari_structsr.io.units import compute_pixel_size

NUMBERS: dict[Shape, int] = {"bead": 2, "edge": 4, "filament": 4}
"""How many numbers say where one of each shape is: Y,X or Y,X,Y,X."""

_NINE_IN_TEN = 1.645  # standard deviations of a normal distribution
_LEAST_ERROR = 0.02  # relative; no real bead is a Gaussian


class Wish(Protocol):
    """The settings that say where a width is measured."""

    bead: tuple[float, ...] | None
    edge: tuple[float, ...] | None
    filament: tuple[float, ...] | None
    plane: tuple[int, ...] | None
    diameter: float | None
    width_from_image: bool


@dataclass(frozen=True)
class Marks:
    """What the user points at.

    Parameters
    ----------
    shape
        What it is.
    places
        Y,X of each bead, or Y,X,Y,X of a line across each edge or filament, in pixels.
    plane
        Index along t, c and z as far as present.
    diameter
        Of each in micrometres.
    """

    shape: Shape
    places: tuple[tuple[float, ...], ...]
    plane: tuple[int, ...] = ()
    diameter: float = 0.0


def find_marks(wish: Wish, spec: ImageSpec) -> Marks | None:
    """Return what the settings point at; None if at nothing.

    Raises
    ------
    SettingsError
        If the plane is not one of the image.
    """
    shapes: dict[Shape, tuple[float, ...] | None] = {
        "bead": wish.bead,
        "edge": wish.edge,
        "filament": wish.filament,
    }
    for shape, numbers in shapes.items():
        if numbers is not None:
            step = NUMBERS[shape]
            places = tuple(
                numbers[start : start + step] for start in range(0, len(numbers), step)
            )
            plane = _check_plane(wish.plane, spec)
            return Marks(shape, places, plane, wish.diameter or 0.0)
    return None


def measure_widths(source: Source, wish: Wish) -> tuple[FoundWidth, ...]:
    """Measure the width of the blur of each channel; nothing if nobody asked for it.

    What is measured on a mark holds for all channels.

    Raises
    ------
    SettingsError
        If nothing can be measured there.
    """
    spec = source.spec
    count = spec.axes["c"].size if "c" in spec.axes else 1
    if marks := find_marks(wish, spec):
        return (measure_marks(source, marks),) * count
    if wish.width_from_image:
        return tuple(measure_image(source, channel) for channel in range(count))
    return ()


def measure_marks(source: Source, marks: Marks) -> FoundWidth:
    """Measure the width of the blur on beads, edges or filaments.

    Raises
    ------
    SettingsError
        If there is none, or the pixel size is needed and unknown.
    """
    diameter = 0.0
    if marks.diameter:
        size = compute_pixel_size(source.spec.axes)
        if size is None:
            raise SettingsError(
                f"{source.spec.name} has no pixel size in a unit of length, so that a "
                f"diameter of {marks.diameter:g} µm says nothing; leave the diameter "
                "out, or give the pixel size to the image"
            )
        diameter = marks.diameter / size
    widths = [_measure_mark(source, marks, place, diameter) for place in marks.places]
    width = combine_widths(widths)
    error = math.hypot(width.error, _LEAST_ERROR * width.sigma)
    margin = _NINE_IN_TEN * error
    place = ", ".join(f"{number:.4g}" for number in marks.places[0])
    origin = f"measured on the {marks.shape} at {place}"
    if len(widths) > 1:  # the settings name them all
        origin = f"measured on {len(widths)} {marks.shape}s"
    return FoundWidth(
        width.sigma,
        max(width.sigma - margin, 0.0),
        width.sigma + margin,
        origin,
    )


def measure_image(source: Source, channel: int) -> FoundWidth:
    """Estimate the width of the blur of a channel from what the image shows."""
    # torch takes seconds, which marks need not wait for
    from napari_structsr.imaging.blur_width.from_image import estimate_width

    blocks = [
        block
        for place in list_samples(source, channel)
        for block in source.read(*place)
    ]
    return estimate_width(blocks, fit_intensity(blocks))


def _measure_mark(
    source: Source, marks: Marks, place: Sequence[float], diameter: float
) -> Width:
    points = np.array(place, dtype=float).reshape(-1, 2)
    middle = points.mean(axis=0)
    spans, corner = [], []
    for centre, size in zip(middle, source.spec.axes.plane, strict=True):
        start = int(np.clip(math.floor(centre) - REACH, 0, max(0, size - 1)))
        stop = int(np.clip(math.ceil(centre) + REACH + 1, start + 1, size))
        spans.append(slice(start, stop))
        corner.append(start)
    height, width = source.spec.axes.plane
    if (points < -0.5).any() or (points > np.array([height, width]) - 0.5).any():
        raise SettingsError(
            f"the {marks.shape} at {', '.join(f'{n:g}' for n in place)} lies outside "
            f"the image, which has {height} x {width} pixels along y and x; give Y,X "
            "in pixels, counted from 0"
        )
    pixels = source.read(marks.plane, *spans).astype(np.float64).mean(axis=0)
    if not np.isfinite(pixels).all():
        raise SettingsError(
            f"there are NaN or infinite pixels around the {marks.shape} at "
            f"{', '.join(f'{n:g}' for n in place)}; point at another one"
        )
    return fit_width(
        pixels,
        marks.shape,
        (points - corner).ravel().tolist(),
        diameter=diameter,
        label=f"the {marks.shape} at {', '.join(f'{n:.4g}' for n in place)}",
    )


def _check_plane(plane: tuple[int, ...] | None, spec: ImageSpec) -> tuple[int, ...]:
    loops = spec.axes.loops
    if plane is None:
        plane = (0,) * len(loops)
    sizes = tuple(axis.size for axis in loops)
    if len(plane) != len(loops) or any(
        not 0 <= index < size for index, size in zip(plane, sizes, strict=False)
    ):
        names = ", ".join(f"{axis.name} (0 to {axis.size - 1})" for axis in loops)
        raise SettingsError(
            f"plane {','.join(map(str, plane))} is none of {spec.name}; give one index "
            f"for each of {names or 'no axis: leave the plane out'}"
        )
    return plane
