"""RRDBNet: residual-in-residual dense blocks, the generator of ESRGAN.

After Wang et al. 2018, "ESRGAN: enhanced super-resolution generative adversarial
networks": no normalisation layer, dense connections inside each block, residuals
scaled by 0.2, and a small initialisation that lets deep networks start to learn.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# share of a block's result that is added to its input
_RESIDUAL = 0.2
_make_conv = partial(nn.Conv2d, kernel_size=3, padding=1)
_activate = partial(F.leaky_relu, negative_slope=0.2)


class RRDBNet(nn.Module):
    """The generator of ESRGAN, for one channel.

    Parameters
    ----------
    factor, width
        As in `ResidualGenerator`; the factor is a power of two.
    growth
        Channels that each layer of a dense block adds.
    blocks
        Residual blocks of three dense blocks.
    inputs
        Channels that are seen.
    """

    def __init__(
        self,
        factor: int,
        *,
        width: int = 64,
        growth: int = 32,
        blocks: int = 23,
        inputs: int = 1,
    ) -> None:
        super().__init__()
        self.factor = factor
        self.blocks = blocks
        self.head = _make_conv(inputs, width)
        self.body = nn.ModuleList(_Block(width, growth) for _ in range(blocks))
        self.join = _make_conv(width, width)
        stages = round(math.log2(factor))
        self.rise = nn.ModuleList(_make_conv(width, width) for _ in range(stages))
        self.fine = _make_conv(width, width)
        self.tail = _make_conv(width, 1)

    @property
    def receptive_radius(self) -> int:
        """LR pixels that one output pixel sees to each side."""
        # that of the last two layers, in output pixels
        reach = 2
        for _ in self.rise:
            # nearest-neighbour doubling halves the distance, rounded up
            reach = -(-(reach + 1) // 2)
        return reach + 1 + 15 * self.blocks + 1

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, 1, factor h, factor w); values near 0..1."""
        first = features = self.head(image)
        for block in self.body:
            features = block(features)
        features = first + self.join(features)
        for layer in self.rise:
            larger = F.interpolate(features, scale_factor=2, mode="nearest")
            features = _activate(layer(larger))
        result: Tensor = self.tail(_activate(self.fine(features)))
        return result


class _Block(nn.Module):
    """Three dense blocks around a skip connection."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(_Dense(width, growth) for _ in range(3))

    def forward(self, features: Tensor) -> Tensor:
        inner = features
        for part in self.parts:
            inner = part(inner)
        return features + _RESIDUAL * inner


class _Dense(nn.Module):
    """Five convolutions, each of which sees the results of all before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _scale_down(_make_conv(width + n * growth, growth if n < 4 else width))
            for n in range(5)
        )

    def forward(self, features: Tensor) -> Tensor:
        known = features
        for layer in self.layers[:-1]:
            known = torch.cat([known, _activate(layer(known))], dim=1)
        result: Tensor = features + _RESIDUAL * self.layers[-1](known)
        return result


def _scale_down(layer: nn.Conv2d) -> nn.Conv2d:
    """Scale the initial weights of a layer down."""
    # small blocks let deep networks start to learn without normalisation
    nn.init.kaiming_normal_(layer.weight)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.bias.zero_()  # type: ignore[union-attr]
    return layer
