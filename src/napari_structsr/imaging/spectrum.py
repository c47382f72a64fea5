"""Comparison of a result with the truth by spatial frequency.

Frequencies are radial, in cycles per pixel: 0.5 is the finest detail along an axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_RINGS = 64
_THRESHOLD = 1 / 7


@dataclass(frozen=True)
class Band:
    """A result against the truth in one band of frequencies.

    Parameters
    ----------
    power
        Power of the result over that of the truth, shape (N,). Below 1 detail is
        missing, above 1 it is exaggerated or noise.
    correlation
        Normalised cross-spectrum, shape (N,): 1 if all that is there is in its
        place, 0 if it has nothing to do with the truth or is empty.
    """

    power: Tensor
    correlation: Tensor


def compare_band(
    result: Tensor, truth: Tensor, *, lowest: float, highest: float
) -> Band:
    """Compare power and phase of images of shape (N, C, H, W) in a band.

    It lies between two frequencies in cycles per pixel, of which it holds the lowest.
    """
    x, z = _spectrum(result), _spectrum(truth)
    frequency = radial_frequency(*truth.shape[-2:], device=truth.device)
    inside = (frequency >= lowest) & (frequency < highest)
    weight = inside * count_conjugates(truth.shape[-1], device=truth.device)
    power_x, power_z, common = (
        (values * weight).flatten(1).double().sum(dim=1)
        for values in (x.abs() ** 2, z.abs() ** 2, (x * z.conj()).real)
    )
    smallest = torch.finfo(common.dtype).tiny
    return Band(
        power_x / power_z.clamp_min(smallest),
        common / (power_x * power_z).clamp_min(smallest).sqrt(),
    )


@dataclass(frozen=True)
class RingCorrelation:
    """Fourier ring correlation of two images.

    `frequency` is the middle of each ring in cycles per pixel, shape (R,), and
    `correlation` the normalised cross-spectrum in each ring, shape (N, R).
    """

    frequency: Tensor
    correlation: Tensor

    def resolution(self, *, threshold: float = _THRESHOLD) -> Tensor:
        """Return the period at which the correlation first falls below a threshold.

        In pixels, shape (N,); 2, the finest that pixels can show, if it never falls.
        """
        # one by one: curves cross at different rings
        return torch.stack([self._crossing(row, threshold) for row in self.correlation])

    def _crossing(self, curve: Tensor, threshold: float) -> Tensor:
        below = (curve < threshold).nonzero()
        if not len(below):
            return torch.full_like(curve[0], 2.0)
        ring = int(below[0])
        if ring == 0:  # nothing is in common, not even at the coarsest
            return 1 / self.frequency[0]
        before, after = curve[ring - 1], curve[ring]
        share = (before - threshold) / (before - after)
        step = self.frequency[ring] - self.frequency[ring - 1]
        return 1 / (self.frequency[ring - 1] + share * step)


def ring_correlation(
    one: Tensor, other: Tensor, *, rings: int = _RINGS
) -> RingCorrelation:
    """Correlate two images ring by ring in Fourier space.

    Parameters
    ----------
    one, other
        Shape (N, C, H, W), H and W at least 16.
    rings
        Rings of equal width up to 0.5 cycles per pixel; fewer for images smaller
        than twice their number, so that none is empty.

    References
    ----------
    R. Nieuwenhuizen et al., "Measuring image resolution in optical nanoscopy", Nature
    Methods 10, 2013, which takes 1/7 as the threshold of resolution.
    """
    height, width = one.shape[-2:]
    rings = min(rings, min(height, width) // 2)
    frequency = radial_frequency(height, width, device=one.device)
    ring = (frequency * 2 * rings).long()
    x, z = _spectrum(one), _spectrum(other)

    common, power_x, power_z = (
        sum_rings(values, ring, width=width)[:, :rings]  # the corners lie beyond
        for values in ((x * z.conj()).real, x.abs() ** 2, z.abs() ** 2)
    )
    powers = power_x * power_z
    smallest = torch.finfo(powers.dtype).tiny
    middles = (torch.arange(rings, dtype=torch.float64) + 0.5) / (2 * rings)
    return RingCorrelation(
        middles.to(one.device), common / powers.clamp_min(smallest).sqrt()
    )


def radial_frequency(
    height: int, width: int, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Return the radial frequency of each value of ``torch.fft.rfft2``."""
    rows = torch.fft.fftfreq(height, device=device, dtype=torch.float64)
    columns = torch.fft.rfftfreq(width, device=device, dtype=torch.float64)
    return torch.hypot(rows[:, None], columns[None])


def count_conjugates(width: int, *, device: torch.device) -> Tensor:
    """Return for how many frequencies each column of ``torch.fft.rfft2`` stands."""
    count = torch.full((width // 2 + 1,), 2.0, device=device)
    # the frequency 0 has no conjugate, nor has the highest of an even width
    count[0] = 1
    if width % 2 == 0:
        count[-1] = 1
    return count


def sum_rings(values: Tensor, ring: Tensor, *, width: int) -> Tensor:
    """Sum half spectra of images of a width over channels and rings.

    `values` have the shape (N, C, H, width // 2 + 1), `ring` the number of the ring of
    each frequency. The sums have the shape (N, rings), float64.
    """
    weight = count_conjugates(width, device=values.device)
    flat = (values * weight).sum(dim=1).flatten(1).double()
    sums = flat.new_zeros((len(flat), int(ring.max()) + 1))
    return sums.index_add_(1, ring.flatten(), flat)


def subtract_mean(image: Tensor) -> Tensor:
    """Subtract the mean of each plane; a constant becomes exactly 0."""
    # the mean of a constant is rounded, and the spectrum would be that of the rounding
    image = image - image[..., :1, :1]
    return image - image.mean(dim=(-2, -1), keepdim=True)


def _spectrum(image: Tensor) -> Tensor:
    # faded out, since opposite borders do not fit and would add a cross of power
    image = subtract_mean(image)
    rows, columns = (
        torch.hann_window(
            size + 1, periodic=False, dtype=image.dtype, device=image.device
        )[:-1]
        for size in image.shape[-2:]
    )
    spectrum: Tensor = torch.fft.rfft2(image * rows[:, None] * columns)
    return spectrum
