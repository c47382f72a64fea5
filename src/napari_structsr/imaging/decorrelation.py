"""Decorrelation analysis: the resolution of an image, from the image alone.

I is the Fourier transform of the image, tapered out at its border, and I/|I| keeps its
phases alone. Inside the radius r the two are correlated::

    d(r) = sum of |I| for |k| < r / sqrt(sum of |I|² x number of k with |k| < r)

d rises while frequencies inside r carry signal, and falls once they carry noise, which
adds to the number of frequencies and little else. Its peak depends on how much power
lies at low frequencies, which would hide a weak signal at high ones. So the image is
sharpened by ever finer high-pass filters, 1 minus a Gaussian, from much coarser than
the first peak to finer than a pixel. Each gives a peak, unless only noise is left, and
the highest of all is the finest detail that stands out from noise.

A filter that depends on |k| alone changes |I| and no phases. Hence the sums over thin
rings, taken once, are all there is to compute with.

It says how fine detail is, not whether it is true: texture that a model invents counts
as resolution.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_structsr.imaging.spectrum import radial_frequency, subtract_mean, sum_rings

_BORDER = 20  # pixels that are tapered
_FILTERS = 40
_FINEST = 0.15  # pixels, of the last filter
_FALL = 5e-4  # of the curve after a peak; less is chance


def decorrelation_resolution(image: Tensor) -> Tensor:
    """Estimate the finest period that stands out from noise.

    Parameters
    ----------
    image
        Shape (N, C, H, W), any unit; at least 16 pixels along a side. Power is summed
        over channels.

    Returns
    -------
    Tensor
        Period in pixels, float64, shape (N,), at least 2. Infinite if no curve has a
        peak: the image is constant, or is nothing but noise, or its detail goes on
        undiminished to the finest that pixels can hold, which cannot be distinguished.

    References
    ----------
    A. Descloux, K. Grußmayer, A. Radenovic, "Parameter-free image resolution
    estimation based on decorrelation analysis", Nature Methods 16, 2019. They refine
    the place of the peak by a second series of filters; here the first is dense
    enough, and curves have a value at each ring.
    """
    rings = _Rings(image)
    return torch.stack([rings.resolution(number) for number in range(len(image))])


class _Rings:
    """Sums of the spectra of images over rings as thin as a frequency."""

    def __init__(self, image: Tensor) -> None:
        height, width = image.shape[-2:]
        last = min(height, width) // 2  # rings up to 0.5 cycles per pixel
        self.frequency = torch.arange(last + 1, device=image.device).double() / last / 2
        self._coarsest = last
        ring = radial_frequency(height, width, device=image.device)
        ring = (ring * 2 * last).round().long()
        size = torch.fft.rfft2(_taper(image)).abs()
        self.size, self.power, count = (
            sum_rings(values, ring, width=width)[:, : last + 1]
            for values in (size, size**2, torch.ones_like(size[:1]))
        )
        for sums in (self.size, self.power, count):
            sums[:, 0] = 0  # the mean is no detail
        self.count = count[0].cumsum(dim=0)

    def resolution(self, number: int) -> Tensor:
        plain = torch.ones_like(self.frequency)[None]
        first = self._highest_peak(number, plain)
        # from the first peak on: coarser filters could only find it again
        coarse = float(1 / first) if first > 0 else self._coarsest
        widths = torch.logspace(
            math.log(coarse), math.log(_FINEST), _FILTERS, base=math.e
        ).to(first)
        blur = torch.exp(-2 * (math.pi * widths[:, None] * self.frequency) ** 2)
        return 1 / torch.maximum(first, self._highest_peak(number, 1 - blur))

    def _highest_peak(self, number: int, filters: Tensor) -> Tensor:
        """Return the highest frequency of the peak of a filter; 0 if none has one."""
        size, power = self.size[number], self.power[number]
        total = (power * filters**2).sum(dim=1, keepdim=True)
        smallest = torch.finfo(total.dtype).tiny
        norm = (total * self.count).clamp_min_(smallest).sqrt_()
        curve = (size * filters).cumsum(dim=1) / norm
        lowest_after = curve.flip(1).cummin(dim=1).values.flip(1)
        # a peak is a record that the curve falls below afterwards by more than chance
        record = curve >= curve.cummax(dim=1).values
        peak = record & (curve - lowest_after >= _FALL)
        return torch.where(peak, self.frequency, 0.0).max()


def _taper(image: Tensor) -> Tensor:
    image = subtract_mean(image)
    for dim in (-2, -1):
        size = image.shape[dim]
        place = torch.arange(size, device=image.device) + 0.5
        border = torch.minimum(place, size - place)
        phase = (border / min(_BORDER, size // 4)).clamp_max(1)
        taper = (0.5 - 0.5 * torch.cos(math.pi * phase)).to(image.dtype)
        image = image * (taper[:, None] if dim == -2 else taper)
    return image
