"""SQUIRREL: how a result, blurred again, differs from the measurement.

A result is blurred by a Gaussian and brought to the brightness of the interpolated
measurement; what then differs is an error of large structures (Culley et al. 2018).
Nothing need be known of the microscope, since width, gain and offset are fitted. In
return, detail finer than the fitted blur and a gain of the whole image go unseen. The
fit is made once for an image, the map then tile by tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn
from scipy.optimize import minimize_scalar
from torch import Tensor, get_num_threads

from napari_structsr.core.types import Float64Array
from napari_structsr.imaging.filters import smooth

MAX_SIGMA = 8.0
"""Widest Gaussian that is tried by default, in pixels of the result: two measured
pixels at the factor 4, and about three times what a true result needs."""

_STEPS = 16  # widths from which the search starts
_TOLERANCE = 1e-4  # of the width, in pixels


@dataclass(frozen=True)
class SquirrelFit:
    """How a result is brought to the interpolated measurement, and what is left.

    Parameters
    ----------
    sigma
        Standard deviation of the Gaussian, in pixels of the result.
    gain, offset
        The measurement is about ``gain * blurred + offset``. A negative gain means
        that bright and dark are exchanged.
    rse
        Resolution-scaled error: root mean square of the difference, in the unit of
        the images.
    rsp
        Resolution-scaled Pearson correlation, 0..1; 0 where either image is constant.
    """

    sigma: float
    gain: float
    offset: float
    rse: float
    rsp: float


def fit_squirrel(
    image: Tensor, base: Tensor, *, max_sigma: float = MAX_SIGMA
) -> SquirrelFit:
    """Fit blur, gain and offset so that a result matches its measurement.

    Gain and offset follow from linear regression at each width, the width from a
    bounded search of one number [1]_. For a constant result or measurement ``sigma``
    and ``gain`` are 0, ``offset`` is the mean of the measurement, ``rse`` its standard
    deviation and ``rsp`` 0.

    Parameters
    ----------
    image
        Result, shape (N, 1, H, W): one image, or N blocks of it that share one fit.
    base
        The measurement, interpolated to the same shape and in the same unit.
    max_sigma
        Widest Gaussian to try, in pixels of the result.

    References
    ----------
    .. [1] S. Culley et al., "Quantitative mapping and minimization of super-resolution
       optical imaging artifacts", Nature Methods 15, 2018.
    """
    x, b = (part.double().cpu().numpy() for part in (image, base))
    # a regression on a constant has no slope
    if np.ptp(x) == 0 or np.ptp(b) == 0:
        return SquirrelFit(0.0, 0.0, float(b.mean()), float(b.std()), 0.0)
    regression = _Regression(x, b)
    # equally spaced widths first, since the error may have more than one minimum
    widths = np.linspace(0, max_sigma, _STEPS + 1)
    errors = regression.errors(widths)
    best = int(np.argmin(errors))
    found = minimize_scalar(
        regression.error,
        bounds=(widths[max(best - 1, 0)], widths[min(best + 1, _STEPS)]),
        method="bounded",
        options={"xatol": _TOLERANCE},
    )
    # the bounded search never tries its bounds, of which no blur at all is one
    sigma = float(found.x if found.fun < errors[best] else widths[best])
    return regression.fit(sigma)


def squirrel_map(image: Tensor, base: Tensor, fit: SquirrelFit) -> Tensor:
    """Return where a result, blurred and scaled, differs from its measurement.

    `image` and `base` are those of `fit_squirrel`, which found `fit` for them, or the
    same part of both. The map is ``|gain * blurred + offset - base|`` in the shape and
    unit of `image`, reaches `squirrel_radius` pixels of the result, and the root of its
    mean square over the image is ``fit.rse``.
    """
    return (fit.gain * smooth(image, fit.sigma) + fit.offset - base).abs()


def squirrel_radius(*, max_sigma: float = MAX_SIGMA) -> int:
    """Return the pixels of the result to each side that `squirrel_map` depends on.

    `max_sigma` is that of `fit_squirrel`, or the ``sigma`` of a fit for that fit alone.
    """
    return math.ceil(4 * max_sigma)


class _Regression:
    """Regression of the measurement on the blurred result, for any width.

    Symmetrically continued, a blur only scales each coefficient of the discrete cosine
    transform. So the error that is left at any width is a weighted sum over
    coefficients, exact, and quick enough to try many widths.
    """

    def __init__(self, image: Float64Array, base: Float64Array) -> None:
        self._means = float(image.mean()), float(base.mean())
        self._count = image.size
        x, b = (
            # as many threads as torch has
            dctn(part - mean, axes=(-2, -1), norm="ortho", workers=get_num_threads())
            for part, mean in zip((image, base), self._means, strict=True)
        )
        self._own = np.einsum("ncij,ncij->ij", x, x)
        self._common = np.einsum("ncij,ncij->ij", x, b)
        self._power = float(np.vdot(b, b))

    def error(self, sigma: float) -> float:
        return float(self.errors(np.array([sigma]))[0])

    def errors(self, sigmas: Float64Array) -> Float64Array:
        own, common = self._sum_blurred(sigmas)
        # what has no power of its own tells nothing
        told = np.divide(common**2, own, out=np.zeros_like(own), where=own > 0)
        return np.asarray(self._power - told)

    def fit(self, sigma: float) -> SquirrelFit:
        own, common = (float(sums[0]) for sums in self._sum_blurred(np.array([sigma])))
        gain = common / own if own > 0 else 0.0
        # rounding may bring the rest below 0 where the fit is perfect
        left = max(0.0, self._power - gain * common)
        return SquirrelFit(
            sigma=sigma,
            gain=gain,
            offset=self._means[1] - gain * self._means[0],
            rse=math.sqrt(left / self._count),
            rsp=math.sqrt(min(max(0.0, gain * common / self._power), 1.0)),
        )

    def _sum_blurred(self, sigmas: Float64Array) -> tuple[Float64Array, Float64Array]:
        # of all widths in one pass over the coefficients, which takes most of the time
        rows, columns = (
            np.stack([_transfer(float(sigma), size) for sigma in sigmas])
            for size in self._own.shape
        )
        own = (rows**2 @ self._own * columns**2).sum(axis=1)
        return own, (rows @ self._common * columns).sum(axis=1)


def _transfer(sigma: float, size: int) -> Float64Array:
    # what a blur leaves of each coefficient of the cosine transform
    if sigma == 0:
        return np.ones(size)
    distance = np.arange(math.ceil(4 * sigma) + 1)
    kernel = np.exp(-0.5 * (distance / sigma) ** 2)
    kernel[1:] *= 2  # on either side
    waves = np.cos(np.pi / size * np.outer(np.arange(size), distance))
    return np.asarray(waves @ kernel / kernel.sum())
