"""Classical methods that are told the truth of blur and noise."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from napari_structsr.benchmark.richardson_lucy import deconvolve, measure_noise_gain
from napari_structsr.models.generator import interpolate

_RINGS = 25
_CLEAR = 2.0  # times the noise, from which on a ring tells of the signal


def run_richardson_lucy(
    measured: Tensor, factor: int, *, sigma: float, photons: float, read_noise: float
) -> Tensor:
    """Deconvolve an interpolated plane until noise is all that is left.

    Parameters
    ----------
    measured
        Shape (1, 1, h, w), 0 for no light, 1 for full light.
    factor
        Result pixels along the side of a measured one.
    sigma
        Width of the Gaussian point-spread function in measured pixels.
    photons, read_noise
        Photons at full light, and camera noise as a share of full light.
    """
    variance = _measure_variance(measured, photons, read_noise)
    noise = math.sqrt(variance * measure_noise_gain(factor))
    image = interpolate(measured, factor, mode="bicubic")
    return deconvolve(image, _make_taps(sigma, factor), noise=noise)


def run_wiener(
    measured: Tensor, factor: int, *, sigma: float, photons: float, read_noise: float
) -> Tensor:
    """Deconvolve an interpolated plane by the Wiener filter.

    The power spectrum of the truth is taken as a power law, fitted to that of the
    measurement where it stands clear of the noise. Parameters as in
    `run_richardson_lucy`.
    """
    variance = _measure_variance(measured, photons, read_noise)
    base = interpolate(measured, factor, mode="bicubic")
    image = base[0, 0].double().numpy()
    level = image.mean()
    # mirrored, so that the period of the transform has no edge
    wide = np.pad(image - level, [(0, size) for size in image.shape], mode="symmetric")
    spectrum = np.fft.rfft2(wide)
    down = np.fft.fftfreq(wide.shape[0])[:, None] * factor
    right = np.fft.rfftfreq(wide.shape[1])[None, :] * factor
    radius = np.hypot(down, right)
    seen = np.exp(-2 * (math.pi * sigma * radius) ** 2)
    kernel = np.ones_like(radius)
    for frequency in (down, right):
        seen = seen * _transfer_of_pixels(frequency, factor)
        kernel = kernel * _transfer_of_bicubic(frequency, factor)
    noise = variance * factor**2 * kernel**2
    power = np.abs(spectrum) ** 2 / wide.size
    measured_band = (np.abs(down) <= 0.5) & (np.abs(right) <= 0.5) & (radius > 0)
    through = seen * kernel
    scale, slope = _fit_power_law(
        *(values[measured_band] for values in (radius, power, noise, through))
    )
    signal = np.where(radius > 0, scale * np.maximum(radius, 1e-9) ** slope, 0)
    filtered = spectrum * through * signal / (through**2 * signal + noise + 1e-30)
    filtered[~measured_band] = 0
    height, width = image.shape
    result = np.fft.irfft2(filtered, s=wide.shape)[:height, :width]
    return torch.from_numpy(result + level)[None, None].float()


def _measure_variance(measured: Tensor, photons: float, read_noise: float) -> float:
    return float(measured.clamp_min(0).mean()) / photons + read_noise**2


def _make_taps(sigma: float, factor: int) -> list[float]:
    """Return the Gaussian and the area of a measured pixel, in result pixels."""
    period = 256
    # from the transfer function: a sampled Gaussian below a pixel would be too wide
    frequency = np.fft.rfftfreq(period) * factor
    kernel = np.fft.irfft(np.exp(-2 * (math.pi * sigma * frequency) ** 2), period)
    radius = math.ceil(4 * sigma * factor) + 1
    kernel = kernel[np.arange(-radius, radius + 1)]
    area = np.ones(factor + 1 - factor % 2)
    if factor % 2 == 0:
        area[[0, -1]] = 0.5  # half of an even side lies on either side of the centre
    taps = np.convolve(kernel / kernel.sum(), area / area.sum())
    return [float(weight) for weight in taps]


def _fit_power_law(
    radius: np.ndarray, power: np.ndarray, noise: np.ndarray, through: np.ndarray
) -> tuple[float, float]:
    """Fit ``signal = a radius**b`` in rings where the signal is clear of the noise."""
    edges = np.geomspace(0.01, 0.5, _RINGS)
    ring = np.digitize(radius, edges)
    points = []
    for number in range(1, len(edges)):
        inside = ring == number
        if inside.sum() < 8:
            continue
        total, floor = power[inside].mean(), noise[inside].mean()
        if total > _CLEAR * floor:
            seen = (through[inside] ** 2).mean()
            points.append((math.log(radius[inside].mean()), (total - floor) / seen))
    if len(points) < 2:  # noise everywhere: the spectrum that most images have
        return float(power.mean() * radius.mean() ** 2), -2.0
    steps, values = np.array(points).T
    slope, start = np.polyfit(steps, np.log(values), 1)
    return math.exp(start), min(float(slope), -1.0)


def _transfer_of_pixels(frequency: np.ndarray, factor: int) -> np.ndarray:
    """Return the transfer function of the mean over `factor` result pixels."""
    step = math.pi * frequency / factor
    sine = np.where(np.abs(step) < 1e-9, 1.0, np.sin(step))
    curve: np.ndarray = np.sin(factor * step) / (factor * sine)
    return np.where(np.abs(step) < 1e-9, 1.0, curve)


def _transfer_of_bicubic(frequency: np.ndarray, factor: int) -> np.ndarray:
    """Return the transfer function of bicubic interpolation, a = -0.75."""
    if factor == 1:
        return np.ones_like(frequency)
    offsets = (np.arange(2 * factor) + 0.5) / factor
    a = -0.75
    weights = np.where(
        offsets <= 1,
        (a + 2) * offsets**3 - (a + 3) * offsets**2 + 1,
        a * (offsets**3 - 5 * offsets**2 + 8 * offsets - 4),
    )
    waves = np.cos(2 * math.pi * frequency[..., None] * offsets)
    curve: np.ndarray = (weights * waves).sum(axis=-1) / weights.sum()
    return curve
