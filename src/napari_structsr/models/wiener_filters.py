"""Wiener filters that a conditional generator sees the image through, as first layer.

Layers of 3 x 3 filters that are told the blur must find its inverse by training; for
noise and a spectrum that are known, Wiener has given it in closed form [1]_. Images
differ in their spectrum, so that there are several filters, for images of little, usual
and much fine detail; the network mixes them, and adds what no linear filter can.

The truth is taken to have the spectrum of most images, power falling with the square of
the frequency [2]_.

References
----------
.. [1] N. Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary Time
   Series", MIT Press, 1949.
.. [2] D. J. Field, "Relations between the statistics of natural images and the response
   properties of cortical cells", J. Opt. Soc. Am. A 4, 1987.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

RADIUS = 7
"""Measured pixels that a filter reaches to each side."""

_PERIOD = 64  # measured pixels, over which a filter has faded away
# power density at one cycle per pixel, relative to the square of the range: a variance
# of 0.03, as images have, over the octaves of one
_POWER = 1e-3
_STEP = 10.0  # from one filter to the next, in power


def make_wiener_filters(
    sigma: Tensor, noise: Tensor, *, factor: int, count: int
) -> Tensor:
    """Return what each filter changes of an image.

    Parameters
    ----------
    sigma
        Widths of the point-spread function in measured pixels, shape (N,).
    noise
        Noise relative to the range, shape (N,).
    factor
        Fine pixels along a measured one: where there are more than one, its area
        blurs as well.
    count
        Filters for each, for images of more and more detail.

    Returns
    -------
    Tensor
        Shape (N, count, side, side), each with a sum of zero.
    """
    place = torch.fft.fftfreq(_PERIOD, device=sigma.device)
    square = place[:, None] ** 2 + place[None] ** 2
    # longest waves: nothing is longer than the period
    square[0, 0] = 0.25 / _PERIOD**2
    seen = torch.exp(-2 * (math.pi * sigma[:, None, None]) ** 2 * square)
    area = _transfer_of_area(place, factor)
    seen = seen * (area[:, None] * area[None])
    usual = torch.arange(count, device=sigma.device) - (count - 1) / 2
    power = _POWER * _STEP ** usual[:, None, None] / square
    rest = (noise[:, None, None, None] ** 2) / power
    filters = seen[:, None] / (seen[:, None] ** 2 + rest) - 1
    taps = torch.fft.fftshift(torch.fft.ifft2(filters).real, dim=(-2, -1))
    middle = slice(_PERIOD // 2 - RADIUS, _PERIOD // 2 + RADIUS + 1)
    # cut with a slope: an edge of the window would ring
    window = torch.signal.windows.cosine(2 * RADIUS + 1, device=sigma.device).sqrt()
    window = window[:, None] * window[None]
    taps = taps[..., middle, middle] * window
    # what is seen are differences alone, as by the first layer; spread over the window,
    # this touches the longest waves only
    excess = taps.sum(dim=(-2, -1), keepdim=True)
    changes: Tensor = taps - excess * window / window.sum()
    return changes


def _transfer_of_area(frequency: Tensor, factor: int) -> Tensor:
    """Return the transfer function of the mean over `factor` fine pixels."""
    step = math.pi * frequency / factor
    curve: Tensor = torch.sin(factor * step) / (factor * torch.sin(step))
    one = torch.ones_like(step)
    return torch.where(step == 0, one, curve)
