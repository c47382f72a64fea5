"""What an image shows of the width of its blur.

A scene may be soft by itself, so that no image tells how wide its blur is. It shows
what the blur cannot exceed, and how fast detail fades towards the noise. Three views of
that, each a width in measured pixels:

cut-off
    Decorrelation analysis finds the highest frequency that stands out from noise.
spectrum
    Power against frequency, above that of the noise, is fitted by a power law, which
    most scenes follow, times a Gaussian.
edges
    Every edge is widened by the blur. The ratio of its gradients at two scales tells
    its width; the sharpest quarter of the clearest edges counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_gradient_magnitude, maximum_filter
from scipy.optimize import nnls

from napari_structsr.core.intensity import Intensity
from napari_structsr.core.types import Array, Float64Array
from napari_structsr.imaging.decorrelation import decorrelation_resolution

_PARTS = 8  # the busiest ones, so that an answer takes a second
_LEAST = 32  # pixels along a side of a part that can be looked at
_RINGS = 48
_CLEAR = 3.0  # times the noise, from which on a ring tells of the scene
_SCALES = (0.8, 1.4)  # pixels, at which gradients are compared
_CLEAR_EDGE = 8.0  # times the noise of a gradient
_SHARPEST = 0.25  # of the clear edges
_WIDEST = 4.0  # pixels; what is softer is no image of anything


@dataclass(frozen=True)
class Evidence:
    """Three views of the width of the blur, in measured pixels.

    Parameters
    ----------
    cut_off, spectrum, edges
        See the module; the widest that can be told where there is nothing to see.
    reach
        Highest frequency at which light stands clear of noise, in cycles per pixel.
    noise
        Standard deviation of the noise at half of the range, relative to it.
    """

    cut_off: float
    spectrum: float
    edges: float
    reach: float
    noise: float


def gather_evidence(blocks: Sequence[Array], intensity: Intensity) -> Evidence | None:
    """Return what parts of a channel show of its blur; None where they show nothing.

    Parameters
    ----------
    blocks
        Parts of planes, shape (y, x); those with NaN or below 32 pixels are left out.
    intensity
        Range and noise of the channel.
    """
    images = [
        (block.astype(np.float64) - intensity.low) / intensity.span
        for block in blocks
        if min(block.shape) >= _LEAST and np.isfinite(block).all()
    ]
    # where nothing is seen there is nothing to measure
    images = sorted(images, key=_rate_detail, reverse=True)[:_PARTS]
    images = [image for image in images if image.std() > 0]
    if not images or intensity.constant:
        return None
    shot, floor = intensity.relative_noise
    variances = [floor + shot * max(float(image.mean()), 0.0) for image in images]
    spectrum, reach = _fit_spectrum(images, variances)
    return Evidence(
        _find_cut_off(images),
        spectrum,
        _find_edges(images, shot, floor),
        reach,
        math.sqrt(0.5 * shot + floor),
    )


def _rate_detail(image: Float64Array) -> float:
    """Return how much there is to see at the scale of a blur."""
    return float(np.square(gaussian_gradient_magnitude(image, _SCALES[1])).mean())


def _find_cut_off(images: Sequence[Float64Array]) -> float:
    periods = [
        float(decorrelation_resolution(torch.from_numpy(image)[None, None])[0])
        for image in images
    ]
    periods = [period for period in periods if math.isfinite(period)]
    # the sharpest parts: others are out of focus, or empty
    return float(np.quantile(periods, 0.2)) / math.pi if periods else _WIDEST


def _fit_spectrum(
    images: Sequence[Float64Array], variances: Sequence[float]
) -> tuple[float, float]:
    """Return the width of the Gaussian in the mean spectrum, and its reach."""
    total, noise, count = (np.zeros(_RINGS) for _ in range(3))
    for image, variance in zip(images, variances, strict=True):
        window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
        power = np.abs(np.fft.rfft2((image - image.mean()) * window)) ** 2
        radius = np.hypot(
            np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])
        )
        ring = (radius * 2 * _RINGS).astype(int)
        inside = ring < _RINGS
        mean = (window**2).sum()
        total += np.bincount(ring[inside], power[inside] / mean, minlength=_RINGS)
        noise += variance * np.bincount(ring[inside], minlength=_RINGS)
        count += np.bincount(ring[inside], minlength=_RINGS)
    frequency = (np.arange(_RINGS) + 0.5) / (2 * _RINGS)
    total, noise = total / count, noise / count
    # the finest ring cannot have less power than the noise it is made of
    noise = np.minimum(noise, total[-4:].mean())
    clear = total > _CLEAR * noise
    stop = int(np.argmin(np.append(clear[2:], False))) + 2
    used = slice(2, stop)
    if stop < 6:
        return _WIDEST, float(frequency[stop])
    f = frequency[used]
    signal = np.log(total[used] - noise[used]) - 2 * np.log(np.sinc(f))
    # log P = a - b log f - 4 pi² sigma² f², none of the last two below zero
    design = np.stack(
        [np.ones_like(f), -np.ones_like(f), -np.log(f), -((2 * math.pi * f) ** 2)], 1
    )
    weight = np.sqrt(np.arange(len(f)) + 1.0)
    (*_, variance), _ = nnls(design * weight[:, None], signal * weight)
    return min(math.sqrt(variance), _WIDEST), float(frequency[stop - 1])


def _find_edges(images: Sequence[Float64Array], shot: float, floor: float) -> float:
    widths, sizes = [], []
    fine, coarse = _SCALES
    for image in images:
        one, other = (gaussian_gradient_magnitude(image, scale) for scale in _SCALES)
        # noise of a Gaussian derivative: sigma / (2 sqrt(2 pi) s²), for each direction
        level = np.sqrt(floor + shot * np.clip(image, 0, None))
        noise = level / (math.sqrt(8 * math.pi) * coarse**2) * math.sqrt(2)
        crest = (other == maximum_filter(other, 3)) & (other > _CLEAR_EDGE * noise)
        crest[:4] = crest[-4:] = crest[:, :4] = crest[:, -4:] = False
        ratio = (one[crest] / other[crest]) ** 2
        # (sigma² + coarse²) / (sigma² + fine²) of a straight edge
        ratio = np.maximum(ratio, 1 + 1e-3)
        widths.append((coarse**2 - ratio * fine**2) / (ratio - 1))
        sizes.append(other[crest])
    found, size = np.concatenate(widths), np.concatenate(sizes)
    if len(found) < 10:
        return _WIDEST
    # faint edges are textures more often than borders
    found = found[size >= np.quantile(size, 0.5)]
    variance = float(np.quantile(found, _SHARPEST))
    return min(math.copysign(math.sqrt(abs(variance)), variance), _WIDEST)
