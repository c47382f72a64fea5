"""Structural similarity: the map, and the scores made from it.

The window is a Gaussian of sigma 1.5 pixels, cut to 11 x 11, as in Wang et al. 2004;
images have at least 11 pixels along a side and are reflected at the border. Scores
leave out the 5 pixels at the border where the window reaches beyond.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_structsr.imaging.filters import (
    correlate_separable,
    gaussian_kernel,
    map_row_chunks,
    reflect_pad,
    separable_filter,
)

SSIM_RADIUS = 5
"""Pixels to each side that the map depends on."""

_WINDOW = gaussian_kernel(1.5, SSIM_RADIUS).tolist()
_K1, _K2 = 0.01, 0.03
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_MIN_SIDE = 2 * SSIM_RADIUS + 1
# of MicroSSIM, as in the package of its authors
_BACKGROUND = 3  # percentile
_FLAT = [1 / 7] * 7
_SAMPLE = 121 / 120  # variances are those of a sample of 121 pixels
_FIT_WINDOWS = 1 << 18


def ssim_map(result: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Return the structural similarity of each pixel's neighbourhood.

    The map has the shape (N, C, H, W) of the images, and is at most 1, which is
    equality. 0.01 and 0.03 of the range of intensities stabilise dark and flat regions.

    References
    ----------
    Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image quality assessment: from
    error visibility to structural similarity", IEEE TIP 13, 2004.
    """
    return _map_ssim(result, truth, data_range)


def ssim(result: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Return the mean structural similarity, shape (N,)."""
    return _average(_crop_border(ssim_map(result, truth, data_range=data_range)))


def ms_ssim(result: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Return the multi-scale structural similarity, shape (N,).

    Contrast and structure are compared on five scales, each the 2 x 2 mean of the one
    before, luminance on the last alone; the means are weighted as exponents. Below 176
    pixels along a side there are fewer scales, those that leave 11 pixels, and the
    weights are scaled to the sum 1.

    References
    ----------
    Z. Wang, E. Simoncelli, A. Bovik, "Multi-scale structural similarity for image
    quality assessment", Asilomar 2003.
    """
    scales = int(math.log2(min(truth.shape[-2:]) / _MIN_SIDE)) + 1
    weights = _SCALE_WEIGHTS[:scales]
    score = torch.ones(len(truth), dtype=truth.dtype, device=truth.device)
    for level, weight in enumerate(weights, start=1):
        if level == len(weights):  # to the border, since little else is left of it
            mean = _average(_map_ssim(result, truth, data_range))
        else:
            mean = _average(
                _crop_border(_map_ssim(result, truth, data_range, term="contrast"))
            )
        # a negative mean has no root
        score = score * mean.clamp_min(0) ** (weight / sum(weights))
        result, truth = F.avg_pool2d(result, 2), F.avg_pool2d(truth, 2)
    return score


def micro_ssim(result: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity that gain and offset do not change, shape (N,).

    The third percentile of each image is subtracted, and the result multiplied by the
    factor that makes SSIM in flat windows of 7 x 7 pixels largest. Where this score is
    much higher than SSIM, the error is one of intensity. Units may be any.

    References
    ----------
    A. Ashesh, J. Deschamps, F. Jug, "MicroSSIM: improved structural similarity for
    comparing microscopy data", arXiv:2408.08747, 2024.
    """
    pairs = zip(result, truth, strict=True)
    return torch.cat([_micro_ssim(one[None], other[None]) for one, other in pairs])


def _micro_ssim(result: Tensor, truth: Tensor) -> Tensor:
    result, truth = result - _find_background(result), truth - _find_background(truth)
    data_range = float(truth.max() - truth.min())
    if data_range == 0:  # a constant is equal to another, and like nothing else
        return (result == 0).all().to(truth.dtype)[None]
    # as in the package of its authors, which divides by the largest value
    unit = float(truth.max()) or data_range
    result, truth, data_range = result / unit, truth / unit, data_range / unit
    result = _find_best_gain(result, truth, data_range) * result
    return _average(_crop_border(_map_ssim(result, truth, data_range, share=_SAMPLE)))


def _map_ssim(
    result: Tensor,
    truth: Tensor,
    data_range: float,
    *,
    term: Literal["all", "contrast"] = "all",
    share: float = 1.0,
) -> Tensor:
    # all of SSIM, or contrast and structure alone; `share` multiplies variances
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2

    def compare(x: Tensor, z: Tensor) -> Tensor:
        pad = (SSIM_RADIUS, SSIM_RADIUS)
        # A local variance is a small difference of large means where an image is bright
        # and flat: in float32 the map would depend on an offset and on its tile.
        x, z = (reflect_pad(image.double(), pad, pad) for image in (x, z))
        mean_x, mean_z, product, power = (
            # one by one, so that what is summed stays in the cache
            correlate_separable(image, _WINDOW, _WINDOW)
            for image in (x, z, x * z, x.square().add_(z.square()))
        )
        means = mean_x * mean_z
        squares = mean_x.square_().add_(mean_z.square_())
        variances = power.sub_(squares).clamp_min_(0).mul_(share).add_(c2)
        covariance = product.sub_(means).mul_(share)
        found: Tensor = covariance.mul_(2).add_(c2).div_(variances)
        if term == "all":
            found.mul_(means.mul_(2).add_(c1).div_(squares.add_(c1)))
        return found.to(truth.dtype)

    return map_row_chunks(compare, result, truth, radius=SSIM_RADIUS)


def _find_best_gain(result: Tensor, truth: Tensor, data_range: float) -> float:
    mean_x, mean_z, variance_x, variance_z, covariance = _measure_flat_windows(
        result, truth
    )
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2

    def score(gain: float) -> float:
        luminance = (2 * gain * mean_x * mean_z + c1) / (
            gain**2 * mean_x**2 + mean_z**2 + c1
        )
        contrast = (2 * gain * covariance + c2) / (
            gain**2 * variance_x + variance_z + c2
        )
        return float((luminance * contrast).mean())

    power = float((mean_x**2).mean())
    middle = float((mean_x * mean_z).mean()) / power if power else 0.0
    if middle == 0:
        return 1.0
    # SSIM has one maximum, below the least-squares factor where the result is noisy
    low, high = 1 / 64, 4.0
    for _ in range(6):
        tried = (middle * np.geomspace(low, high, 9)).tolist()
        scores = [score(gain) for gain in tried]
        best = max(range(len(tried)), key=scores.__getitem__)
        low, high = (
            tried[near] / middle for near in (max(best - 1, 0), min(best + 1, 8))
        )
    return float(tried[best])


def _measure_flat_windows(result: Tensor, truth: Tensor) -> Tensor:
    # means and variances of result and truth, and their covariance; the gain is well
    # determined long before all windows of a large image are measured
    reach = len(_FLAT) // 2
    step = max(1, math.isqrt(truth.numel() // _FIT_WINDOWS))

    def measure(x: Tensor, z: Tensor) -> Tensor:
        x, z = x.double(), z.double()
        mean_x, mean_z, square_x, square_z, product = (
            separable_filter(image, _FLAT) for image in (x, z, x**2, z**2, x * z)
        )
        variances = square_x - mean_x**2, square_z - mean_z**2
        covariance = product - mean_x * mean_z
        return torch.stack([mean_x, mean_z, *variances, covariance]).to(truth.dtype)

    moments = map_row_chunks(measure, result, truth, radius=reach)
    moments = _crop_border(moments, reach)[..., ::step, ::step].double()
    pixels = len(_FLAT) ** 2
    moments[2:] *= pixels / (pixels - 1)  # variances of a sample
    return moments


def _find_background(image: Tensor) -> Tensor:
    values = image.flatten()  # torch.quantile takes no more than 2^24 of them
    place = _BACKGROUND / 100 * (len(values) - 1)
    below = values.kthvalue(int(place) + 1).values
    above = values.kthvalue(min(int(place) + 2, len(values))).values
    return below + (place % 1) * (above - below)


def _crop_border(image: Tensor, reach: int = SSIM_RADIUS) -> Tensor:
    return image[..., reach:-reach, reach:-reach]


def _average(image: Tensor) -> Tensor:
    return image.flatten(1).mean(dim=1)
