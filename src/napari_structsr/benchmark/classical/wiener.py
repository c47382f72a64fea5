"""Wiener deconvolution of the interpolated image, the classical linear method.

It knows point-spread function, photons and camera noise of the measurement, as
Richardson-Lucy here does. The power spectrum of the truth, which the filter needs too,
is taken ring by ring from that of the measurement where it stands clear of the noise,
and goes on beyond as a power law. Nothing was tuned.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from napari_structsr.benchmark.classical.richardson_lucy import mean_variance
from napari_structsr.benchmark.tracks import Track
from napari_structsr.core.types import Array, Float32Array
from napari_structsr.models.generator import interpolate

_RINGS = 25
_LOWEST = 0.01  # cycles per measured pixel
_FEWEST = 4  # waves of a ring
_CLEAR = 1.3  # times the noise, from which on a ring tells of the signal
_TAIL = 8  # rings that say how the spectrum goes on
_SLOPE = -2.0  # of the power of most images, by the logarithm
_KEYS = -0.75  # the parameter of bicubic interpolation here


def interpolate_and_filter(measured: Float32Array, track: Track) -> Float32Array:
    """Interpolate a measured plane, shape (h, w), and filter it."""
    factor = track.factor
    base = interpolate(torch.from_numpy(measured)[None, None], factor, mode="bicubic")
    image = base[0, 0].double().numpy()
    level = image.mean()
    # mirrored, so that the period of the transform has no edge
    wide = np.pad(image - level, [(0, size) for size in image.shape], mode="symmetric")
    spectrum = np.fft.rfft2(wide)
    down = np.fft.fftfreq(wide.shape[0])[:, None] * factor
    right = np.fft.rfftfreq(wide.shape[1])[None, :] * factor
    radius = np.hypot(down, right)
    seen = np.exp(-2 * (math.pi * track.psf_sigma * radius) ** 2)
    kernel = np.ones_like(radius)
    for frequency in (down, right):
        seen = seen * _transfer_of_pixels(frequency, factor)
        kernel = kernel * _transfer_of_bicubic(frequency, factor)
    noise = mean_variance(measured, track) * factor**2 * kernel**2
    power = np.abs(spectrum) ** 2 / wide.size
    measured_band = (np.abs(down) <= 0.5) & (np.abs(right) <= 0.5) & (radius > 0)
    through = seen * kernel
    signal = _estimate_spectrum(radius, power, noise, through, measured_band)
    filtered = spectrum * through * signal / (through**2 * signal + noise + 1e-30)
    filtered[~measured_band] = 0  # the mean among them, which is added again
    height, width = image.shape
    result = np.fft.irfft2(filtered, s=wide.shape)[:height, :width] + level
    plane: Float32Array = result.astype(np.float32)
    return plane


def _estimate_spectrum(
    radius: Array, power: Array, noise: Array, through: Array, band: Array
) -> Array:
    """Return the power spectrum of the truth, as rings of the measured one tell it."""
    edges = np.geomspace(_LOWEST, 0.5, _RINGS + 1)
    ring = np.digitize(radius, edges)
    points = []
    for number in range(len(edges)):
        inside = band & (ring == number)
        if inside.sum() < _FEWEST:
            continue
        total, floor = power[inside].mean(), noise[inside].mean()
        if total < _CLEAR * floor:
            break  # finer rings hold noise alone
        seen = (through[inside] ** 2).mean()
        middle = math.log(radius[inside].mean())
        points.append((middle, math.log(max(total - floor, 1e-30) / seen)))
    place = np.log(np.maximum(radius, 1e-9))
    if len(points) < 2:  # noise everywhere: the spectrum that most images have
        level = math.log(max((power - noise)[band].mean(), 1e-30))
        points, slope = [(math.log(0.1), level)], _SLOPE
    else:
        steps, logs = np.array(points[-_TAIL:]).T
        slope = min(float(np.polyfit(steps, logs, 1)[0]), -1.0)
    places, values = np.array(points).T
    curve = np.interp(place, places, values)
    beyond = np.maximum(place - places[-1], 0)
    spectrum: Array = np.exp(curve + slope * beyond)
    return spectrum


def _transfer_of_pixels(frequency: Array, factor: int) -> Array:
    """Return the transfer function of the mean over `factor` result pixels."""
    step = math.pi * frequency / factor
    sine = np.where(np.abs(step) < 1e-9, 1.0, np.sin(step))
    curve = np.sin(factor * step) / (factor * sine)
    return np.where(np.abs(step) < 1e-9, 1.0, curve)


def _transfer_of_bicubic(frequency: Array, factor: int) -> Array:
    """Return the transfer function of bicubic interpolation."""
    if factor == 1:
        return np.ones_like(frequency)
    offsets = (np.arange(2 * factor) + 0.5) / factor
    weights = np.where(
        offsets <= 1,
        (_KEYS + 2) * offsets**3 - (_KEYS + 3) * offsets**2 + 1,
        _KEYS * (offsets**3 - 5 * offsets**2 + 8 * offsets - 4),
    )
    waves = np.cos(2 * math.pi * frequency[..., None] * offsets)
    curve: Array = (weights * waves).sum(axis=-1) / weights.sum()
    return curve
