"""The common part of two images, wherever it lies in each of them.

`register` lays one image on another that shows nearly the same. Here two files may be
parts of one acquisition, shifted by most of their width::

    first   |--------------|
    second            |--------------|      shift: where second begins in first

Phase correlation of the padded images gives shifts to try. A shift counts if what then
lies on each other correlates as only the same structures do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage
from skimage.feature import peak_local_max
from skimage.measure import block_reduce
from skimage.registration import phase_cross_correlation

from napari_structsr.core.types import Array, Float64Array

_Shift = tuple[int, int]

_SIDE = 256  # pixels along the longer side after subsampling
_FINE, _WIDE = 1.0, 4.0  # Gaussian widths of the band, in pixels of that side
_RIM = 6  # pixels over which the border is tapered
_PEAKS = 20  # shifts that are tried
_BEST_PEAKS = 3  # of them, with their neighbours
_MIN_SHARE = 0.04  # of the smaller image
_MIN_SIDE = 8  # pixels
_MIN_CORRELATION = 0.8
_MIN_DETAILS = 60.0  # pixels


@dataclass(frozen=True)
class Overlap:
    """The common part of two images.

    Parameters
    ----------
    shift
        Row and column of the first pixel of the second image in the first one.
    correlation
        Correlation coefficient of the common part, in a band of small structures.
    share
        Of the smaller image that is common.
    """

    shift: _Shift
    correlation: float
    share: float


def find_overlap(first: Array, second: Array) -> Overlap | None:
    """Find the common part of two images of one pixel size, neither turned.

    Parameters
    ----------
    first, second
        Any shapes (h, w), finite; brightness and contrast may differ.

    Returns
    -------
    Overlap or None
        None where no common part was found. One of less than about a fifth of the
        images, or of few structures, may be missed.

    References
    ----------
    C. D. Kuglin, D. C. Hines, "The phase correlation image alignment method", Proc.
    IEEE Conf. on Cybernetics and Society, 1975.
    """
    step = max(1, math.ceil(max(*first.shape, *second.shape) / _SIDE))
    one, other = _filter_band(first, step), _filter_band(second, step)
    if min(*one.shape, *other.shape) < _MIN_SIDE:
        return None

    def rank(shifts: Iterable[_Shift]) -> list[tuple[float, _Shift]]:
        found = ((_correlate_at(one, other, shift), shift) for shift in shifts)
        return sorted(found, reverse=True)

    # phase correlation may peak a pixel beside the shift that correlates best
    near = {
        (shift[0] + down, shift[1] + right)
        for _, shift in rank(_find_peaks(one, other))[:_BEST_PEAKS]
        for down, right in itertools.product((-1, 0, 1), repeat=2)
    }
    if not near:
        return None
    correlation, shift = rank(near)[0]
    if correlation < _MIN_CORRELATION:
        return None
    parts = _cut_common(one, other, shift)
    # smooth images of few objects correlate by chance
    if min(_count_details(part) for part in parts) < _MIN_DETAILS:
        return None
    share = parts[0].size / min(one.size, other.size)
    return Overlap(_refine_shift(first, second, shift, step), correlation, share)


def _filter_band(image: Array, step: int) -> Float64Array:
    rows, columns = (size // step * step for size in image.shape)
    small = block_reduce(image[:rows, :columns].astype(np.float64), step, np.mean)
    fine, wide = (ndimage.gaussian_filter(small, by) for by in (_FINE, _WIDE))
    # without the band, uneven illumination alone would correlate
    return np.asarray(fine - wide)


def _find_peaks(one: Float64Array, other: Float64Array) -> list[_Shift]:
    shape = [
        fft.next_fast_len(mine + theirs, real=True)
        for mine, theirs in zip(one.shape, other.shape, strict=True)
    ]
    spectra = [fft.rfft2(image * _taper(image.shape), shape) for image in (one, other)]
    product = spectra[0] * np.conj(spectra[1])
    power = np.abs(product)
    if not power.any():
        return []
    # the smallest powers are rounding alone, and would come out as full phases
    phases = fft.irfft2(product / (power + 1e-3 * power.mean()), shape)
    heights = ndimage.gaussian_filter(phases, 0.7, mode="wrap")
    peaks = peak_local_max(
        heights, min_distance=2, num_peaks=_PEAKS, exclude_border=False
    )
    # a shift beyond the first image is a negative one: the transform goes round
    return [
        (
            int(row if row < one.shape[0] else row - shape[0]),
            int(column if column < one.shape[1] else column - shape[1]),
        )
        for row, column in peaks
    ]


def _taper(shape: tuple[int, ...]) -> Float64Array:
    rows, columns = (
        np.clip((np.minimum(np.arange(size), np.arange(size)[::-1]) + 1) / _RIM, 0, 1)
        for size in shape
    )
    return np.outer(rows, columns)


def _cut_common(
    one: Float64Array, other: Float64Array, shift: _Shift
) -> tuple[Float64Array, Float64Array]:
    parts: list[tuple[slice, slice]] = []
    for by, mine, theirs in zip(shift, one.shape, other.shape, strict=True):
        first, last = max(0, by), max(0, by, min(mine, theirs + by))
        parts.append((slice(first, last), slice(first - by, last - by)))
    (rows, rows_other), (columns, columns_other) = parts
    return one[rows, columns], other[rows_other, columns_other]


def _correlate_at(one: Float64Array, other: Float64Array, shift: _Shift) -> float:
    # a strip of a few pixels correlates by chance: it counts as no likeness at all
    mine, theirs = _cut_common(one, other, shift)
    few = mine.size < _MIN_SHARE * min(one.size, other.size)
    if few or min(mine.shape) < _MIN_SIDE:
        return -1.0
    mine, theirs = mine - mine.mean(), theirs - theirs.mean()
    power = float((mine**2).sum() * (theirs**2).sum())
    return float((mine * theirs).sum()) / math.sqrt(power) if power > 0 else -1.0


def _count_details(part: Float64Array) -> float:
    # the participation ratio: over how many pixels the power is spread
    power = (part - part.mean()) ** 2
    return float(power.sum() ** 2 / max((power**2).sum(), 1e-300))


def _refine_shift(first: Array, second: Array, shift: _Shift, step: int) -> _Shift:
    # to the whole pixel, since the search was on subsampled images
    down, right = (by * step for by in shift)
    if step == 1:
        return down, right
    parts = _cut_common(
        np.asarray(first, np.float64), np.asarray(second, np.float64), (down, right)
    )
    more, _, _ = phase_cross_correlation(*parts)
    if np.abs(more).max() > step:  # another place, or noise
        return down, right
    return down + int(more[0]), right + int(more[1])
