"""The expected absolute error of each pixel of a result, predicted without a reference.

A small network maps six features of each pixel (brightness, contrast on two scales,
gradient, curvature and noise) to the mean of the absolute error and to the bound that
90% of errors stay below. `models.calibration` holds its weights, and the factors that
were calibrated on pairs. The error maps of `trust` were tried as further features; none
improved the ranking by 0.01, so that the prediction needs no run of a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_structsr.imaging.filters import (
    reflect_pad,
    separable_filter,
)
from napari_structsr.imaging.row_chunks import map_row_chunks

EXPECTED_ERROR_RADIUS = 2
"""Measured pixels to each side that the prediction for a pixel depends on."""

FEATURES = (
    "brightness",
    "deviation near",
    "deviation around",
    "gradient",
    "curvature",
    "noise",
)
"""Names of the features of each pixel, version 1."""

_STATISTICS = ("fine_detail", "spots", "headroom", "fill")
TOLD_FEATURES = (*FEATURES, "told width", "told noise", *_STATISTICS)
"""The same with what is said of a whole image, see `describe_image`.

What a pixel looks like does not tell how much detail blur and noise have hidden; what a
conditional model was told of them, and the kind of image, tell more.
"""

_NEAR, _AROUND = 0.5, 2  # measured pixels to each side of a window
_SOFT = 5e-4  # of the range; keeps logarithms of next to nothing from mattering
_MAX_DEVIATIONS = 4.0  # beyond these a feature is clamped
_LEAST_NOISE = 1e-4  # of the range; images that were computed may have none
_LOG_RANGE = (-12.0, 2.0)


@dataclass(frozen=True)
class TrustInputs:
    """A result and the noise of its measurement, in units of the range of the source.

    Parameters
    ----------
    result
        Shape (N, 1, factor h, factor w), usual values near 0..1.
    variance
        Variance of the noise of the measured image, shape (N, 1, h, w).
    image
        What `describe_image` says of the whole image, for results of conditional
        models; nothing for others.
    """

    result: Tensor
    variance: Tensor
    image: tuple[float, ...] = ()

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
        Of each of `FEATURES` or `TOLD_FEATURES`, to standardise them.
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
        """Predict from features of shape (..., features); shape (..., 2).

        The numbers are logarithms of the mean absolute error and of the bound.
        """
        # what lies far beyond the training is not extrapolated
        values = (features - self.means).div_(self.deviations)
        values.clamp_(-_MAX_DEVIATIONS, _MAX_DEVIATIONS)
        # gradients need what a layer gave; nothing else does
        again = torch.is_inference_mode_enabled()
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            values = F.silu(F.linear(values, weight, bias), inplace=again)
        return F.linear(values, self.weights[-1], self.biases[-1]).clamp_(*_LOG_RANGE)

    @property
    def told(self) -> bool:
        """Whether it looks at what is said of the whole image."""
        return len(self.means) == len(TOLD_FEATURES)

    def to(self, device: torch.device) -> ErrorPredictor:
        """Copy the numbers to a device."""
        return ErrorPredictor(
            self.means.to(device),
            self.deviations.to(device),
            tuple(weight.to(device) for weight in self.weights),
            tuple(bias.to(device) for bias in self.biases),
        )


class ErrorCalibration(Protocol):
    """A predictor with factors calibrated on pairs, such as `TrustCalibration`."""

    @property
    def predictor(self) -> ErrorPredictor:
        """The network."""

    @property
    def scale(self) -> float:
        """Factor on the predicted mean."""

    def quantile(self, level: float) -> float:
        """Return the factor on the predicted bound for a share of pixels."""


def expected_error(inputs: TrustInputs, calibration: ErrorCalibration) -> Tensor:
    """Predict the mean absolute error of each pixel, in shape and unit of the result.

    The calibration comes from the card of a model, or was made from pairs of the user.
    """
    mean, _ = predict_error(inputs, calibration.predictor)
    return mean * calibration.scale


def half_width(
    inputs: TrustInputs, calibration: ErrorCalibration, *, level: float = 0.9
) -> Tensor:
    """Return half the width of the interval that holds a share of true values.

    The interval lies around the result, in whose shape and unit it is given. The share
    `level`, one of those that the calibration was made for, is reached on average over
    images like those of the calibration: conformal risk control [1]_, where the risk is
    the share of pixels of an image outside their interval.

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
    """Predict the mean absolute error and the bound of 90%, before calibration.

    Both have the shape and unit of the result.
    """
    predictor = predictor.to(inputs.result.device)
    factor = inputs.factor
    if predictor.told and not inputs.image:
        raise ValueError("the predictor needs what is said of the whole image")
    image = inputs.image if predictor.told else ()

    def predict(result: Tensor, variance: Tensor) -> Tensor:
        features = _compute_features(result, variance, factor)
        features = _add_constants(features, image).movedim(1, -1)
        return predictor(features).movedim(-1, 0)[:, :, None]

    variance = _repeat(inputs.variance, factor)
    radius = EXPECTED_ERROR_RADIUS * factor
    # features and hidden layers of a whole plane would take many times its memory
    logarithms = map_row_chunks(predict, inputs.result, variance, radius=radius)
    mean, bound = logarithms.exp()
    return mean, bound


def pixel_features(inputs: TrustInputs) -> Tensor:
    """Return `FEATURES` of each pixel, or `TOLD_FEATURES` of a described image.

    Shape (N, features, H, W). Those of a pixel but brightness are natural logarithms of
    amounts in units of the range.
    """
    variance = _repeat(inputs.variance, inputs.factor)
    features = _compute_features(inputs.result, variance, inputs.factor)
    return _add_constants(features, inputs.image)


def describe_image(
    *, psf_sigma: float, noise: float, statistics: Mapping[str, float]
) -> tuple[float, ...]:
    """Return the last of `TOLD_FEATURES`, the same for all pixels of an image.

    Parameters
    ----------
    psf_sigma, noise
        What the model was told, see `SRModel.with_optics`.
    statistics
        Of the measured image, `out_of_distribution.compute_input_statistics`. All are
        ratios, so that gain and offset of the camera do not matter.
    """
    # a statistic is NaN where noise hides it: a number that none of them has
    found = [statistics.get(name, math.nan) for name in _STATISTICS]
    told = math.log(psf_sigma), math.log(max(noise, _LEAST_NOISE))
    return *told, *np.nan_to_num(found).tolist()


def _compute_features(result: Tensor, variance: Tensor, factor: int) -> Tensor:
    near, around = max(1, round(_NEAR * factor)), _AROUND * factor
    padded = reflect_pad(result, (1, 1), (1, 1))
    up, down = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    gradient = ((right - left) / 2) ** 2 + ((down - up) / 2) ** 2
    curvature = (left + right - 2 * result) + (up + down - 2 * result)
    amounts = [
        _deviate(result, near),
        _deviate(result, around),
        _average(gradient.sqrt() ** 2, factor).sqrt(),
        _average(curvature**2, factor).sqrt(),
        _average(variance.clamp_min(0), around).sqrt(),
    ]
    logarithms = [(amount + _SOFT).log() for amount in amounts]
    return torch.cat([result.clamp(-0.5, 1.5), *logarithms], dim=1)


def _add_constants(features: Tensor, constants: tuple[float, ...]) -> Tensor:
    count, _, height, width = features.shape
    found = features.new_tensor(constants)[None, :, None, None]
    return torch.cat([features, found.expand(count, -1, height, width)], dim=1)


def _repeat(variance: Tensor, factor: int) -> Tensor:
    return variance.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def _average(image: Tensor, radius: int) -> Tensor:
    return separable_filter(image, [1 / (2 * radius + 1)] * (2 * radius + 1))


def _deviate(image: Tensor, radius: int) -> Tensor:
    values = image.double()  # float32 is too coarse where the image is flat
    variance = _average(values**2, radius) - _average(values, radius) ** 2
    return variance.clamp_min(0).sqrt().to(image.dtype)
