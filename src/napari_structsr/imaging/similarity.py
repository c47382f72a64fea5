"""Structural similarity: the map, and the scores made from it.

All images are torch tensors of shape (N, C, H, W) in one unit, usually 0..1, and at
least 11 pixels along a side; scores have shape (N,). The window is a Gaussian of
sigma 1.5 pixels, cut to 11 x 11, as in Wang et al. 2004. Maps cover the image, which
continues beyond its border as its mirror image; scores leave out the 5 pixels at the
border where the window reaches beyond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_structsr.imaging.windows import windowed

__all__ = ["micro_ssim", "ms_ssim", "ssim", "ssim_map"]

_RADIUS = 5
_BELL = [math.exp(-0.5 * (k / 1.5) ** 2) for k in range(-_RADIUS, _RADIUS + 1)]
_WINDOW = [value / sum(_BELL) for value in _BELL]
_K1, _K2 = 0.01, 0.03
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_BACKGROUND = 3  # percentile
_FIT_WINDOWS = 1 << 14
_SAMPLE = 121 / 120  # variances of a sample of 121 pixels, as Ashesh et al. have it
_SMALLEST_SIDE = 2 * _RADIUS + 1


def ssim_map(result: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Return the structural similarity of each pixel's neighbourhood.

    Parameters
    ----------
    result, truth
        Shape (N, C, H, W).
    data_range
        Range of intensities; its share 0.01 and 0.03 steady dark and flat regions.

    Returns
    -------
    Tensor
        Shape (N, C, H, W), at most 1, which is equality.

    References
    ----------
    Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image quality assessment: from
    error visibility to structural similarity", IEEE TIP 13, 2004.
    """
    luminance, contrast = _moments(result, truth).terms(data_range)
    return luminance * contrast


def ssim(result: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Return the mean structural similarity, shape (N,)."""
    return _mean(_inside(ssim_map(result, truth, data_range=data_range)))


def ms_ssim(result: Tensor, truth: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Return the multi-scale structural similarity.

    Contrast and structure are compared on five scales, each the 2 x 2 mean of the one
    before, luminance on the last alone; the means are weighted as exponents.

    Parameters
    ----------
    result, truth
        Shape (N, C, H, W). Below 176 pixels along a side there are fewer scales, those
        that leave 11 pixels, and the weights are scaled to the sum 1.
    data_range
        As in `ssim_map`.

    Returns
    -------
    Tensor
        Shape (N,). The coarsest map counts to its border, since little else is left
        of a small image.

    References
    ----------
    Z. Wang, E. Simoncelli, A. Bovik, "Multi-scale structural similarity for image
    quality assessment", Asilomar 2003.
    """
    scales = int(math.log2(min(truth.shape[-2:]) / _SMALLEST_SIDE)) + 1
    weights = _SCALE_WEIGHTS[:scales]
    score = torch.ones(len(truth), dtype=truth.dtype, device=truth.device)
    for level, weight in enumerate(weights, start=1):
        luminance, contrast = _moments(result, truth).terms(data_range)
        whole = level == len(weights)
        mean = _mean(luminance * contrast if whole else _inside(contrast))
        score = score * mean.clamp_min(0) ** (weight / sum(weights))
        result, truth = F.avg_pool2d(result, 2), F.avg_pool2d(truth, 2)
    return score


def micro_ssim(result: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity that gain and offset do not change.

    From each image its third percentile is subtracted, and the result is multiplied
    by the one factor that makes SSIM largest. Where this is much higher than SSIM, the
    error is one of intensity.

    Parameters
    ----------
    result, truth
        Shape (N, C, H, W), any unit.

    Returns
    -------
    Tensor
        Shape (N,).

    References
    ----------
    A. Ashesh, J. Deschamps, F. Jug, "MicroSSIM: improved structural similarity for
    comparing microscopy data", arXiv:2408.08747, 2024.
    """
    scores = [
        _micro_ssim(one[None], other[None])
        for one, other in zip(result, truth, strict=True)
    ]
    return torch.cat(scores)


def _micro_ssim(result: Tensor, truth: Tensor) -> Tensor:
    """Score one image, shape (1, C, H, W)."""
    result, truth = result - _background(result), truth - _background(truth)
    largest = truth.max()
    result, truth = result / largest, truth / largest
    data_range = float(truth.max() - truth.min())
    moments = _moments(result, truth).inside().of_sample()
    step = max(1, math.isqrt(moments.mean_x.numel() // _FIT_WINDOWS))
    thin = moments.thinned(step)
    power = float((thin.mean_x**2).mean())
    if power == 0:
        return _mean(_product(moments.terms(data_range)))
    middle = float((thin.mean_x * thin.mean_z).mean()) / power
    # SSIM has one summit around the least-squares factor: search it ever finer
    low, high = 0.25 * middle, 4 * middle
    for _ in range(5):
        tried = torch.linspace(low, high, 9, dtype=torch.float64).tolist()
        values = [
            float(_product(thin.scaled(gain).terms(data_range)).mean())
            for gain in tried
        ]
        best = max(range(len(tried)), key=values.__getitem__)
        low, high = tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)]
    return _mean(_product(moments.scaled(tried[best]).terms(data_range)))


@dataclass(frozen=True)
class _Moments:
    """Local means, variances and covariance of result x and truth z."""

    mean_x: Tensor
    mean_z: Tensor
    variance_x: Tensor
    variance_z: Tensor
    covariance: Tensor

    def terms(self, data_range: float) -> tuple[Tensor, Tensor]:
        """Return the luminance, and the product of contrast and structure."""
        c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
        luminance = (2 * self.mean_x * self.mean_z + c1) / (
            self.mean_x**2 + self.mean_z**2 + c1
        )
        contrast = (2 * self.covariance + c2) / (self.variance_x + self.variance_z + c2)
        return luminance, contrast

    def scaled(self, gain: float) -> _Moments:
        """Return the moments of `gain` times the result."""
        return _Moments(
            gain * self.mean_x,
            self.mean_z,
            gain**2 * self.variance_x,
            self.variance_z,
            gain * self.covariance,
        )

    def of_sample(self) -> _Moments:
        """Take the pixels of a window as a sample, not as all there are."""
        return _Moments(
            self.mean_x,
            self.mean_z,
            _SAMPLE * self.variance_x,
            _SAMPLE * self.variance_z,
            _SAMPLE * self.covariance,
        )

    def thinned(self, step: int) -> _Moments:
        """Keep each `step`-th window along both sides."""
        return _Moments(*(part[..., ::step, ::step] for part in vars(self).values()))

    def inside(self) -> _Moments:
        """Leave out where the window reaches beyond the border."""
        return _Moments(*(_inside(part) for part in vars(self).values()))


def _moments(result: Tensor, truth: Tensor) -> _Moments:
    """Measure both images in the window, the same shape."""
    mean_x, mean_z = windowed(result, _WINDOW), windowed(truth, _WINDOW)
    return _Moments(
        mean_x,
        mean_z,
        (windowed(result**2, _WINDOW) - mean_x**2).clamp_min(0),
        (windowed(truth**2, _WINDOW) - mean_z**2).clamp_min(0),
        windowed(result * truth, _WINDOW) - mean_x * mean_z,
    )


def _background(image: Tensor) -> Tensor:
    """Return the low percentile of one image, of any size."""
    values = image.flatten()
    place = _BACKGROUND / 100 * (len(values) - 1)
    below = values.kthvalue(int(place) + 1).values
    above = values.kthvalue(min(int(place) + 2, len(values))).values
    return below + (place % 1) * (above - below)


def _product(terms: tuple[Tensor, Tensor]) -> Tensor:
    """Multiply the two terms of SSIM."""
    return terms[0] * terms[1]


def _inside(image: Tensor) -> Tensor:
    """Cut the border off."""
    return image[..., _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]


def _mean(image: Tensor) -> Tensor:
    """Average each image."""
    return image.flatten(1).mean(dim=1)
