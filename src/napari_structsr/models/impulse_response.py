"""The receptive field of a network without gradients, by its answer to impulses.

Where torch does not compute, as in onnxruntime, nothing but images can be asked: what
changes in the result when pixels change, and whether a result moves with its image.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

from napari_structsr.models.receptive_field import (
    Probe,
    ReceptiveField,
    choose_side,
    make_test_image,
    measure_with,
)

# grids on which the windows of networks lie, in input pixels
_GRIDS = (1, 2, 4, 8, 16, 32, 64)
# of the range: what moves more than this with its image has no windows in the way
_SAME = 1e-3
# of the range: far beyond it too, since layers may be blind to one change
_IMPULSES = (1.0, -1.0, 30.0, -30.0)
_REST = 1e-3
_STEP = 4


def measure_by_impulses(
    network: nn.Module, *, factor: int, align: int, cost: float, side: int | None = None
) -> ReceptiveField:
    """Measure how far a network sees.

    Parameters
    ----------
    network
        Maps (N, 1, h, w) to (N, 1, factor h, factor w).
    factor
        Upscaling factor along y and x.
    align
        Pixels of the grid on which the network's windows lie.
    cost
        Multiply-adds for each input pixel, roughly.
    side
        Pixels of the image, where the network takes no others.
    """
    side = choose_side(cost, align) if side is None else side
    return measure_with(_ImpulseProbe(network, factor, align, side))


def find_grid(network: nn.Module, *, factor: int, side: int) -> int | None:
    """Return the least shift of an image with which the result moves.

    Parameters
    ----------
    network
        Maps (N, 1, side, side) to the finer image.
    factor
        Upscaling factor along y and x.
    side
        Pixels along the side of what is shown to it.

    Returns
    -------
    int or None
        Measured pixels; None if the result moves with no shift.
    """

    def run(part: Tensor) -> Tensor:
        with torch.inference_mode():
            result: Tensor = network(part)
        return result

    image = make_test_image(side + _GRIDS[-1])
    whole = run(image[..., :side, :side])
    scale = float(whole.max() - whole.min())
    for grid in _GRIDS:
        if grid > side // 4:
            break
        moved = run(image[..., grid : grid + side, grid : grid + side])
        # the middle: at the border a network sees another image
        low, high = side // 2 - grid, side // 2 + grid
        change = (
            whole[..., low * factor : high * factor, low * factor : high * factor]
            - moved[
                ...,
                (low - grid) * factor : (high - grid) * factor,
                (low - grid) * factor : (high - grid) * factor,
            ]
        )
        if float(change.abs().max()) <= _SAME * scale:
            return grid
    return None


class _ImpulseProbe(Probe):
    """A probe that asks images alone."""

    @cached_property
    def whole(self) -> Tensor:
        """The upscaled image."""
        with torch.inference_mode():
            result: Tensor = self.network(self.image)
        return result

    def find_exact(self) -> int | None:
        """Return the exact distance; None if it is longer than the image."""
        changed = torch.zeros(self.whole.shape[-2:], dtype=torch.bool)
        for impulse in _IMPULSES:
            changed |= self._answer(impulse) != 0
        places = torch.nonzero(changed) // self.factor
        if not len(places):  # a network that is blind to its image
            return 0
        low, high = int(places.min()), int(places.max())
        if low == 0 or high == self.image.shape[-1] - 1:
            return None
        return max(high - self.first, self.last - low, 0)

    def find_effective(self) -> tuple[int, float]:
        """Return the effective distance, and the influence from beyond it."""
        place = torch.arange(self.image.shape[-1] * self.factor) // self.factor
        away = torch.maximum(self.first - place, place - self.last).clamp(min=0)
        distance = torch.maximum(away[:, None], away[None])
        rings = torch.zeros(self.image.shape[-1], dtype=torch.float64)
        for impulse in _IMPULSES[:2]:
            change = self._answer(impulse).abs().double() / self.factor**2
            rings.index_add_(0, distance.flatten(), change.flatten())
        beyond = rings.sum() - rings.cumsum(0)
        # the far side of the window sees as much farther as the window is wide
        wanted = int((beyond > _REST * rings.sum()).sum()) + self.align - 1
        # a quarter of the way must be left to show what lies beyond
        radius = min(-(-wanted // _STEP) * _STEP, self.limit * 3 // 4)
        return radius, float(beyond[radius]) / len(_IMPULSES[:2])

    def _answer(self, impulse: float) -> Tensor:
        """Return what an impulse in the middle window changes."""
        changed = self.image.clone()
        middle = slice(self.first, self.last + 1)
        changed[..., middle, middle] += impulse
        with torch.inference_mode():
            result: Tensor = self.network(changed)
        return (result - self.whole)[0, 0]
