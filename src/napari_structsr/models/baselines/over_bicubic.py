"""Any network, as what it adds to bicubic interpolation.

SRResNet, RRDB and SwinIR were published without a path around the network, and spend
most of a short training on learning to pass the image through. With the path, all
methods of a comparison begin where `ResidualGenerator` begins.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_structsr.models.conditional_generator import (
    DEFAULT_NOISE,
    DEFAULT_SIGMA,
    fill_in_optics,
    standardise,
)
from napari_structsr.models.generator import interpolate

# brings what differs from the mean of 3 x 3 pixels to about 1
_DETAIL_GAIN = 10.0


class OverBicubic(nn.Module):
    """Bicubic interpolation plus a network times a learned gain.

    Parameters
    ----------
    network
        Maps (N, 1, h, w) to (N, 1, factor h, factor w); (N, 3, h, w) if it is told.
    detail
        Whether the network sees ten times the difference to the mean of 3 x 3 pixels
        in place of the image.
    told
        Whether the network also sees two constant images: width of the point-spread
        function and noise (as maps, Zhang et al. 2018, "SRMD").
    """

    def __init__(
        self, network: nn.Module, *, detail: bool = False, told: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.detail = detail
        self._sees_optics = told
        self._fixed: tuple[float, float] | None = None
        # small: training starts near the interpolation
        self.gain = nn.Parameter(torch.tensor(0.1))
        self.factor = int(network.factor)  # type: ignore[arg-type]
        self.align = int(getattr(network, "align", 1))

    @property
    def receptive_radius(self) -> int:
        """LR pixels that one output pixel sees to each side."""
        reach = int(self.network.receptive_radius)  # type: ignore[arg-type]
        # the bicubic kernel itself sees 2 pixels
        return max(reach + self.detail, 2)

    @property
    def told(self) -> bool:
        """Whether it can be told the optics."""
        return self._sees_optics and self._fixed is None

    def fix_optics(self, *, sigma: float, noise: float) -> OverBicubic:
        """Return a copy for one kind of image, see `ConditionalGenerator.fold`."""
        fixed = copy.deepcopy(self)
        fixed._fixed = (sigma, noise)
        return fixed

    def forward(
        self, image: Tensor, sigma: Tensor | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """Map (N, 1, h, w) to (N, 1, factor h, factor w), in the same unit.

        Parameters
        ----------
        image
            Shape (N, 1, h, w).
        sigma, noise
            As in `ConditionalGenerator.gains`, if it can be told them; by default
            those of an undersampled image of little noise.
        """
        with torch.autocast(image.device.type, enabled=False):
            # in float32: bfloat16 keeps 3 digits, and the level passes through here
            image = image.float()
            base = interpolate(image, self.factor, mode="bicubic")
            if self.detail:
                # the border pixel is repeated, so that the mean needs no other weights
                wide = F.pad(image, (1, 1, 1, 1), mode="replicate")
                image = _DETAIL_GAIN * (image - F.avg_pool2d(wide, 3, stride=1))
            if self._sees_optics:
                usual = self._fixed or (DEFAULT_SIGMA, DEFAULT_NOISE)
                optics = fill_in_optics(image, sigma, noise, usual=usual)
                constants = standardise(*optics)[..., None, None]
                maps = constants.expand(-1, -1, *image.shape[2:])
                image = torch.cat([image, maps], dim=1)
        out: Tensor = base + self.gain * self.network(image).float()
        return out
