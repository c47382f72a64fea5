"""SRResNet: residual blocks with batch normalisation and sub-pixel upscaling.

After Ledig et al. 2017, "Photo-realistic single image super-resolution using a
generative adversarial network"; the generator of SRGAN. Unlike the residual
generator it learns intensities themselves: gain and offset do not pass through.
"""

from __future__ import annotations

import math

from torch import Tensor, nn


class SRResNet(nn.Module):
    """The generator of SRGAN, for one channel.

    Parameters
    ----------
    factor, width, blocks
        As in `ResidualGenerator`; the factor is a power of two.
    inputs
        Channels that are seen.
    """

    def __init__(
        self, factor: int, *, width: int = 64, blocks: int = 16, inputs: int = 1
    ) -> None:
        super().__init__()
        self.factor = factor
        self.blocks = blocks
        self.head = nn.Sequential(nn.Conv2d(inputs, width, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(
            *(_Block(width) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )
        self.rise = nn.Sequential(
            *(
                # sub-pixel convolution to twice the height and width
                nn.Sequential(
                    nn.Conv2d(width, 4 * width, 3, padding=1),
                    nn.PixelShuffle(2),
                    nn.PReLU(),
                )
                for _ in range(round(math.log2(factor)))
            )
        )
        self.tail = nn.Conv2d(width, 1, 9, padding=4)

    @property
    def receptive_radius(self) -> int:
        """LR pixels that one output pixel sees to each side."""
        # that of the tail, in output pixels
        reach = 4
        for _ in self.rise:
            # sub-pixel convolution: its 3 x 3 kernel lies on the coarser grid
            reach = -(-reach // 2) + 1
        return reach + 2 * self.blocks + 1 + 4

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, 1, factor h, factor w); values near 0..1."""
        first = self.head(image)
        result: Tensor = self.tail(self.rise(first + self.body(first)))
        return result


class _Block(nn.Module):
    """Two normalised convolutions around a skip connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.PReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = features + self.layers(features)
        return result
