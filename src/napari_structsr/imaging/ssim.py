"""Structural similarity: the map, and the scores made from it.

The window is a Gaussian of sigma 1.5 pixels, cut to 11 x 11, as in Wang et al. 2004;
images have at least 11 pixels along a side and are reflected at the border. Scores
leave out the 5 pixels at the border where the window reaches beyond.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_structsr.imaging.filters import (
    correlate_separable,
    gaussian_kernel,
    reflect_pad,
)
from napari_structsr.imaging.row_chunks import map_row_chunks

SSIM_RADIUS = 5
"""Pixels to each side that the map depends on."""

_WINDOW = gaussian_kernel(1.5, SSIM_RADIUS).tolist()
_K1, _K2 = 0.01, 0.03
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_MIN_SIDE = 2 * SSIM_RADIUS + 1
# of MicroSSIM, as in the package of its authors
_BACKGROUND = 3  # percentile
_FLAT = 7  # pixels along a flat window
_SAMPLE = 121 / 120  # variances are those of a sample of 121 pixels
_FIT_WINDOWS = 1 << 16


class SimilarityScores(NamedTuple):
    """What `score_similarity` finds."""

    ssim: Tensor
    """The map of `ssim_map`, shape (N, C, H, W)."""
    ms_ssim: Tensor
    """That of `ms_ssim`, shape (N,)."""
    micro_ssim: Tensor
    """That of `micro_ssim`, shape (N,)."""


class _Comparison(NamedTuple):
    """One way to compare the local moments of two images."""

    data_range: float
    # all of SSIM, or contrast and structure alone
    term: Literal["all", "contrast"] = "all"
    share: float = 1.0  # multiplies variances
    gain: float = 1.0  # of the result, after what follows
    backgrounds: tuple[float, float] = (0.0, 0.0)  # subtracted from result and truth


def ssim_map(result: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Return the structural similarity of each pixel's neighbourhood.

    The map has the shape (N, C, H, W) of the images, and is at most 1, which is
    equality. 0.01 and 0.03 of the range of intensities stabilise dark and flat regions.

    References
    ----------
    Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image quality assessment: from
    error visibility to structural similarity", IEEE TIP 13, 2004.
    """
    return _compare(result, truth, _Comparison(data_range))[0]


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
    first = _compare(result, truth, _choose_first_comparison(truth, data_range))[0]
    return _go_on_by_scales(first, result, truth, data_range)


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


def score_similarity(
    result: Tensor, truth: Tensor, *, data_range: float = 1.0
) -> SimilarityScores:
    """Return the map, `ms_ssim` and `micro_ssim` of one image, (1, 1, H, W), together.

    They compare the same local moments, which take most of the time and are measured
    once.
    """
    # with one scale alone MS-SSIM takes the whole of SSIM
    whole, contrast = (
        _Comparison(data_range),
        _choose_first_comparison(truth, data_range),
    )
    flat = _is_constant(truth)
    micro = [] if flat else [_choose_micro_comparison(result, truth)]
    similar, first, *found = _compare(result, truth, whole, contrast, *micro)
    return SimilarityScores(
        similar,
        _go_on_by_scales(first, result, truth, data_range),
        _average(_crop_border(found[0])) if found else _score_flat(result),
    )


def _micro_ssim(result: Tensor, truth: Tensor) -> Tensor:
    if _is_constant(truth):
        return _score_flat(result)
    found = _compare(result, truth, _choose_micro_comparison(result, truth))[0]
    return _average(_crop_border(found))


def _is_constant(image: Tensor) -> bool:
    return bool(image.max() == image.min())


def _score_flat(result: Tensor) -> Tensor:
    """Return MicroSSIM with a constant: it is like another, and like nothing else."""
    return torch.full((1,), float(_is_constant(result)), dtype=result.dtype)


def _choose_micro_comparison(result: Tensor, truth: Tensor) -> _Comparison:
    backgrounds = _find_background(result), _find_background(truth)
    data_range = float(truth.max() - truth.min())
    gain = _find_best_gain(result, truth, backgrounds, data_range)
    return _Comparison(data_range, "all", _SAMPLE, gain, backgrounds)


def _weigh_scales(image: Tensor) -> tuple[float, ...]:
    """Return the exponents of those scales of MS-SSIM that an image has."""
    weights = _SCALE_WEIGHTS[: int(math.log2(min(image.shape[-2:]) / _MIN_SIDE)) + 1]
    return tuple(weight / sum(weights) for weight in weights)


def _choose_first_comparison(truth: Tensor, data_range: float) -> _Comparison:
    """Return what MS-SSIM compares on the finest scale."""
    several = len(_weigh_scales(truth)) > 1
    return _Comparison(data_range, "contrast" if several else "all")


def _go_on_by_scales(
    found: Tensor, result: Tensor, truth: Tensor, data_range: float
) -> Tensor:
    """Return MS-SSIM of two images, of which the finest scale is compared."""
    weights = _weigh_scales(truth)
    score = torch.ones(len(truth), dtype=truth.dtype, device=truth.device)
    for level, weight in enumerate(weights, start=1):
        last = level == len(weights)
        if level > 1:
            result, truth = F.avg_pool2d(result, 2), F.avg_pool2d(truth, 2)
            comparison = _Comparison(data_range, "all" if last else "contrast")
            found = _compare(result, truth, comparison)[0]
        # the last one to the border, since little else is left of it
        mean = _average(found if last else _crop_border(found))
        # a negative mean has no root
        score = score * mean.clamp_min(0) ** weight
    return score


def _compare(result: Tensor, truth: Tensor, *comparisons: _Comparison) -> Tensor:
    """Return a map for each comparison, shape (comparisons, N, C, H, W)."""
    gains = {comparison.gain for comparison in comparisons}

    def compare(x: Tensor, z: Tensor) -> Tensor:
        pad = (SSIM_RADIUS, SSIM_RADIUS)
        # A local variance is a small difference of large means where an image is bright
        # and flat: in float32 the map would depend on an offset and on its tile.
        x, z = (reflect_pad(image.double(), pad, pad) for image in (x, z))
        # one by one, so that what is summed stays in the cache
        mean_x, mean_z, product = (_average_window(image) for image in (x, z, x * z))
        covariance = product.sub_(mean_x * mean_z)
        square_x, square_z = x.square(), z.square_()
        # of both images, with the result times a gain
        variances = {
            gain: _average_window(torch.add(square_z, square_x, alpha=gain**2))
            .sub_(torch.addcmul((gain * mean_x).square_(), mean_z, mean_z))
            .clamp_min_(0)
            for gain in gains
        }
        found = x.new_empty((len(comparisons), *mean_x.shape), dtype=truth.dtype)
        for place, comparison in zip(found, comparisons, strict=True):
            data_range, term, share, gain, (below_x, below_z) = comparison
            c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
            similar = (covariance * (2 * share * gain)).add_(c2)
            similar.div_((variances[gain] * share).add_(c2))
            if term == "all":
                level_x, level_z = (mean_x - below_x).mul_(gain), mean_z - below_z
                both = (level_x * level_z).mul_(2).add_(c1)
                similar.mul_(both)
                similar.div_(level_x.square_().add_(level_z.square_()).add_(c1))
            place.copy_(similar)
        return found

    return map_row_chunks(compare, result, truth, radius=SSIM_RADIUS)


def _average_window(image: Tensor) -> Tensor:
    return correlate_separable(image, _WINDOW, _WINDOW)


def _find_best_gain(
    result: Tensor, truth: Tensor, backgrounds: tuple[float, float], data_range: float
) -> float:
    mean_x, mean_z, variance_x, variance_z, covariance = _measure_flat_windows(
        result - backgrounds[0], truth - backgrounds[1]
    )
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    square_x, square_z = mean_x.square(), mean_z.square().add_(c1)
    means, covariance = 2 * mean_x * mean_z, 2 * covariance
    variance_z = variance_z + c2

    def score(gain: float) -> float:
        found = (means * gain).add_(c1).mul_((covariance * gain).add_(c2))
        found.div_(torch.add(square_z, square_x, alpha=gain**2))
        found.div_(torch.add(variance_z, variance_x, alpha=gain**2))
        return float(found.mean())

    power = float(square_x.mean())
    middle = float(means.mean()) / 2 / power if power else 0.0
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
    """Return means and variances of result and truth, and their covariance."""
    # the gain is well determined long before all windows of a large image are measured
    step = max(1, math.isqrt(truth.numel() // _FIT_WINDOWS))
    x, z = result.double(), truth.double()
    flat = [1 / _FLAT] * _FLAT
    mean_x, mean_z, square_x, square_z, product = (
        correlate_separable(image, flat, flat, stride=step)
        for image in (x, z, x * x, z * z, x * z)
    )
    sample = _FLAT**2 / (_FLAT**2 - 1)
    return torch.stack(
        [
            mean_x,
            mean_z,
            sample * (square_x - mean_x.square()),
            sample * (square_z - mean_z.square()),
            sample * (product - mean_x * mean_z),
        ]
    )


def _find_background(image: Tensor) -> float:
    # torch.quantile takes no more than 2^24 values
    return float(np.percentile(image.cpu().numpy(), _BACKGROUND))


def _crop_border(image: Tensor, reach: int = SSIM_RADIUS) -> Tensor:
    return image[..., reach:-reach, reach:-reach]


def _average(image: Tensor) -> Tensor:
    return image.flatten(1).mean(dim=1)
