"""What a microscope's optics let through: transfer functions on the fine grid.

`ForwardModel` is one round Gaussian, separable and exact up to the border. Here are the
point-spread functions that microscopes really have, for training and for tests of how
much it matters: round and elliptic Gaussians and the Airy pattern of a circular
aperture, each image of a batch with its own.

========= ==================================================== =================
kind      transfer function                                    width
========= ==================================================== =================
Gaussian  exp(-2 (pi sigma f)²)                                sigma
elliptic  the same, with sigma e and sigma / e along two axes  geometric mean
Airy      2 / pi (acos v - v sqrt(1 - v²)), v = f / cut-off,   0.225 lambda / NA
          cut-off = 2 NA / lambda = 0.45 / sigma
========= ==================================================== =================

Widths are standard deviations in measured pixels, frequencies f are cycles per measured
pixel. The width of an Airy pattern is that of the Gaussian nearest to it [1]_.

References
----------
.. [1] B. Zhang, J. Zerubia, J.-C. Olivo-Marin, "Gaussian approximations of fluorescence
   microscope point-spread function models", Appl. Opt. 46, 2007.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_AIRY_CUT_OFF = 0.45  # times 1 / sigma: 2 NA / lambda where sigma = 0.225 lambda / NA


def gaussian_transfer(
    size: tuple[int, int],
    factor: int,
    sigma: Tensor,
    *,
    ellipticity: Tensor | None = None,
    angle: Tensor | None = None,
) -> Tensor:
    """Return transfer functions of Gaussians.

    Parameters
    ----------
    size
        Height and width of the fine grid.
    factor
        Fine pixels along the side of a measured one.
    sigma
        Widths in measured pixels, shape (N,).
    ellipticity, angle
        Ratio of the longer width to the geometric mean, and where it points in
        radians, shape (N,); round by default.

    Returns
    -------
    Tensor
        Shape (N, 1, H, W // 2 + 1), as `torch.fft.rfft2` lays frequencies out.
    """
    down, right = _frequencies(size, factor, sigma)
    if ellipticity is None or angle is None:
        square = down**2 + right**2
    else:
        cosine, sine = (f(angle)[:, None, None] for f in (torch.cos, torch.sin))
        stretch = ellipticity[:, None, None]
        along = (cosine * right + sine * down) * stretch
        across = (cosine * down - sine * right) / stretch
        square = along**2 + across**2
    power = sigma[:, None, None] ** 2 * square
    return torch.exp(-2 * math.pi**2 * power)[:, None]


def airy_transfer(size: tuple[int, int], factor: int, sigma: Tensor) -> Tensor:
    """Return transfer functions of a circular aperture in incoherent light.

    Parameters and shape are those of `gaussian_transfer`.
    """
    down, right = _frequencies(size, factor, sigma)
    share = torch.hypot(down, right) * sigma[:, None, None] / _AIRY_CUT_OFF
    share = share.clamp_max(1)
    curve = share.acos() - share * (1 - share**2).sqrt()
    return (2 / math.pi * curve)[:, None]


def measure_through(transfer: Tensor, image: Tensor, factor: int) -> Tensor:
    """Blur images and integrate them over measured pixels, without noise.

    Parameters
    ----------
    transfer
        Shape (N, 1, H, W // 2 + 1).
    image
        Shape (N, 1, H, W); it is taken to go on periodically, so that pixels within
        the reach of the blur from a border are to be left out.
    factor
        Divides H and W.

    Returns
    -------
    Tensor
        Shape (N, 1, H / factor, W / factor).
    """
    size = image.shape[-2:]
    # a copy where one image stands for many: MKL of older torch refuses such views
    spectrum = torch.fft.rfft2(image.contiguous()) * transfer
    blurred = torch.fft.irfft2(spectrum, s=size)
    return F.avg_pool2d(blurred, factor)


def _frequencies(
    size: tuple[int, int], factor: int, like: Tensor
) -> tuple[Tensor, Tensor]:
    down = torch.fft.fftfreq(size[0], device=like.device)[:, None] * factor
    right = torch.fft.rfftfreq(size[1], device=like.device)[None, :] * factor
    return down, right
