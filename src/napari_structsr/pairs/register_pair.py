"""Pairs from a user's own images: what was measured, and what was truly there.

A region of a coarse and of a fine image becomes a pair in one unit on matched grids::

    planes, pixel sizes, overlap      pair_geometry
    NaN, saturation, flat, swapped    pair_checks
    place, blur, gain, offset         imaging.psf_fit
    read the truth once more, where it was found

The truth is resampled once, from the source, so that nothing is blurred twice. Where
there is no coarse image, `simulated_pairs` makes one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_structsr.core.axes import Axes, Axis
from napari_structsr.core.intensity import Intensity
from napari_structsr.errors import TrainingError
from napari_structsr.imaging.psf_fit import fit_forward_model, upsample
from napari_structsr.imaging.registration import IDENTITY, MAX_SIDE, Registration
from napari_structsr.io.source import Source
from napari_structsr.io.views import AxisMapping, LuminanceView, ResampledView
from napari_structsr.pairs.checks import (
    check_common,
    check_detail,
    check_pixels,
    content_key,
    refuse_registration,
)
from napari_structsr.pairs.common_part import Region, covered, still_covered
from napari_structsr.pairs.geometry import Grid, match_grids, match_plane
from napari_structsr.pairs.image_pair import ImagePair, Place
from napari_structsr.pairs.simulate import high_only_pair
from napari_structsr.pairs.units import channel_intensity, noise_of, place_of

__all__ = [
    "ImagePair",
    "Place",
    "Region",
    "field_pair",
    "high_only_pair",
]

_NOTABLE_SCALE = 3e-4

Pixels = npt.NDArray[np.float32]


def field_pair(
    low: Source,
    high: Source,
    *,
    region: Region | None = None,
    plane: tuple[int, ...] | None = None,
    factor: int | None = None,
    register: bool = True,
    name: str | None = None,
) -> ImagePair:
    """Make a pair of a coarse and a fine image of the same place.

    Parameters
    ----------
    low, high
        The measured and the true image; any pixel sizes, places and types. Two colour
        images are compared by luminance.
    region
        First and last + 1 row, first and last + 1 column in `low`; by default all that
        both images show.
    plane
        Index of the plane along the looped axes of `low`; the first by default.
    factor
        2 or 4; by default the one nearer to the pixel sizes.
    register
        Lay the images on each other by their content; otherwise their coordinates are
        trusted.
    name
        For tables; by default that of `low`.

    Raises
    ------
    TrainingError
        If the two are no pair to learn from, with what to do.
    PixelError
        If an image holds no number at all.
    """
    plane = tuple(0 for _ in low.spec.axes.loops) if plane is None else plane
    high_plane = match_plane(low, high, plane)
    keys = content_key(low), content_key(high)
    if keys[0] == keys[1]:
        raise TrainingError(
            "the low- and the high-resolution image are the same; choose the coarse "
            "image as low and the fine one as high"
        )
    grid = match_grids(low, high, factor)
    notes = list(grid.notes)
    name = name or low.spec.name
    if low.spec.axes.samples > 1:
        notes.append("both images are in colour; their luminance is learnt from")
        low, high = LuminanceView(low), LuminanceView(high)
    area, cut = covered(grid, low, high, region)
    notes += [cut] if cut else []
    unit = channel_intensity(low, plane)
    fine = _Fine(grid, high, high_plane, channel_intensity(high, high_plane))
    measured = low.read(plane, *area)[0]
    for pixels, which, own in (
        (measured, "low", unit),
        (fine.raw(area), "high", fine.intensity),
    ):
        note = check_pixels(pixels, which, own)
        notes += [note] if note else []
    values = unit.normalise(measured)
    truth = fine.read(area, IDENTITY)
    if register:
        moved = fit_forward_model(truth, values, factor=grid.factor).registration
        around = _from_around(area, low, plane, unit, fine) if moved.refused else None
        if around is not None:
            moved = around
            notes.append("its place was found by what lies around the region")
        if moved.refused:
            large = upsample(values, grid.factor)
            raise refuse_registration(truth, large, grid.factor, moved.refused)
        notes += _moves(moved)
        truth = fine.read(area, moved)
        kept = still_covered(fine.lines(area, moved), area, high, grid.factor)
        values, truth, area = _cropped(values, truth, area, kept, grid.factor)
    else:
        moved, around = IDENTITY, None
    seen = fit_forward_model(truth, values, factor=grid.factor, move=False)
    again = _binned(truth, grid.factor)
    if not register or around is not None:
        check_common(values, again)
    check_detail(values, again)
    if seen.gain < 0:
        notes.append("bright and dark are exchanged between the images; this is undone")
    rows, columns = ((part.start, part.stop) for part in area)
    return ImagePair(
        name=name,
        measured=values,
        truth=(seen.gain * truth + seen.offset).astype(np.float32),
        factor=grid.factor,
        where=place_of(keys, low.spec.axes, plane, rows, columns),
        psf_sigma=seen.psf_sigma,
        noise=noise_of(unit),
        registration=moved,
        gain=seen.gain,
        offset=seen.offset,
        notes=tuple(notes),
    )


_Area = tuple[slice, slice]


@dataclass(frozen=True)
class _Fine:
    """The true image on the fine grid of a region."""

    grid: Grid
    source: Source
    plane: tuple[int, ...]
    intensity: Intensity

    def lines(
        self, area: _Area, moved: Registration
    ) -> tuple[AxisMapping, AxisMapping]:
        """Return where the fine pixels of a region lie in the true image."""
        first = area[0].start, area[1].start
        return self.grid.fine(first, _size(area), shift=moved.shift, scale=moved.scale)

    def read(self, area: _Area, moved: Registration) -> Pixels:
        """Return the pixels of a region, normalised, moved by a registration."""
        height, width = (size * self.grid.factor for size in _size(area))
        axes = Axes((*self.source.spec.axes.loops, Axis("y", height), Axis("x", width)))
        found = ResampledView(self.source, axes, *self.lines(area, moved))
        pixels = found.read(self.plane, slice(0, height), slice(0, width))[0]
        if not np.isfinite(pixels).all():
            raise TrainingError(
                "pixels around the region are NaN or infinite in the high-resolution "
                "image; draw the region where every pixel holds a number"
            )
        return self.intensity.normalise(pixels)

    def raw(self, area: _Area) -> npt.NDArray[Any]:
        """Return the pixels under a region as they are stored."""
        parts = []
        for line, part, size in zip(
            self.grid.lines, area, self.source.spec.axes.plane, strict=True
        ):
            first = max(0, math.floor(line.at(part.start - 0.5) + 0.5))
            last = min(size, math.ceil(line.at(part.stop - 0.5) + 0.5))
            parts.append(slice(first, last))
        found: npt.NDArray[Any] = self.source.read(self.plane, *parts)[0]
        return found


def _from_around(
    area: _Area, low: Source, plane: tuple[int, ...], unit: Intensity, fine: _Fine
) -> Registration | None:
    """Register a wider part, where a region is too small or lies too far off."""
    grid = fine.grid
    common, _ = covered(grid, low, fine.source, None)
    parts = []
    for part, whole in zip(area, common, strict=True):
        size = part.stop - part.start
        size = min(whole.stop - whole.start, max(size, MAX_SIDE // grid.factor))
        start = (part.start + part.stop - size) // 2
        start = min(max(start, whole.start), whole.stop - size)
        parts.append(slice(start, start + size))
    wide = parts[0], parts[1]
    measured = low.read(plane, *wide)[0]
    if wide == area or not np.isfinite(measured).all():
        return None
    try:
        truth = fine.read(wide, IDENTITY)
    except TrainingError:  # pixels without a number, which the region need not hold
        return None
    found = fit_forward_model(
        truth, unit.normalise(measured), factor=grid.factor
    ).registration
    if found.refused:
        return None
    y, x = (
        by + (found.scale - 1) * grid.factor * (_middle(part) - _middle(whole))
        for by, part, whole in zip(found.shift, area, wide, strict=True)
    )
    return replace(found, shift=(y, x))


def _middle(part: slice) -> float:
    """Return the place of the middle of some pixels."""
    middle: float = (part.start + part.stop) / 2
    return middle


def _size(area: _Area) -> tuple[int, int]:
    """Return the number of pixels along y and x."""
    rows, columns = (part.stop - part.start for part in area)
    return rows, columns


def _cropped(
    values: Pixels, truth: Pixels, area: _Area, kept: _Area, factor: int
) -> tuple[Pixels, Pixels, _Area]:
    """Keep the measured pixels under which the truth is known."""
    rows, columns = kept
    fine = tuple(slice(part.start * factor, part.stop * factor) for part in kept)
    moved = tuple(
        slice(whole.start + part.start, whole.start + part.stop)
        for whole, part in zip(area, kept, strict=True)
    )
    return (
        np.ascontiguousarray(values[rows, columns]),
        np.ascontiguousarray(truth[fine]),
        (moved[0], moved[1]),
    )


def _binned(truth: Pixels, factor: int) -> Pixels:
    """Average over measured pixels."""
    height, width = (size // factor for size in truth.shape)
    blocks = truth.reshape(height, factor, width, factor)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _moves(moved: Registration) -> list[str]:
    """Say how the truth was moved."""
    down, right = moved.shift
    found = [
        f"the true image was moved by {down:+.2f}, {right:+.2f} of its pixels (y, x), "
        f"good to {moved.uncertainty:.1g} pixels"
    ]
    if abs(moved.scale - 1) > _NOTABLE_SCALE:
        found.append(
            f"its scale was corrected by {100 * (moved.scale - 1):+.2f}%; the pixel "
            "sizes of the images disagree by as much"
        )
    return found
