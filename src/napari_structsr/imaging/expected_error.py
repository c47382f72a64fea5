"""The expected absolute error of each pixel of a result, predicted without a reference.

A small network looks at six numbers of each pixel: how bright the result is there, how
much contrast it has nearby on two scales, how steep and how fine it is, and how noisy
the measurement was. It gives the mean of the absolute error and the bound that 90% of
errors stay below; `models.calibration` holds its numbers and makes the bound honest.

Other maps (residual, null space, difference from the faithful model, spread over
orientations) were tried as inputs; none improved the ranking by 0.01, so that the
prediction needs no run of a model and serves any.

Everything is in units of the range of the source, and the windows grow with the factor.
A pixel depends on what lies within `EXPECTED_ERROR_RADIUS`, mirrored at the border, so
that tiles join without seams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_structsr.imaging.filters import map_row_chunks, separable_filter

__all__ = [
    "EXPECTED_ERROR_RADIUS",
    "FEATURES",
    "ErrorCalibration",
    "ErrorPredictor",
    "TrustInputs",
    "expected_error",
    "half_width",
    "pixel_features",
    "predict_error",
]

EXPECTED_ERROR_RADIUS = 2
"""Measured pixels to each side that a pixel depends on."""

FEATURES = (
    "brightness",
    "deviation near",
    "deviation around",
    "gradient",
    "curvature",
    "noise",
)
"""What is known of each pixel; version 1."""

_NEAR, _AROUND = 0.5, 2  # measured pixels to each side of a window
_SOFT = 5e-4  # of the range, below which differences of logarithms mean nothing
_OUTLYING = 4.0  # deviations beyond which an input counts as this far
_LOG_RANGE = (-12.0, 2.0)


@dataclass(frozen=True)
class TrustInputs:
    """What the expected error is predicted from, in units of the range of the source.

    Parameters
    ----------
    result
        Shape (N, 1, factor h, factor w), usual values near 0..1.
    variance
        Variance of the noise of the measured image, shape (N, 1, h, w).
    """

    result: Tensor
    variance: Tensor

    @property
    def factor(self) -> int:
        """Result pixels along the side of a measured pixel."""
        return self.result.shape[-1] // self.variance.shape[-1]


@dataclass(frozen=True)
class ErrorPredictor:
    """A network of 1 x 1 layers with SiLU between them.

    Parameters
    ----------
    means, deviations
        Of each of `FEATURES`, to standardise them.
    weights
        Of each layer, shape (outputs, inputs); the last has two outputs, logarithms of
        the mean and of the bound.
    biases
        Of each layer, shape (outputs,).
    """

    means: Tensor
    deviations: Tensor
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    def __call__(self, features: Tensor) -> Tensor:
        """Predict from features of shape (..., len(FEATURES)); shape (..., 2).

        The numbers are logarithms of the mean absolute error and of the bound.
        """
        values = (features - self.means) / self.deviations
        values = values.clamp(-_OUTLYING, _OUTLYING)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            values = F.silu(F.linear(values, weight, bias))
        return F.linear(values, self.weights[-1], self.biases[-1]).clamp(*_LOG_RANGE)

    def to(self, device: torch.device) -> ErrorPredictor:
        """Copy the numbers to a device."""
        return ErrorPredictor(
            self.means.to(device),
            self.deviations.to(device),
            tuple(weight.to(device) for weight in self.weights),
            tuple(bias.to(device) for bias in self.biases),
        )


class ErrorCalibration(Protocol):
    """A predictor with factors that were checked on pairs, `TrustCalibration`."""

    @property
    def predictor(self) -> ErrorPredictor:
        """The network."""

    @property
    def scale(self) -> float:
        """Factor on the predicted mean."""

    def quantile(self, level: float) -> float:
        """Return the factor on the predicted bound for a share of pixels."""


def expected_error(inputs: TrustInputs, calibration: ErrorCalibration) -> Tensor:
    """Predict the mean absolute error of each pixel.

    Parameters
    ----------
    inputs
        The result and how it was measured.
    calibration
        From the card of the model, or made from pairs of the user.

    Returns
    -------
    Tensor
        Shape and unit of the result, positive.
    """
    mean, _ = predict_error(inputs, calibration.predictor)
    return mean * calibration.scale


def half_width(
    inputs: TrustInputs, calibration: ErrorCalibration, *, level: float = 0.9
) -> Tensor:
    """Return half the width of the interval that holds a share of true values.

    The interval lies around the result. The share is reached on average over images
    like those of the calibration: conformal risk control [1]_, where the risk is the
    share of pixels of an image outside their interval.

    Parameters
    ----------
    inputs, calibration
        As for `expected_error`.
    level
        Share of pixels inside; one of those that the calibration was made for.

    Returns
    -------
    Tensor
        Shape and unit of the result, positive.

    References
    ----------
    .. [1] A. Angelopoulos, S. Bates, A. Fisch, L. Lei, T. Schuster, "Conformal risk
       control", ICLR 2024 (arXiv 2022).
    """
    _, bound = predict_error(inputs, calibration.predictor)
    return bound * calibration.quantile(level)


def predict_error(
    inputs: TrustInputs, predictor: ErrorPredictor
) -> tuple[Tensor, Tensor]:
    """Predict the mean absolute error and the bound of 90%, before any check.

    Returns
    -------
    tuple of Tensor
        Both of the shape and unit of the result.
    """
    predictor = predictor.to(inputs.result.device)
    factor = inputs.factor

    def predict(result: Tensor, variance: Tensor) -> Tensor:
        found = predictor(_features(result, variance, factor).movedim(1, -1))
        return found.movedim(-1, 0)[:, :, None]

    variance = _spread_out(inputs.variance, factor)
    radius = EXPECTED_ERROR_RADIUS * factor
    logarithms = map_row_chunks(predict, inputs.result, variance, radius=radius)
    mean, bound = logarithms.exp()
    return mean, bound


def pixel_features(inputs: TrustInputs) -> Tensor:
    """Return `FEATURES` of each pixel, shape (N, len(FEATURES), H, W).

    All but brightness are natural logarithms of amounts in units of the range.
    """
    variance = _spread_out(inputs.variance, inputs.factor)
    return _features(inputs.result, variance, inputs.factor)


def _features(result: Tensor, variance: Tensor, factor: int) -> Tensor:
    near, around = max(1, round(_NEAR * factor)), _AROUND * factor
    gradient = (_across(result, -1, 0.5) ** 2 + _across(result, -2, 0.5) ** 2).sqrt()
    curvature = _around(result, -1) + _around(result, -2)
    amounts = [
        _deviation(result, near),
        _deviation(result, around),
        _root_mean_square(gradient, factor),
        _root_mean_square(curvature, factor),
        _mean(variance.clamp_min(0), around).sqrt(),
    ]
    logarithms = [(amount + _SOFT).log() for amount in amounts]
    return torch.cat([result.clamp(-0.5, 1.5), *logarithms], dim=1)


def _spread_out(variance: Tensor, factor: int) -> Tensor:
    return variance.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def _mean(image: Tensor, radius: int) -> Tensor:
    return separable_filter(image, [1 / (2 * radius + 1)] * (2 * radius + 1))


def _root_mean_square(image: Tensor, radius: int) -> Tensor:
    return _mean(image**2, radius).sqrt()


def _deviation(image: Tensor, radius: int) -> Tensor:
    """Return the standard deviation in a window; float32 is too coarse where flat."""
    values = image.double()
    variance = _mean(values**2, radius) - _mean(values, radius) ** 2
    return variance.clamp_min(0).sqrt().to(image.dtype)


def _across(image: Tensor, dim: int, share: float) -> Tensor:
    before, after = _neighbours(image, dim)
    return (after - before) * share


def _around(image: Tensor, dim: int) -> Tensor:
    before, after = _neighbours(image, dim)
    return before + after - 2 * image


def _neighbours(image: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    size = image.shape[dim]
    place = torch.arange(size, device=image.device)
    last = max(size - 2, 0)
    before = torch.where(place > 0, place - 1, min(1, size - 1))
    after = torch.where(place < size - 1, place + 1, last)
    return image.index_select(dim, before), image.index_select(dim, after)
