"""The residual generator: what the network adds to the interpolated measurement.

All depth is at low resolution, one layer rises to high resolution by sub-pixel
convolution (Shi et al. 2016), and there is no normalisation layer, so that a
pixel depends on its neighbourhood alone and tiles join without seams.

Two choices make the result independent of the camera's gain and offset, exactly::

    G(gain * y + offset) = gain * G(y) + offset        for every gain > 0

* No layer has a bias, so that the network scales with its input (Mohan et al.
  2020, "Robust and interpretable blind image denoising via bias-free CNNs").
* The filters of the first layer sum to zero, so that it sees differences alone;
  the level passes through the interpolation.

A constant image therefore stays constant, and a hot pixel or an unusual contrast
changes nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_structsr.imaging.bicubic import interpolate_bicubic
from napari_structsr.models.wiener_filters import RADIUS


class ResidualGenerator(nn.Module):
    """Bicubic interpolation plus a learned, intensity-equivariant residual.

    Parameters
    ----------
    factor
        Upscaling factor along y and x.
    width
        Channels of the features.
    blocks
        Residual blocks of two 3 x 3 convolutions.
    filters
        Wiener filters beside the first layer, `napari_structsr.models.wiener_filters`.
    """

    # whether filters are among the weights
    _has_taps = True
    taps: Tensor

    def __init__(
        self, factor: int, *, width: int = 32, blocks: int = 8, filters: int = 0
    ) -> None:
        super().__init__()
        self.factor = factor
        self.width = width
        self.blocks = blocks
        self.filters = filters
        self.head = nn.Parameter(torch.empty(width, 1, 3, 3))
        self.body = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.join = _make_conv(width, width)
        self.tail = _make_conv(width, factor**2)
        if filters:
            # made from the optics, see `ConditionalGenerator`
            taps = torch.zeros(filters, 1, 2 * RADIUS + 1, 2 * RADIUS + 1)
            self.register_buffer("taps", taps, persistent=self._has_taps)
            self.mix = nn.Parameter(torch.zeros(width, filters, 1, 1))
        nn.init.kaiming_normal_(self.head)
        # training starts from the interpolation
        nn.init.zeros_(self.tail.weight)

    @property
    def receptive_radius(self) -> int:
        """LR pixels that one output pixel sees to each side."""
        first = RADIUS if self.filters else 1
        return first + 2 * self.blocks + 2

    def forward(
        self, image: Tensor, compute: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Map (N, 1, h, w) to (N, 1, factor h, factor w), in the same unit.

        `compute` stands in for the layers, see `FusedGenerator`.
        """
        if compute is not None:
            return compute(image)
        first = self.find_differences(image)
        features = first
        for block in self.body:
            features = block(features)
        features = add_change(first, self.join(features))
        residual = F.pixel_shuffle(self.tail(features), self.factor)
        return self.interpolate(image) + residual.float()

    def interpolate(self, image: Tensor) -> Tensor:
        """Return the interpolated image, to which the network adds."""
        # in float32: bfloat16 keeps 3 digits, and the level passes through here
        with torch.autocast(image.device.type, enabled=False):
            return interpolate(image.float(), self.factor, mode="bicubic")

    def find_differences(self, image: Tensor, taps: Tensor | None = None) -> Tensor:
        """Return the first features of an image, which see differences alone.

        Parameters
        ----------
        image
            Shape (N, 1, h, w).
        taps
            Wiener filters of each image, shape (N, filters, side, side); by default
            those that are kept.
        """
        # in float32: of an image in bfloat16 small differences are lost
        with torch.autocast(image.device.type, enabled=False):
            image = image.float()
            # filters that sum to zero see differences alone: an offset is lost here
            filters = self.head - self.head.mean(dim=(1, 2, 3), keepdim=True)
            first = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), filters)
            if self.filters:
                found = _filter(image, self.taps[None, :, 0] if taps is None else taps)
                first = first + F.conv2d(found, self.mix)
        return first


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _make_conv(width, width)
        self.second = _make_conv(width, width)
        # blocks begin close to passing their input through
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, features: Tensor, gain: Tensor | None = None) -> Tensor:
        """Keep the shape; `gain` multiplies the change, shape (N, width, 1, 1)."""
        # in place: nothing else needs what the layer gave
        change = self.second(F.relu(self.first(features), inplace=True))
        return add_change(features, change, gain)


def _filter(image: Tensor, taps: Tensor) -> Tensor:
    """Filter each image by its own taps, or all by the same."""
    count, number = taps.shape[:2]
    wide = F.pad(image, (RADIUS,) * 4, mode="replicate")
    if count == 1:  # no shape is named, so that exports take images of every size
        return F.conv2d(wide, taps[0, :, None])
    # images side by side as channels: each has filters of its own
    wide = wide.reshape(-1, count, *wide.shape[-2:])
    found = F.conv2d(wide, taps.reshape(-1, 1, *taps.shape[-2:]), groups=count)
    return found.reshape(len(image), number, *image.shape[-2:])


def add_change(features: Tensor, change: Tensor, gain: Tensor | None = None) -> Tensor:
    """Return ``features + gain * change`` in one pass over memory.

    In inference mode that may be `change` itself, in its own type.
    """
    if gain is None:
        # in half precision also the sum is: a tenth more error, half of the memory
        if torch.is_inference_mode_enabled():
            return change.add_(features)
        return features + change
    return torch.addcmul(features.to(change.dtype), change, gain.to(change.dtype))


def _make_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution without a bias, initialised for ReLU."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return layer


def interpolate(image: Tensor, factor: int, *, mode: str) -> Tensor:
    """Interpolate (N, C, h, w) between pixel centres, "bicubic" or "bilinear".

    Bicubic is the Keys kernel with a = -0.75, as in OpenCV and PyTorch: sharper
    than the a = -0.5 of Pillow and MATLAB, and the better of the two on blurred
    images.
    """
    # gradients and exports go through one operation of torch
    on_cpu = image.device.type == "cpu" and torch.is_inference_mode_enabled()
    if mode == "bicubic" and on_cpu:
        return interpolate_bicubic(image, factor)
    return F.interpolate(image, scale_factor=factor, mode=mode, align_corners=False)
