"""How far a network sees, measured: what a tile must read around itself.

Two distances, both in input pixels to each side of an output pixel:

* The exact one, beyond which nothing has any influence. A pixel that is no number
  spoils every output pixel that depends on it, whatever the weights are.
* The effective one of deep networks, whose exact one would be wasteful (over 300
  pixels for ESRGAN) or is the whole image: all that lies beyond has less than a
  thousandth of the whole influence, summed over absolute gradients.

With the effective distance tiles differ from the whole image a little. The seam says
how much, as a share of the range of the image: the greater of what the pixels beyond
could add to first order, if each went through the whole range, and of what cutting a
test image has changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_structsr.models.build import operations

__all__ = ["Influence", "measure_influence"]

_AFFORDABLE = 64  # pixels; an exact distance up to this is taken
_REST = 1e-3  # share of the influence that may lie beyond the effective distance
_STEP = 4  # distances are rounded up to it, so that rounding of numbers is no matter
_WORK = 1e11  # multiply-adds of one test image: some seconds on a CPU
_SIDES = (64, 160)  # pixels of the test image


@dataclass(frozen=True)
class Influence:
    """What a tile must read around itself.

    Parameters
    ----------
    radius
        Input pixels to each side of an output pixel.
    seam
        Largest difference that this leaves, as a share of the range of the image; 0
        for an exact radius.
    """

    radius: int
    seam: float


def measure_influence(
    network: nn.Module, *, factor: int, align: int = 1, affordable: int = _AFFORDABLE
) -> Influence:
    """Measure how far a network sees.

    Parameters
    ----------
    network
        Maps (N, 1, h, w) to (N, 1, factor h, factor w); ready for use, on the CPU.
    factor
        Upscaling factor along y and x.
    align
        Pixels of the grid on which the network's windows lie.
    affordable
        An exact distance up to this is taken, a longer one replaced by the
        effective one.

    Returns
    -------
    Influence
        The same for the same network, to the pixel.
    """
    side = math.isqrt(int(_WORK / max(operations(network), 1)))
    side = max(min(max(side, _SIDES[0]), _SIDES[1]) // align, 3) * align
    probe = _Probe(network, factor, align, side)
    reach = probe.reach()
    if reach is not None and reach <= affordable:
        return Influence(reach, 0.0)
    radius, beyond = probe.effective()
    if reach is not None and reach <= radius:
        return Influence(reach, 0.0)
    return Influence(radius, max(beyond, probe.cut(radius)))


class _Probe:
    """A test image, and a block of pixels in its middle on which is looked."""

    def __init__(self, network: nn.Module, factor: int, align: int, side: int) -> None:
        self.network, self.factor, self.align = network, factor, align
        self.image = _test_image(side)
        self.first = side // 2 // align * align
        self.last = self.first + align - 1
        self.limit = min(self.first, side - 1 - self.last)

    def reach(self) -> int | None:
        """Return the exact distance, or None if it is longer than the image."""
        spoilt = self.image.clone()
        middle = slice(self.first, self.last + 1)
        spoilt[..., middle, middle] = torch.nan
        with torch.inference_mode():
            hit = torch.nonzero(self.network(spoilt)[0, 0].isnan()) // self.factor
        low, high = int(hit.min()), int(hit.max())
        if low == 0 or high == self.image.shape[-1] - 1:
            return None
        return max(high - self.first, self.last - low)

    def effective(self) -> tuple[int, float]:
        """Return the effective distance, and the influence from beyond it."""
        image = self.image.clone().requires_grad_()
        result = self.network(image)
        place = torch.arange(image.shape[-1])
        beyonds = []
        for pixel, fine in ((self.first, 0), (self.last, self.factor - 1)):
            at = pixel * self.factor + fine
            (slope,) = torch.autograd.grad(
                result[0, 0, at, at], image, retain_graph=pixel == self.first
            )
            away = (place - pixel).abs()
            distance = torch.maximum(away[:, None], away[None])
            rings = torch.zeros(len(place), dtype=torch.float64)
            rings.index_add_(0, distance.flatten(), slope.abs().double().flatten())
            beyonds.append(rings.sum() - rings.cumsum(0))
        wanted = max(int((beyond > _REST * (beyond[0])).sum()) for beyond in beyonds)
        radius = min(-(-wanted // _STEP) * _STEP, self.limit * 3 // 4)
        return radius, max(float(beyond[radius]) for beyond in beyonds)

    def cut(self, radius: int) -> float:
        """Return what changes in the middle when the image ends at a distance."""
        start = (self.first - radius) // self.align * self.align
        stop = self.last + 1 + -(-radius // self.align) * self.align
        near = self.image[..., start:stop, start:stop]
        with torch.inference_mode():
            whole, part = self.network(self.image), self.network(near)
        size = self.align * self.factor
        here, there = self.first * self.factor, (self.first - start) * self.factor
        change = (
            whole[..., here : here + size, here : here + size]
            - part[..., there : there + size, there : there + size]
        )
        return float(change.abs().max())


def _test_image(side: int) -> Tensor:
    """Return noise of all scales, as natural images have, within 0..1."""
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(1, 1, side, side)
    scale = 1
    while scale < side:
        coarse = torch.rand(
            (1, 1, side // scale + 1, side // scale + 1), generator=generator
        )
        image += F.interpolate(coarse, size=(side, side), mode="bilinear")
        scale *= 2
    image -= image.amin()
    return image / image.amax()
