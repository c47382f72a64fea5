"""The receptive field of a network, measured: what a tile must read around itself.

Two distances, both in input pixels to each side of an output pixel:

* The exact one, beyond which nothing has any influence.
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
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_structsr.models.build import count_operations

# pixels: an exact distance up to this is taken, a longer one replaced
_AFFORDABLE = 64
# share of the influence that may lie beyond the effective distance
_REST = 1e-3
# a difference up to this has no other cause than rounding
_ROUNDING = 1e-5
# distances are rounded up to it, so that rounding of numbers is no matter
_STEP = 4
# multiply-adds of one test image: some seconds on a CPU
_WORK = 1e11
# pixels of the image on which operations are counted, and of the test image
_SMALL, _SIDES = 16, (64, 160)


@dataclass(frozen=True)
class ReceptiveField:
    """What a tile must read around itself; `radius` and `seam` as in `ModelCard`."""

    radius: int
    seam: float


def measure_receptive_field(
    network: nn.Module, *, factor: int, align: int = 1
) -> ReceptiveField:
    """Measure how far a network sees.

    Parameters
    ----------
    network
        Maps (N, 1, h, w) to (N, 1, factor h, factor w); ready for use, on the CPU.
    factor
        Upscaling factor along y and x.
    align
        Pixels of the grid on which the network's windows lie.
    """
    cost = count_operations(network, side=-(-_SMALL // align) * align)
    return measure_with(Probe(network, factor, align, choose_side(cost, align)))


def choose_side(cost: float, align: int) -> int:
    """Return the side of a test image for a number of multiply-adds of each pixel."""
    # as large as some seconds allow, and at least three windows
    side = math.isqrt(int(_WORK / max(cost, 1)))
    return max(min(max(side, _SIDES[0]), _SIDES[1]) // align, 3) * align


def measure_with(probe: Probe) -> ReceptiveField:
    """Measure how far the network of a probe sees."""
    reach = probe.find_exact()
    radius, beyond = reach or 0, 0.0
    if reach is None or reach > _AFFORDABLE:
        radius, beyond = probe.find_effective()
    # rounded up, the effective distance may exceed the exact one
    if reach is not None and reach <= radius:
        radius, beyond = reach, 0.0
    seam = probe.measure_seam(radius)
    return ReceptiveField(radius, max(beyond, seam if seam > _ROUNDING else 0.0))


class Probe:
    """A test image, and one window of the network in its middle."""

    def __init__(self, network: nn.Module, factor: int, align: int, side: int) -> None:
        self.network, self.factor, self.align = network, factor, align
        self.image = make_test_image(side)
        self.first = side // 2 // align * align
        self.last = self.first + align - 1
        # the same network always sees the same image: its distance is reproducible
        self.limit = min(self.first, side - 1 - self.last)

    def find_exact(self) -> int | None:
        """Return the exact distance; None if it is longer than the image."""
        # a NaN reaches every output that depends on it, whatever the weights are
        spoilt = self.image.detach().clone()
        middle = slice(self.first, self.last + 1)
        spoilt[..., middle, middle] = torch.nan
        with torch.inference_mode():
            hit = torch.nonzero(self.network(spoilt)[0, 0].isnan()) // self.factor
        low, high = int(hit.min()), int(hit.max())
        if low == 0 or high == self.image.shape[-1] - 1:
            return None
        return max(high - self.first, self.last - low)

    @cached_property
    def whole(self) -> Tensor:
        """The upscaled image, with what is needed for gradients."""
        self.image.requires_grad_()
        result: Tensor = self.network(self.image)
        return result

    def find_effective(self) -> tuple[int, float]:
        """Return the effective distance, and the influence from beyond it."""
        place = torch.arange(self.image.shape[-1])
        wanted, beyonds = 0, []
        # the first and the last pixel of a window see farthest beyond it
        for pixel in {self.first, self.last}:
            at = pixel * self.factor
            (slope,) = torch.autograd.grad(
                self.whole[0, 0, at, at], self.image, retain_graph=True
            )
            away = (place - pixel).abs()
            distance = torch.maximum(away[:, None], away[None])
            # in float64: many small gradients are added up
            rings = torch.zeros(len(place), dtype=torch.float64)
            rings.index_add_(0, distance.flatten(), slope.abs().double().flatten())
            beyond = rings.sum() - rings.cumsum(0)
            wanted = max(wanted, int((beyond > _REST * rings.sum()).sum()))
            beyonds.append(beyond)
        # a quarter of the way must be left to show what lies beyond
        radius = min(-(-wanted // _STEP) * _STEP, self.limit * 3 // 4)
        return radius, max(float(beyond[radius]) for beyond in beyonds)

    def measure_seam(self, radius: int) -> float:
        """Return what changes in the middle when the image ends at a distance."""
        # at an odd line of the grid: windows wider than those known show themselves
        start = (self.first - radius) // self.align
        start = max(start - (start % 2 == 0), 0) * self.align
        stop = self.last + 1 + -(-radius // self.align) * self.align
        near = self.image.detach()[..., start:stop, start:stop]
        with torch.inference_mode():
            part = self.network(near)
        size = self.align * self.factor
        here, there = self.first * self.factor, (self.first - start) * self.factor
        change = (
            self.whole[..., here : here + size, here : here + size]
            - part[..., there : there + size, there : there + size]
        )
        return float(change.detach().abs().max())


def make_test_image(side: int) -> Tensor:
    """Return noise of all scales, as natural images have, within 0..1."""
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(1, 1, side, side)
    # each octave adds the same: a spectrum as natural images have
    scale = 1
    while scale < side:
        cells = side // scale + 1
        coarse = torch.rand((1, 1, cells, cells), generator=generator)
        image += F.interpolate(coarse, size=(side, side), mode="bilinear")
        scale *= 2
    image -= image.amin()
    return image / image.amax()
