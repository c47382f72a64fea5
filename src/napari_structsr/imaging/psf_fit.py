"""Fit the forward model to a pair: shift, point-spread function, gain and offset.

The truth is registered on its own grid first. Then it is measured by the forward model
at every likely width of the point-spread function; the one that fits best is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.optimize import minimize_scalar

from napari_structsr.core.types import Array, Float64Array
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.registration import (
    IDENTITY,
    Registration,
    apply,
    register,
)

_MAX_SIGMA = 1.6  # measured pixels; wider blur is no point-spread function of a pair


@dataclass(frozen=True)
class ForwardFit:
    """The parameters that turn a truth into its measurement."""

    registration: Registration  # how the truth must be moved, in true pixels
    psf_sigma: float  # measured pixels
    # the measurement is about gain * A(truth) + offset; how well both correlate
    gain: float
    offset: float
    correlation: float


def fit_forward_model(
    truth: Array,
    measured: Array,
    *,
    factor: int,
    move: bool = True,
    limit: float | None = None,
) -> ForwardFit:
    """Find how `truth`, of `factor` times the pixels and the same edges, was measured.

    Both are finite. With `move` the truth is registered, with its scale where a shift
    alone does not do; `limit` is the longest shift in true pixels, see `register`.
    """
    # without it the place of the truth is taken as it is
    found = IDENTITY
    if move:
        target = upsample(measured, factor)
        found = register(truth, target, coarseness=factor, limit=limit)
        # the scale last: a free scale makes the place less certain
        if found.refused:
            scaled = register(
                truth, target, with_scale=True, coarseness=factor, limit=limit
            )
            found = found if scaled.refused else scaled
    return ForwardFit(found, *_fit_psf(apply(found, truth), measured, factor))


def upsample(image: Array, factor: int) -> Float64Array:
    """Interpolate by cubic splines to `factor` times as many pixels, edges kept."""
    shape = [size * factor for size in image.shape]
    # pixel centres lie half a pixel inside the edges, on either grid
    large: Float64Array = ndimage.affine_transform(
        image.astype(np.float64),
        np.full(2, 1 / factor),
        offset=(1 / factor - 1) / 2,
        output_shape=shape,
        order=3,
        mode="reflect",
    )
    return large


def _fit_psf(
    truth: Float64Array, measured: Array, factor: int
) -> tuple[float, float, float, float]:
    """Return the width of the point-spread function, gain, offset and correlation."""
    tensor = torch.from_numpy(np.ascontiguousarray(truth))[None, None]

    def regress(sigma: float) -> tuple[float, float, float]:
        image = ForwardModel(factor, sigma)(tensor)[0, 0].numpy()
        return _fit_line(image, measured)

    def cost(sigma: float) -> float:
        return -abs(regress(sigma)[2])

    # a coarse grid first: the bounded search finds a local optimum alone
    widths = np.array([0, 0.2, 0.4, 0.6, 0.8, 1.2, _MAX_SIGMA])
    best = int(np.argmin([cost(width) for width in widths]))
    low, high = widths[max(0, best - 1)], widths[min(len(widths) - 1, best + 1)]
    found = minimize_scalar(
        cost, bounds=(low, high), method="bounded", options={"xatol": 0.02}
    )
    sigma = float(found.x)
    return sigma, *regress(sigma)


def _fit_line(image: Float64Array, measured: Array) -> tuple[float, float, float]:
    """Return gain, offset and correlation of ``measured = gain * image + offset``."""
    mean, mean_measured = image.mean(), measured.mean()
    one, other = image - mean, measured - mean_measured
    power, power_measured = float((one**2).sum()), float((other**2).sum())
    common = float((one * other).sum())
    # a constant side correlates with nothing
    if power <= 0 or power_measured <= 0:
        return 0.0, float(mean_measured), 0.0
    gain = common / power
    correlation = common / (power * power_measured) ** 0.5
    return gain, float(mean_measured - gain * mean), correlation
