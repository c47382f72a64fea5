"""Agreement of a result with its measurement.

``x + A⁺(y - A x)`` is the nearest image to x that measures as y exactly. With noise
in y that copies the noise, so that "noise" corrects only what noise cannot explain:

* the local mean of the residual, which hardly holds noise, is corrected in full;
* the rest is corrected by the share 1 - 1/m, where m is its local root mean square
  in units of 1.25 times the noise: the discrepancy principle (Morozov 1966), pixel by
  pixel, so that tiles agree. Noise alone reaches 1.25 hardly ever; there nothing is
  changed;
* that share is at least `minimum_share`, one number for a channel. Where contrast is
  hardly larger than noise, the rest would bend the line between input and result
  measured again; this keeps its slope within 1% of 1;
* where wide blur is undone, A⁺ would amplify what noise is left, many times. The damped
  inverse takes its place (`ForwardModel.damped_inverse`).
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from napari_structsr.imaging.filters import smooth
from napari_structsr.imaging.forward import ForwardModel

Agreement = Literal["off", "noise", "exact"]

_MEAN_SIGMA = 4.0  # measured pixels; the mean over it holds 7% of the noise
_WINDOW_SIGMA = 2.0
# times the noise: over a window of 50 pixels its root mean square varies by a tenth
_CLEAR = 1.25
_SLOPE_TOLERANCE = 0.005


def agree(
    image: Tensor,
    measured: Tensor,
    forward_model: ForwardModel,
    *,
    agreement: Agreement,
    variance: Tensor | None = None,
    minimum_share: float = 0.0,
) -> Tensor:
    """Correct `image` so that it agrees with `measured`.

    Parameters
    ----------
    image
        Shape (N, 1, factor h, factor w), float32.
    measured
        Shape (N, 1, h, w), the same unit.
    forward_model
        How `image` is measured.
    agreement
        "off", "noise" or "exact".
    variance
        Variance of the noise, shape (N, 1, h, w); needed for "noise".
    minimum_share
        Smallest share of the residual that "noise" corrects, see `minimum_share`.

    Returns
    -------
    Tensor
        Shape of `image`. With "exact", ``forward_model(result)`` equals `measured`.
    """
    if agreement == "off":
        return image
    residual = measured - forward_model(image)
    if agreement == "exact":
        return image + forward_model.pseudo_inverse(residual)
    if variance is None:
        raise ValueError("agreement within noise needs the variance of the noise")
    mean = smooth(residual, _MEAN_SIGMA)
    detail = residual - mean
    # both smoothed before they are divided: the variance of a single dark pixel is a
    # guess from few photons, and may be nearly nothing
    expected = smooth(variance, _WINDOW_SIGMA).clamp_min(1e-30)
    excess = smooth(detail**2, _WINDOW_SIGMA) / expected
    share = (1 - _CLEAR / excess.clamp_min(_CLEAR**2).sqrt()).clamp_min(minimum_share)
    return image + forward_model.damped_inverse(mean + share * detail)


def minimum_share(measured: Tensor, again: Tensor) -> float:
    """Return the smallest share of the residual to correct so that slopes stay at 1.

    The least-squares lines through (measured, again) and through (again, measured)
    miss the slope 1 by the covariance of the residual with either, and correcting a
    share of the residual takes the same share off that.

    `measured` holds samples of the measured image, `again` the result, agreed within
    noise and measured again, at the same pixels.
    """
    residual = measured - again
    # both lines, since noise on one axis alone flattens only one of them
    missed = max(_fit_slope(residual, measured), _fit_slope(residual, again))
    return max(0.0, 1 - _SLOPE_TOLERANCE / missed) if missed > 0 else 0.0


def _fit_slope(values: Tensor, along: Tensor) -> float:
    # in float64: the slope is to be known to a thousandth over millions of samples
    along = along.double() - along.double().mean()
    power = (along**2).sum()
    return float(((values.double() * along).sum() / power).abs()) if power > 0 else 0.0


def agreement_radius(forward_model: ForwardModel, agreement: Agreement) -> int:
    """Return the measured pixels to each side that `agree` depends on."""
    if agreement == "off":
        return 0
    if agreement == "exact":
        return forward_model.radius
    # the share is a local mean of a residual from which a local mean was taken
    windows = math.ceil(4 * _MEAN_SIGMA) + math.ceil(4 * _WINDOW_SIGMA)
    return forward_model.damped_radius + windows
