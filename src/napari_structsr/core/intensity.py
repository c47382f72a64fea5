"""Range and noise of a channel, and its mapping to numbers near 0..1 and back.

The mapping is affine, the same for every tile of a channel, and invertible. It owns
the range and the noise of a channel and the way back to the pixel type. Statistics
come from samples spread over the stack, never from the tile at hand, so that tiles
agree with each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_structsr.core.types import Array, Float32Array, Float64Array
from napari_structsr.errors import PixelError

# a hot pixel must not decide the range
_PERCENTILES = (0.1, 99.9)
_NOISE_BINS = 12
_CACHED = 1 << 18  # bytes
# median absolute deviation to standard deviation, of normally distributed noise
_FROM_MEDIAN = 1.4826


@dataclass(frozen=True)
class Intensity:
    """Range and noise of one channel, in pixel values.

    Parameters
    ----------
    low, high
        Robust extremes: percentiles 0.1 and 99.9 of the samples.
    noise_gain
        Rise of the noise variance with the signal above black (shot noise).
    noise_floor
        Noise variance in the dark (camera and rounding).
    noise_black
        How far black lies above `low`: of an image that is mostly black, `low` is the
        lowest of its noise.
    """

    low: float
    high: float
    noise_gain: float = 0.0
    noise_floor: float = 0.0
    noise_black: float = 0.0

    @property
    def constant(self) -> bool:
        """Whether no pixel differs from another."""
        return self.high <= self.low

    @property
    def span(self) -> float:
        """``high - low``, or 1 for a constant image."""
        return 1.0 if self.constant else self.high - self.low

    @property
    def relative_noise(self) -> tuple[float, float]:
        """Slope and floor of the noise variance of normalised pixels.

        Of a line from the floor at `low` through the variance at half of the range.
        """
        # of a variance: the slope scales with the span, the floor with its square
        lit = max(0.0, 1 - 2 * self.noise_black / self.span)
        return lit * self.noise_gain / self.span, self.noise_floor / self.span**2

    def find_noise(self, value: float) -> float:
        """Return the noise variance of pixels of a value, in pixel values."""
        light = max(value - self.low - self.noise_black, 0.0)
        return self.noise_floor + self.noise_gain * light

    def normalise(self, pixels: Array) -> Float32Array:
        """Map `low` to 0 and `high` to 1, exceeding values beyond."""
        # in float64: of large integers float32 would lose the last digits
        values = (pixels.astype(np.float64) - self.low) / self.span
        return values.astype(np.float32)

    def restore(self, values: Float32Array) -> Float64Array:
        """Invert `normalise`."""
        restored = values.astype(np.float64)
        restored *= self.span
        restored += self.low
        return restored


def check_dtype(dtype: np.dtype) -> None:
    """Refuse pixel types that hold no intensities.

    Raises
    ------
    PixelError
        For complex, boolean and non-numeric pixels.
    """
    if dtype.kind == "b":
        raise PixelError(
            "the pixels are boolean, a mask; upscale the image it was made from, or "
            "convert them to uint8 first if edges shall be interpolated"
        )
    if dtype.kind == "c":
        raise PixelError(
            f"the pixels are complex ({dtype}); convert them to float32 first, for "
            "example to their magnitude"
        )
    if dtype.kind not in "uif":
        raise PixelError(
            f"the pixels have the type {dtype}, which is no number; "
            "convert them to integers or to float32 first"
        )


def to_dtype(values: npt.NDArray[np.floating[Any]], dtype: np.dtype) -> Array:
    """Convert results to the type of the input.

    Integers are rounded to the nearest, halves to even, and clipped to the range of
    the type; floats are kept as they are, and finite ones stay finite. Values must be
    finite for integers.
    """
    if dtype.kind == "f":
        if dtype.itemsize < values.dtype.itemsize:
            largest = np.finfo(dtype).max
            # overshoot beside the largest number of a type is no infinity
            clipped = np.clip(values, -largest, largest)
            values = np.where(np.isfinite(values), clipped, values)
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    # 64-bit limits have no float64 of their own: take the nearest below
    top = np.nextafter(np.float64(limits.max), 0) if dtype.itemsize == 8 else limits.max
    rounded: Array = np.rint(values)
    np.maximum(rounded, limits.min, out=rounded)
    np.minimum(rounded, top, out=rounded)
    return rounded.astype(dtype)


def map_rows(
    change: Callable[[Array], Array], values: Array, *, dtype: np.dtype
) -> Array:
    """Apply what changes pixels one by one to some rows at a time.

    Parameters
    ----------
    change
        Returns as many pixels as it gets.
    values
        Shape (samples, rows, columns).
    dtype
        Of the pixels returned.
    """
    # what a chain of operations leaves in between stays in the cache of the processor
    step = max(
        1, _CACHED // max(values.itemsize * values.shape[0] * values.shape[2], 1)
    )
    changed = np.empty(values.shape, dtype)
    for first in range(0, values.shape[1], step):
        rows = slice(first, first + step)
        changed[:, rows] = change(values[:, rows])
    return changed


def fit_intensity(blocks: Sequence[Array]) -> Intensity:
    """Estimate range and noise of a channel from blocks sampled over the stack.

    Parameters
    ----------
    blocks
        Two-dimensional samples; not-finite pixels are ignored.

    Raises
    ------
    PixelError
        If no pixel is finite.
    """
    pixels = np.concatenate([block[np.isfinite(block)].ravel() for block in blocks])
    if not pixels.size:
        raise PixelError(
            "every sampled pixel is NaN or infinite; an image with numbers is needed"
        )
    low, high = (float(value) for value in np.percentile(pixels, _PERCENTILES))
    # almost all pixels are equal: take the extremes
    if high <= low:
        low, high = float(pixels.min()), float(pixels.max())
    # rounding to whole numbers alone has the variance 1 / 12
    rounding = 1 / 12 if pixels.dtype.kind in "ui" else 0.0
    gain, floor, black = _fit_noise(blocks, low)
    return Intensity(low, high, gain, max(floor, rounding), black)


def _fit_noise(blocks: Sequence[Array], low: float) -> tuple[float, float, float]:
    """Fit variance = floor + gain (mean - low - black) to robust high-pass statistics.

    Below black it is the floor; returns gain, floor and black.

    The high-pass is the difference of two Laplacians (Immerkaer 1996), blind to
    planes and straight edges; the median absolute deviation is taken in bins of
    equal count along the local mean.
    """
    means, details = [], []
    for block in (block for block in blocks if min(block.shape) >= 3):
        values = np.where(np.isfinite(block), block, np.nan).astype(np.float64)
        rows = values[:-2] - 2 * values[1:-1] + values[2:]
        # the squares of the weights sum to 36: / 6 keeps the deviation of noise
        detail = (rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]) / 6
        rows = values[:-2] + values[1:-1] + values[2:]
        mean = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
        finite = np.isfinite(detail) & np.isfinite(mean)
        means.append(mean[finite])
        details.append(detail[finite])
    # empty ones in front: there may be no block
    mean, detail = (np.concatenate([np.empty(0), *of]) for of in (means, details))
    if mean.size < 9:
        return 0.0, 0.0, 0.0
    order = np.argsort(mean)
    # bins of equal count, since most pixels are background
    groups = np.array_split(order, min(_NOISE_BINS, mean.size // 9))
    signal = np.array([mean[group].mean() for group in groups]) - low
    # the median, since edges are few and large
    deviation = np.array([np.median(np.abs(detail[group])) for group in groups])
    variance = (_FROM_MEDIAN * deviation) ** 2
    return _fit_line(signal, variance)


def _fit_line(
    signal: Float64Array, variance: Float64Array
) -> tuple[float, float, float]:
    """Fit a line with non-negative slope and intercept; large variances weigh less."""
    if not variance.any():
        return 0.0, 0.0, 0.0
    # relative errors count: structure raises the variance of a bin, nothing lowers it
    weight = (variance.max() / np.maximum(variance, variance.max() * 1e-3)) ** 2
    mean_s = np.average(signal, weights=weight)
    mean_v = np.average(variance, weights=weight)
    spread = np.average((signal - mean_s) ** 2, weights=weight)
    covariance = np.average((signal - mean_s) * (variance - mean_v), weights=weight)
    gain = max(0.0, covariance / spread) if spread > 0 else 0.0
    floor = float(mean_v - gain * mean_s)
    if floor < 0:  # noise cannot be negative: the line begins in the dark, above `low`
        return _fit_bent_line(signal, variance, weight)
    return float(gain), floor, 0.0


def _fit_bent_line(
    signal: Float64Array, variance: Float64Array, weight: Float64Array
) -> tuple[float, float, float]:
    """Fit a line that is level up to one of the darker bins."""
    best, found = math.inf, (0.0, 0.0, 0.0)
    for black in (0.0, *signal[: len(signal) // 2 + 1]):
        dark = signal <= black
        if dark.all():  # a few bins, or many alike
            continue
        floor = np.average(variance[dark], weights=weight[dark]) if dark.any() else 0.0
        light, more = (signal - black)[~dark], (variance - floor)[~dark]
        power = np.average(light**2, weights=weight[~dark])
        gain = max(0.0, np.average(light * more, weights=weight[~dark]) / power)
        fitted = floor + gain * np.maximum(signal - black, 0)
        # by logarithm, as too little counts like too much
        error = np.log(np.maximum(fitted, 1e-30) / np.maximum(variance, 1e-30))
        if (error**2).sum() < best:
            best = float((error**2).sum())
            found = float(gain), float(floor), float(max(black, 0.0))
    return found
