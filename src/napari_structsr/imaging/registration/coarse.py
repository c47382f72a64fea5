"""The coarse half of a registration: where, to a few pixels, one image lies on another.

All whole-pixel shifts up to the limit are tried at once by normalised correlation,
at several magnifications, on thinned images where they are large. How high the
second-best place comes tells a lattice, on which every period looks right, from an
image with one answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import match_template

from napari_structsr.imaging.registration.pose import BandImage, Pose, warp

__all__ = ["MAX_SIDE", "Candidate", "richest_window", "search", "second_peak_ratio"]

Image = npt.NDArray[np.float64]

MAX_SIDE = 768
"""Pixels along a side that are looked at; more add no precision."""

_LEAST_TEMPLATE = 16  # pixels along a side


@dataclass(frozen=True)
class Candidate:
    """A place that was found.

    Parameters
    ----------
    pose
        To about the width `fine`.
    fine
        Gaussian width at which it was found, in pixels.
    rival
        Height of the second-best place over that of the best, 0..1.
    """

    pose: Pose
    fine: float
    rival: float


def search(
    moving: BandImage,
    fixed: BandImage,
    *,
    fine: float,
    limit: float,
    scales: float = 0.0,
) -> Candidate:
    """Find the best whole-pixel place.

    Parameters
    ----------
    fine
        Gaussian width of the band, in pixels; the images are thinned accordingly.
    limit
        Longest shift along an axis, in pixels.
    scales
        Magnifications between 1 - scales and 1 + scales are tried.
    """
    thin = max(1, int(fine / 1.5))
    images, weights = zip(*(view.band(fine) for view in (moving, fixed)), strict=True)
    shape = images[0].shape
    one, other = (
        (image * weight)[::thin, ::thin]
        for image, weight in zip(images, weights, strict=True)
    )
    best = (-1.0, Candidate(Pose(), fine, 1.0))
    for scale in _scales(scales, 1.5 * fine / (max(shape) / 2)):
        scaled = warp(one, Pose(scale=scale)) if scale != 1 else one
        heights, middle = _heights(scaled, other, limit / thin)
        place = np.unravel_index(int(heights.argmax()), heights.shape)
        if heights[place] <= best[0]:
            continue
        shift = [(at - zero) * thin for at, zero in zip(place, middle, strict=True)]
        # the centre of the thinned grid lies a little beside that of the full one
        beside = [thin * ((size - 1) // thin) / 2 - (size - 1) / 2 for size in shape]
        y, x = (by + off * (1 - scale) for by, off in zip(shift, beside, strict=True))
        rival = _second(heights, place, fine / thin) / max(heights[place], 1e-9)
        best = heights[place], Candidate(Pose((y, x), scale), fine, float(rival))
    return best[1]


def second_peak_ratio(
    moving: BandImage, fixed: BandImage, pose: Pose, *, fine: float, limit: float
) -> tuple[float, Pose]:
    """Compare a pose with all other shifts, in the band that it was refined in.

    Returns
    -------
    rival
        Height of the best correlation elsewhere over that at the pose.
    elsewhere
        The pose of that rival.
    """
    (image, known), (other, weight) = moving.band(fine), fixed.band(fine)
    scaled = warp(image * known, Pose(scale=pose.scale))
    heights, middle = _heights(scaled, other * weight, limit + 2)
    here = [
        int(np.clip(round(by) + zero, 0, size - 1))
        for by, zero, size in zip(pose.shift, middle, heights.shape, strict=True)
    ]
    near = tuple(slice(max(0, at - 1), at + 2) for at in here)
    peak = float(heights[near].max())
    away = _away(heights, (here[0], here[1]), fine)
    if peak <= 0:
        return np.inf, pose
    masked = np.where(away, heights, 0)
    place = np.unravel_index(int(masked.argmax()), masked.shape)
    y, x = (float(at - zero) for at, zero in zip(place, middle, strict=True))
    return float(masked[place]) / peak, Pose((y, x), pose.scale)


def _scales(widest: float, step: float) -> Image:
    """Return magnifications around 1, about `step` apart."""
    count = math.ceil(widest / step) if widest else 0
    return 1 + np.linspace(-widest, widest, 2 * count + 1)


def _heights(moving: Image, fixed: Image, limit: float) -> tuple[Image, list[int]]:
    """Correlate at all shifts; the middle is the index of no shift.

    The middle of `moving` is the template, so that all of it has a partner at every
    shift. Contrast may be inverted.
    """
    middle = [
        int(max(0, min(math.ceil(limit), (size - _LEAST_TEMPLATE) // 2)))
        for size in fixed.shape
    ]
    cut = tuple(
        slice(by, size - by) for by, size in zip(middle, moving.shape, strict=True)
    )
    template = moving[cut]
    if not np.ptp(template) or not np.ptp(fixed):
        return np.zeros([2 * by + 1 for by in middle]), middle
    found: Any = match_template(fixed, template)
    return np.abs(found), middle


def _second(heights: Image, place: tuple[Any, ...], fine: float) -> float:
    """Return the greatest height off the hill of the best place."""
    away = _away(heights, (int(place[0]), int(place[1])), fine)
    return float(heights[away].max()) if away.any() else 0.0


def _away(heights: Image, place: tuple[int, int], fine: float) -> npt.NDArray[np.bool_]:
    """Mark what belongs to other hills than the one at `place`."""
    hills, _ = ndimage.label(heights > 0.5 * heights[place])
    rows, columns = np.ogrid[: heights.shape[0], : heights.shape[1]]
    far = np.hypot(rows - place[0], columns - place[1]) > 4 * fine
    return np.asarray(far & (hills != hills[place]))


def richest_window(
    moving: npt.NDArray[Any], fixed: npt.NDArray[Any]
) -> tuple[tuple[slice, slice], tuple[float, float]]:
    """Choose the part of a large image with most detail, and say where it lies."""
    shape = fixed.shape
    sizes = [min(size, MAX_SIDE) for size in shape]
    starts = [0, 0]
    if sizes != list(shape):
        step = MAX_SIDE // 4
        detail = _detail(moving, step) + _detail(fixed, step)
        best = -1.0
        for row in range(0, max(1, detail.shape[0] - 3)):
            for column in range(0, max(1, detail.shape[1] - 3)):
                found = float(detail[row : row + 4, column : column + 4].sum())
                if found > best:
                    best, starts = found, [row * step, column * step]
    window = tuple(
        slice(start, start + size) for start, size in zip(starts, sizes, strict=True)
    )
    y, x = (
        start + (size - 1) / 2 - (full - 1) / 2
        for start, size, full in zip(starts, sizes, shape, strict=True)
    )
    return (window[0], window[1]), (y, x)


def _detail(image: npt.NDArray[Any], step: int) -> npt.NDArray[np.float64]:
    """Return the mean slope in squares of `step` pixels, as a share of the greatest."""
    slopes = np.abs(np.diff(np.nan_to_num(image.astype(np.float64)), axis=1))
    rows, columns = (max(1, size // step) for size in image.shape)
    cut = slopes[: rows * step, : columns * step]
    parts = [np.array_split(row, columns, axis=1) for row in np.array_split(cut, rows)]
    means = np.array([[part.mean() for part in row] for row in parts])
    top: float = means.max()
    return means / top if top > 0 else means
