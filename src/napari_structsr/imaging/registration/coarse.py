"""The coarse registration: normalised correlation at all whole-pixel shifts.

Several magnifications are tried, on subsampled images where the band is coarse. The
ratio of the second-highest peak to the highest distinguishes a lattice, in which every
period fits, from an image with one answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import match_template

from napari_structsr.core.types import Array, Float64Array
from napari_structsr.imaging.registration.pose import BandImage, Pose, warp

MAX_SIDE = 768
"""Pixels along a side that are registered; more add no precision."""

_MIN_TEMPLATE = 16  # pixels along a side


@dataclass(frozen=True)
class Candidate:
    """The highest peak of the correlation.

    Parameters
    ----------
    pose
        Good to about `sigma`.
    sigma
        Lower Gaussian width of the band it was found in, in pixels.
    peak_ratio
        Height of the second-highest peak over that of the highest, 0..1.
    """

    pose: Pose
    sigma: float
    peak_ratio: float


def search(
    moving: BandImage,
    fixed: BandImage,
    *,
    sigma: float,
    limit: float,
    scales: float = 0.0,
) -> Candidate:
    """Find the best whole-pixel shift.

    Parameters
    ----------
    sigma
        Lower Gaussian width of the band, in pixels; images are subsampled accordingly.
    limit
        Longest shift along an axis, in pixels.
    scales
        Magnifications between 1 - scales and 1 + scales are tried.
    """
    thin = max(1, int(sigma / 1.5))
    images, weights = zip(
        *(image.band(sigma) for image in (moving, fixed)), strict=True
    )
    shape = images[0].shape
    one, other = (
        (image * weight)[::thin, ::thin]
        for image, weight in zip(images, weights, strict=True)
    )
    # so many scales that the border moves by 1.5 sigma from one to the next
    count = math.ceil(scales / (1.5 * sigma / (max(shape) / 2)))
    best = (-1.0, Candidate(Pose(), sigma, 1.0))
    for scale in 1 + np.linspace(-scales, scales, 2 * count + 1):
        scaled = warp(one, Pose(scale=scale)) if scale != 1 else one
        heights, middle = _correlate_shifts(scaled, other, limit / thin)
        place = np.unravel_index(int(heights.argmax()), heights.shape)
        if heights[place] <= best[0]:
            continue
        shift = [(at - zero) * thin for at, zero in zip(place, middle, strict=True)]
        # the centre of the subsampled grid lies a little beside that of the full one
        beside = [thin * ((size - 1) // thin) / 2 - (size - 1) / 2 for size in shape]
        y, x = (by + off * (1 - scale) for by, off in zip(shift, beside, strict=True))
        away = _mark_other_peaks(heights, place, sigma / thin)
        second = np.where(away, heights, 0).max()
        ratio = float(second / max(heights[place], 1e-9))
        best = heights[place], Candidate(Pose((y, x), scale), sigma, ratio)
    return best[1]


def second_peak_ratio(
    moving: BandImage, fixed: BandImage, pose: Pose, *, sigma: float, limit: float
) -> tuple[float, Pose]:
    """Return the best correlation elsewhere over that at a pose, and its pose.

    All shifts up to `limit` are compared, in the band that the pose was refined in.
    """
    (image, known), (other, weight) = moving.band(sigma), fixed.band(sigma)
    scaled = warp(image * known, Pose(scale=pose.scale))
    heights, middle = _correlate_shifts(scaled, other * weight, limit + 2)
    here = [
        int(np.clip(round(by) + zero, 0, size - 1))
        for by, zero, size in zip(pose.shift, middle, heights.shape, strict=True)
    ]
    near = tuple(slice(max(0, at - 1), at + 2) for at in here)
    peak = float(heights[near].max())
    away = _mark_other_peaks(heights, tuple(here), sigma)
    if peak <= 0:  # flat there: any other place is better
        return np.inf, pose
    masked = np.where(away, heights, 0)
    place = np.unravel_index(int(masked.argmax()), masked.shape)
    y, x = (float(at - zero) for at, zero in zip(place, middle, strict=True))
    return float(masked[place]) / peak, Pose((y, x), pose.scale)


def _correlate_shifts(
    moving: Float64Array, fixed: Float64Array, limit: float
) -> tuple[Float64Array, list[int]]:
    # the middle of `moving` is the template, so that all of it has a partner at every
    # shift; returned beside the heights is the index of no shift
    middle = [
        int(max(0, min(math.ceil(limit), (size - _MIN_TEMPLATE) // 2)))
        for size in fixed.shape
    ]
    cut = tuple(
        slice(by, size - by) for by, size in zip(middle, moving.shape, strict=True)
    )
    template = moving[cut]
    if not np.ptp(template) or not np.ptp(fixed):
        return np.zeros([2 * by + 1 for by in middle]), middle
    found: Any = match_template(fixed, template)
    return np.abs(found), middle  # absolute, since contrast may be inverted


def _mark_other_peaks(
    heights: Float64Array, place: tuple[Any, ...], sigma: float
) -> npt.NDArray[np.bool_]:
    # a peak may be a long ridge, such as that of a single filament: all that is joined
    # to it above half its height belongs to it
    hills, _ = ndimage.label(heights > 0.5 * heights[place])
    rows, columns = np.ogrid[: heights.shape[0], : heights.shape[1]]
    far = np.hypot(rows - place[0], columns - place[1]) > 4 * sigma
    return np.asarray(far & (hills != hills[place]))


def find_richest_window(
    moving: Array, fixed: Array
) -> tuple[tuple[slice, slice], tuple[float, float]]:
    """Return the part of two large images with most detail, and its offset.

    The offset is that of its centre from the centre of the images, in pixels (y, x).
    """
    shape = fixed.shape
    sizes = [min(size, MAX_SIDE) for size in shape]
    starts = [0, 0]
    if sizes != list(shape):
        step = MAX_SIDE // 4
        detail = _measure_detail(moving, step) + _measure_detail(fixed, step)
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


def _measure_detail(image: Array, step: int) -> Float64Array:
    slopes = np.abs(np.diff(np.nan_to_num(image.astype(np.float64)), axis=1))
    rows, columns = (max(1, size // step) for size in image.shape)
    cut = slopes[: rows * step, : columns * step]
    parts = [np.array_split(row, columns, axis=1) for row in np.array_split(cut, rows)]
    means = np.array([[part.mean() for part in row] for row in parts])
    top: float = means.max()
    return means / top if top > 0 else means
