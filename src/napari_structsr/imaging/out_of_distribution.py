"""Detection of images unlike those that a model was trained on.

A few statistics describe an image, each something that a person can see, in units of
its range, so that gain and offset of the camera do not matter. Their ranges over the
training images travel with the model, and each that lies outside is reported in a
sentence. They were chosen on the training images, as the simplest that set apart
images with more noise, with more blur, saturated ones and those of single molecules.
An image may be unlike the training in ways that none of them shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from napari_structsr.core.types import Float64Array

_MIN_SIDE = 16
_LIMITS = (-1.0, 2.0)  # a hot pixel counts no more than this
_MIN_SHARE = 0.02  # of the power; less cannot be told from noise
_QUANTILES = (0.5, 0.99, 0.999)

_DESCRIPTIONS = {
    "noise": "noise is {} of the range",
    "fine_detail": "the share of fine detail is {}",
    "spots": "the measure of small spots is {}",
    "headroom": "the spread of the brightest pixels is {} of the range",
    "fill": "the middle level is {} of the range",
}
_HINTS = {
    ("fine_detail", "low"): " (blurred or enlarged?)",
    ("spots", "high"): " (single molecules?)",
    ("headroom", "low"): " (saturated?)",
}


def compute_input_statistics(measured: Tensor, variance: Tensor) -> dict[str, Tensor]:
    """Describe images by a few statistics.

    Those of a large image are the medians over blocks of about 160 x 160 pixels spread
    over it, in training as in use.

    Parameters
    ----------
    measured
        Shape (N, 1, h, w), where 0 and 1 are the percentiles 0.1 and 99.9 of the
        whole image.
    variance
        Variance of its noise, same shape.

    Returns
    -------
    dict of str to Tensor
        Each of shape (N,); NaN where noise hides it or the block is smaller than
        16 pixels:

        noise
            Median standard deviation of the noise.
        fine_detail
            Of the change of slope over 4 pixels, the share that shows over 2 already.
            Low in blurred images. White noise does not enter it.
        spots
            ``s * log10(kurtosis)``, where s is the share of the contrast that is
            lost over 4 pixels. High where the contrast sits in few small spots.
        headroom
            Percentile 99.9 less percentile 99, over percentile 99.9 less the median.
            0 in saturated images.
        fill
            Median: low in dark images with few things, high in bright-field images.
    """
    values = measured.clamp(*_LIMITS)
    noise = variance.flatten(1)
    grain = noise.mean(dim=1)
    median, high, highest = _find_quantiles(values)
    found = {"noise": noise.sqrt().median(dim=1).values}
    if min(values.shape[-2:]) < _MIN_SIDE:
        nothing = torch.full_like(grain, torch.nan)
        return (
            found
            | dict.fromkeys(("fine_detail", "spots", "headroom"), nothing)
            | {"fill": median}
        )
    # white noise adds the same to the curvature over any step, and drops out of the
    # differences
    near, middle, far = (_mean_square_curvature(values, step) for step in (1, 2, 4))
    centred = values - values.mean(dim=(-2, -1), keepdim=True)
    power = centred.square().flatten(1).mean(dim=1)
    # contrast in few small spots has a high kurtosis and changes within a few pixels
    kurtosis = centred.pow(4).flatten(1).mean(dim=1) / power**2
    lost = (_mean_square_step(values, 4) / 2 - grain) / (power - grain)
    return found | {
        "fine_detail": _mask(
            (middle - near) / (far - near), far - near > _MIN_SHARE * far
        ),
        "spots": _mask(
            kurtosis.log10() * lost.clamp_min(0),
            power - grain > _MIN_SHARE * power,
        ),
        "headroom": _mask((highest - high) / (highest - median), highest > median),
        "fill": median,
    }


def find_input_ranges(
    samples: Sequence[Mapping[str, float]], *, share: float = 0.98
) -> dict[str, tuple[float, float]]:
    """Return the ranges of the statistics that hold most of the training images.

    The samples farthest from the rest are left out: the distance is that from the
    median over the interquartile range, in the statistic where it is largest. The
    others lie within all ranges.

    Parameters
    ----------
    samples
        What `compute_input_statistics` found for each image, at least one, the same
        names in all. NaN counts as near.
    share
        Share of samples to keep.
    """
    if not samples:
        raise ValueError("ranges need the statistics of at least one image")
    table = {
        name: np.array([sample[name] for sample in samples])
        for name in samples[0]
        if not all(np.isnan(sample[name]) for sample in samples)
    }
    # one distance for all statistics, so that a sample is left out of all ranges
    distance = np.max([_measure_distance(values) for values in table.values()], axis=0)
    kept = np.argsort(distance, kind="stable")[: math.ceil(share * len(samples))]
    return {
        name: (float(np.nanmin(values[kept])), float(np.nanmax(values[kept])))
        for name, values in table.items()
        if not np.isnan(values[kept]).all()
    }


def describe_outliers(
    found: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]
) -> list[str]:
    """Describe each statistic of an image outside its range over the training images.

    Each by a sentence without a full stop, such as "noise is 0.12 of the range,
    training saw 0.001 to 0.05". NaN is passed over.
    """
    sentences = []
    for name, (low, high) in ranges.items():
        value = found.get(name, np.nan)
        if value < low or value > high:
            said = _DESCRIPTIONS.get(name, f"{name} is {{}}").format(f"{value:.3g}")
            hint = _HINTS.get((name, "low" if value < low else "high"), "")
            sentences.append(f"{said}{hint}, training saw {low:.3g} to {high:.3g}")
    return sentences


def _mean_square_curvature(values: Tensor, step: int) -> Tensor:
    total = torch.zeros(len(values), dtype=values.dtype, device=values.device)
    for dim in (-2, -1):
        size = values.shape[dim] - 2 * step
        left, centre, right = (values.narrow(dim, n * step, size) for n in range(3))
        total += (left - 2 * centre + right).square().flatten(1).mean(dim=1) / 2
    return total


def _mean_square_step(values: Tensor, step: int) -> Tensor:
    total = torch.zeros(len(values), dtype=values.dtype, device=values.device)
    for dim in (-2, -1):
        size = values.shape[dim] - step
        left, right = values.narrow(dim, 0, size), values.narrow(dim, step, size)
        total += (right - left).square().flatten(1).mean(dim=1) / 2
    return total


def _find_quantiles(values: Tensor) -> list[Tensor]:
    # torch.quantile interpolates, and takes no more than 2^24 pixels
    flat = values.flatten(1)
    last = flat.shape[1] - 1
    return [flat.kthvalue(round(q * last) + 1, dim=1).values for q in _QUANTILES]


def _mask(value: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, value, torch.nan)


def _measure_distance(values: Float64Array) -> Float64Array:
    low, median, high = np.nanquantile(values, (0.25, 0.5, 0.75))
    away = np.abs(np.nan_to_num(values, nan=median) - median)
    return np.asarray(away / (high - low) if high > low else away)
