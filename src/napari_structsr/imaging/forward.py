"""The forward model of a microscope: operator A, adjoint, pseudo-inverse and noise.

It makes low-resolution (LR) images from high-resolution (HR) ones, states what a model
was trained to undo, corrects a result so that it agrees with the measurement, and
measures how far a result departs from it.

A is separable. Along each axis a Gaussian point-spread function is followed by the
mean over ``factor`` HR pixels; the border is continued symmetrically::

    HR   c b a | a b c d e f g h | h g f        mirror, at pixel edges
               |--0--|--1--|--2--|--3--|        factor 2: LR pixels

The LR pixels mirror at the same line, so A, its adjoint and the inverse of A Aᵀ are all
short one-dimensional convolutions, exact up to the border.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from napari_structsr.core.intensity import Intensity
from napari_structsr.core.types import Float64Array
from napari_structsr.imaging.filters import (
    convolve_axis,
    convolve_plane,
    gaussian_kernel,
    symmetric_pad,
)

_INVERSE_TOLERANCE = 1e-7
_SMALLEST_GAIN = 1e-3  # of A Aᵀ; below it the inverse would amplify noise 1000-fold
_PERIOD = 512  # LR pixels; far longer than an inverse, so that it does not wrap around
_LEAST_RADIUS = 4  # pixels, of blur narrower than one
_MOST_NOISE = 2.5  # times; a width of 0.4, hardly more than a pixel, has 2.2 to 2.5


@dataclass(frozen=True)
class ForwardModel:
    """Point-spread blur, then integration over pixels.

    Parameters
    ----------
    factor
        HR pixels along the side of one LR pixel.
    psf_sigma
        Standard deviation of the Gaussian point-spread function, in LR pixels.
        0 means integration over pixels alone. For a widefield microscope it is
        about ``0.225 * wavelength / NA / pixel_size`` [1]_.

    References
    ----------
    .. [1] B. Zhang, J. Zerubia, J.-C. Olivo-Marin, "Gaussian approximations of
       fluorescence microscope point-spread function models", Appl. Opt. 46, 2007.
    """

    factor: int
    psf_sigma: float = 0.4

    def __call__(self, image: Tensor) -> Tensor:
        """Measure an HR image, without noise.

        Parameters
        ----------
        image
            Shape (N, C, H, W), H and W multiples of ``factor``; any unit.

        Returns
        -------
        Tensor
            Shape (N, C, H / factor, W / factor), the same unit.
        """
        pad = (len(self.kernel) - self.factor) // 2
        for dim in (-2, -1):
            image = symmetric_pad(image, dim, pad)
            image = convolve_axis(image, dim, self.kernel, stride=self.factor)
        return image

    def adjoint(self, residual: Tensor) -> Tensor:
        """Apply Aᵀ: shape (N, C, h, w) to (N, C, factor h, factor w)."""
        pad = (len(self.kernel) - self.factor) // 2
        margin = -(-pad // self.factor)  # LR pixels whose spread reaches into the image
        for dim in (-2, -1):
            size = residual.shape[dim] * self.factor
            wide = symmetric_pad(residual, dim, margin)
            wide = convolve_axis(
                wide, dim, self.kernel, stride=self.factor, transposed=True
            )
            residual = wide.narrow(dim, margin * self.factor + pad, size)
        return residual

    def pseudo_inverse(self, residual: Tensor) -> Tensor:
        """Apply A⁺ = Aᵀ (A Aᵀ)⁻¹: the smallest HR image measured as `residual`.

        ``A(A.pseudo_inverse(r))`` equals ``r`` up to about 1e-6 of its range. Where
        the point-spread function is so wide that A loses more than the factor
        1000, the inverse is damped and equality is approximate.
        """
        return self.adjoint(convolve_plane(residual, self.inverse_kernel))

    def damped_inverse(self, residual: Tensor) -> Tensor:
        """Apply A⁺ where it amplifies noise little, and less than it elsewhere.

        Brightness comes back in full, and detail as far as the noise of an HR pixel
        stays below 2.5 times that of an LR pixel (Tikhonov regularisation). Where the
        point-spread function is narrow this is `pseudo_inverse`, which at a width of
        0.7 pixels amplifies noise 20 times.
        """
        return self.adjoint(convolve_plane(residual, self.damped_kernel))

    def measure(
        self,
        image: Tensor,
        *,
        photons: float | Tensor,
        read_noise: float | Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Measure an HR image with Poisson-Gaussian noise.

        Parameters
        ----------
        image
            Shape (N, C, H, W), where 0 is no light and 1 the full range.
        photons
            Photons per LR pixel at value 1; a number or shape (N, 1, 1, 1).
        read_noise
            Standard deviation of the camera noise, as a share of the full range.
        generator
            Source of randomness.

        Returns
        -------
        Tensor
            Shape (N, C, H / factor, W / factor); may fall below 0 and rise above 1.
        """
        clean = self(image).clamp_min(0)  # torch.poisson refuses negative rates
        return add_noise(
            clean, photons=photons, read_noise=read_noise, generator=generator
        )

    @property
    def radius(self) -> int:
        """LR pixels to each side that ``pseudo_inverse(y - self(x))`` depends on."""
        return len(self.inverse_kernel) // 2 + 2 * self.reach

    @property
    def damped_radius(self) -> int:
        """LR pixels to each side that ``damped_inverse(y - self(x))`` depends on."""
        return len(self.damped_kernel) // 2 + 2 * self.reach

    @cached_property
    def noise_gain(self) -> float:
        """How many times `pseudo_inverse` amplifies the noise of a pixel."""
        return self._amplify(1 / self._raised_gain)

    @property
    def amplifies(self) -> bool:
        """Whether `pseudo_inverse` amplifies noise so that `damped_inverse` differs."""
        return self.noise_gain > _MOST_NOISE

    @property
    def reach(self) -> int:
        """LR pixels to each side that A, or Aᵀ, depends on."""
        return -(-((len(self.kernel) - self.factor) // 2) // self.factor)

    @cached_property
    def kernel(self) -> Float64Array:
        """Weights of A along one axis, in HR pixels: blur convolved with the pixel."""
        if self.factor == 1:
            return _band_limited_kernel(self.psf_sigma)
        pixel = np.full(self.factor, 1 / self.factor)
        return np.convolve(gaussian_kernel(self.psf_sigma * self.factor), pixel)

    @cached_property
    def inverse_kernel(self) -> Float64Array:
        """Weights of (A Aᵀ)⁻¹ along one axis, in LR pixels, cut where they decay."""
        return _cut(1 / self._raised_gain)

    @cached_property
    def damped_kernel(self) -> Float64Array:
        """Weights along one axis, in LR pixels, before Aᵀ in `damped_inverse`."""
        if not self.amplifies:
            return self.inverse_kernel
        # its import takes a third of a second, which most runs can do without
        from scipy.optimize import brentq

        damping = brentq(
            lambda value: self._amplify(self._damp(value)) - _MOST_NOISE, 0, 1
        )
        return _cut(self._damp(damping))

    @cached_property
    def _gain(self) -> Float64Array:
        """Gain of A Aᵀ along one axis, by frequency."""
        # A Aᵀ is the autocorrelation of the kernel at multiples of the factor; on a
        # ring it is inverted by a division of its transform
        lag = np.correlate(self.kernel, self.kernel, mode="full")
        centre = len(lag) // 2
        lag = lag[centre % self.factor :: self.factor]
        ring = np.zeros(_PERIOD)
        ring[np.arange(len(lag)) - len(lag) // 2] = lag
        gain: Float64Array = np.fft.fft(ring).real
        return gain

    @property
    def _raised_gain(self) -> Float64Array:
        raised: Float64Array = self._gain + max(0.0, _SMALLEST_GAIN - self._gain.min())
        return raised

    def _damp(self, damping: float) -> Float64Array:
        """Return the damped inverse of the gain, exact for constant images."""
        gain = np.maximum(self._gain, 1e-9)  # transforms round
        inverse: Float64Array = (1 + damping) / (gain + damping * gain[0])
        return inverse

    def _amplify(self, inverse: Float64Array) -> float:
        """Return how many times the standard deviation of white noise comes back."""
        # the root over both axes is the mean square along one
        return float(np.mean(np.maximum(self._gain, 0) * inverse**2) / self.factor)


def _band_limited_kernel(sigma: float) -> Float64Array:
    """Return the weights whose transfer function is that of a Gaussian of `sigma`.

    Samples of a Gaussian of 0.4 pixels let 0.84 of the finest waves through, where the
    Gaussian itself lets 0.45. With finer HR pixels the samples are dense enough, and
    the integration over a measured pixel removes the waves that are left.
    """
    if sigma == 0:
        return np.ones(1)
    frequency = np.fft.fftfreq(_PERIOD)
    weights = np.fft.ifft(np.exp(-2 * (np.pi * sigma * frequency) ** 2)).real
    radius = max(math.ceil(4 * sigma), _LEAST_RADIUS)
    kernel = weights[np.arange(-radius, radius + 1)]
    return np.asarray(kernel / kernel.sum())


def _cut(response: Float64Array) -> Float64Array:
    """Return the weights of a frequency response, cut where they decay."""
    weights = np.fft.ifft(response).real
    alive = np.abs(weights[: _PERIOD // 2]) > _INVERSE_TOLERANCE * np.abs(weights[0])
    radius = int(np.flatnonzero(alive).max())
    return weights[np.arange(-radius, radius + 1)]


def add_noise(
    clean: Tensor,
    *,
    photons: float | Tensor,
    read_noise: float | Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Add Poisson-Gaussian noise to images of 0 or more, see `ForwardModel.measure`."""
    counts = torch.poisson(clean * photons, generator=generator)
    noise = torch.randn(
        clean.shape, generator=generator, device=clean.device, dtype=clean.dtype
    )
    return counts / photons + read_noise * noise


def noise_variance(measured: Tensor, intensity: Intensity) -> Tensor:
    """Return the variance of the noise of each pixel of a normalised image.

    Shot noise grows with the light, above the floor of the camera.
    """
    light = (measured - intensity.noise_black / intensity.span).clamp_min(0)
    shot = light * (intensity.noise_gain / intensity.span)
    return shot + intensity.noise_floor / intensity.span**2
