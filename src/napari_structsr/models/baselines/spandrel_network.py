"""A network of others, adapted: one channel in, one channel out.

It gives such a network the channels and sizes that it wants.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from napari_structsr.imaging.filters import reflect_pad

# as architectures call them
_WINDOWS = ("window_size", "split_size", "pad_size")


class ForeignNetwork(nn.Module):
    """An adapter around a network for grey or RGB images with values in 0..1.

    A grey plane is repeated for a network of RGB images, and the mean of its outputs
    is taken.

    Parameters
    ----------
    module, factor, inputs, minimum, multiple, square
        As in `ForeignModel`.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        factor: int,
        inputs: int,
        minimum: int = 1,
        multiple: int = 1,
        square: bool = False,
    ) -> None:
        super().__init__()
        self.module = module
        self.factor = factor
        self.inputs = inputs
        self.minimum = minimum
        self.square = square
        self.align = math.lcm(multiple, _find_window(module))
        # numbers held at once for each input pixel, where torch cannot count them
        self.activations: int | None = None

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 1, h, w) to (N, 1, factor h, factor w); values near 0..1."""
        height, width = image.shape[-2:]
        least = max(self.minimum, height, width) if self.square else self.minimum
        # at the bottom and the right alone: pixels keep their place in the windows
        bottom, right = (
            -(-max(size, least) // self.align) * self.align - size
            for size in (height, width)
        )
        padded = reflect_pad(image, (0, bottom), (0, right))
        result: Tensor = self.module(
            padded.expand(-1, self.inputs, -1, -1).contiguous()
        )
        # of three equal channels a network makes three that differ a little
        result = result.mean(dim=1, keepdim=True)
        return result[..., : height * self.factor, : width * self.factor]


def _find_window(module: nn.Module) -> int:
    """Return the grid on which the windows of a network lie; 1 without windows."""
    found = {1}
    for part in module.modules():
        for name in _WINDOWS:
            found.update(_list_integers(getattr(part, name, ())))
    # such networks put pixels together first: a window is as many times as wide
    shrunk = getattr(module, "start_unshuffle", 1)
    return math.lcm(*found) * int(shrunk)


def _list_integers(value: object) -> list[int]:
    """Return the positive integers in a value that may be one or several."""
    if isinstance(value, int):
        value = (value,)
    if not isinstance(value, Iterable) or isinstance(value, (str, torch.Tensor)):
        # a tensor of that name is a mask, and no size
        return []
    return [part for part in value if isinstance(part, int) and part > 0]
