"""Richardson-Lucy deconvolution of the interpolated image, the classical method.

The iteration is that of ``skimage.restoration.richardson_lucy`` from a flat start,
with separable blurs and mirrored borders in the place of its FFT and zero padding.

It knows what no network is told: point-spread function, photons and camera noise of
the measurement. It stops by the discrepancy principle (Morozov 1966): as soon as the
deconvolved image, blurred again, differs from the interpolated one by no more than the
noise in it, or after 50 iterations. Nothing was tuned.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from napari_structsr.benchmark.tracks import Track
from napari_structsr.core.types import Float32Array
from napari_structsr.imaging.filters import separable_filter
from napari_structsr.models.generator import interpolate

_ITERATIONS = 50
_FLOOR = 1e-6  # of the range; the iteration needs positive values


def interpolate_and_deconvolve(measured: Float32Array, track: Track) -> Float32Array:
    """Interpolate a measured plane, shape (h, w), and deconvolve it."""
    image = interpolate(
        torch.from_numpy(measured)[None, None], track.factor, mode="bicubic"
    )
    noise = math.sqrt(mean_variance(measured, track) * measure_noise_gain(track.factor))
    result = deconvolve(image, _make_blur(track), noise=noise)
    plane: Float32Array = result[0, 0].numpy()
    return plane


def deconvolve(
    image: Tensor, blur: list[float], *, noise: float, iterations: int = _ITERATIONS
) -> Tensor:
    """Sharpen an image by Richardson-Lucy iterations.

    Parameters
    ----------
    image
        Shape (N, 1, H, W), 0 for no light.
    blur
        Symmetric separable point-spread function, an odd number of weights.
    noise
        Standard deviation of the noise of `image`, at which to stop.
    iterations
        Largest number of iterations.
    """
    image = image.clamp_min(_FLOOR)
    # flat and positive; the iteration multiplies, and what is 0 stays 0
    result = torch.full_like(image, 0.5)
    for _ in range(iterations):
        again = separable_filter(result, blur)
        # going on would fit the noise
        if float(((again - image) ** 2).mean().sqrt()) <= noise:
            break
        result = result * separable_filter(image / again.clamp_min(1e-12), blur)
    return result


def _make_blur(track: Track) -> list[float]:
    """Return the Gaussian and the area of a measured pixel, in result pixels."""
    area = np.ones(track.factor + 1 - track.factor % 2)
    if track.factor % 2 == 0:
        area[[0, -1]] = 0.5  # half of an even side lies on either side of the centre
    kernel = np.convolve(track.kernel, area / area.sum())
    return [float(weight) for weight in kernel]


def mean_variance(measured: Float32Array, track: Track) -> float:
    """Return the variance of the noise of a measured plane, in the mean."""
    light = float(np.clip(measured, 0, None).mean())
    return light / track.photons + track.read_noise**2


def measure_noise_gain(factor: int) -> float:
    """Return the variance that interpolation leaves of white noise, in the mean."""
    # white noise is a sum of independent points, whose variances add
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    return float((interpolate(point, factor, mode="bicubic") ** 2).sum()) / factor**2
