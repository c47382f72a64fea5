"""Any network, as what it adds to bicubic interpolation.

SRResNet, RRDB and SwinIR were published without a path around the network, and spend
most of a short training on learning to pass the image through. With the path, all
methods of a comparison begin where `ResidualGenerator` begins.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_structsr.models.generator import interpolate

__all__ = ["OverBicubic"]

_FIRST_GAIN = 0.1


class OverBicubic(nn.Module):
    """Bicubic interpolation plus a network times a learned gain.

    Parameters
    ----------
    network
        Maps (N, 1, h, w) to (N, 1, factor h, factor w).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.gain = nn.Parameter(torch.tensor(_FIRST_GAIN))
        self.factor = int(network.factor)  # type: ignore[arg-type]
        self.align = int(getattr(network, "align", 1))

    @property
    def receptive_radius(self) -> int:
        """LR pixels that one output pixel sees to each side."""
        return max(int(self.network.receptive_radius), 2)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 1, h, w) to (N, 1, factor h, factor w), in the same unit."""
        with torch.autocast(image.device.type, enabled=False):
            base = interpolate(image.float(), self.factor, mode="bicubic")
        out: Tensor = base + self.gain * self.network(image).float()
        return out
