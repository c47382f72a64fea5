"""Losses on features: texture, and the content loss of SRGAN and ESRGAN.

Texture is the difference of Gabor magnitudes in small windows: it asks for detail as
strong as that of the truth, and leaves open where its crests lie, which pixel
differences punish twice.

The published content loss is the distance of VGG19 features. Its weights are used
when torchvision has them in its cache; they are never downloaded. Otherwise Gabor
magnitudes stand in, and the card of the model says so.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_structsr.core.llvm_clash import keep_triton_out

_VGG_FILE = "vgg19-dcbb9e9d.pth"
_VGG_LAYERS = 35  # conv5_4, before its activation, as ESRGAN
_VGG_MEAN, _VGG_STD = 0.449, 0.226  # of ImageNet, averaged over its colours
_ORIENTATIONS = 6
_WAVELENGTHS = (3.0, 6.0)


def content_loss() -> VGGContent | GaborTexture:
    """Return VGG19 features if their weights are here, otherwise the stand-in."""
    # Looked for, never downloaded: a training must not depend on a server.
    path = Path(torch.hub.get_dir()) / "checkpoints" / _VGG_FILE
    return VGGContent(path) if path.exists() else GaborTexture(window=1)


class VGGContent(nn.Module):
    """Mean squared difference of VGG19 features (Ledig et al. 2017, Wang et al. 2018).

    Parameters
    ----------
    path
        Weights of torchvision's vgg19.
    """

    label = "VGG19 features"

    def __init__(self, path: Path) -> None:
        super().__init__()
        keep_triton_out()
        # Late: torchvision is optional.
        from torchvision.models import vgg19

        network = vgg19(weights=None)
        network.load_state_dict(torch.load(path, weights_only=True))
        # In eval mode and without gradients of its own: a fixed measure, not a part of
        # the training.
        self.layers = network.features[:_VGG_LAYERS].eval().requires_grad_(False)

    def forward(self, candidate: Tensor, truth: Tensor) -> Tensor:
        """Compare images of shape (N, 1, H, W) in 0..1."""
        # The truth gives a target; there is nothing to learn from how it came about.
        with torch.no_grad():
            aim = self._features(truth)
        return F.mse_loss(self._features(candidate).float(), aim.float())

    def _features(self, image: Tensor) -> Tensor:
        """Return the features of a grey image, shown as RGB."""
        features: Tensor = self.layers(
            ((image - _VGG_MEAN) / _VGG_STD).expand(-1, 3, -1, -1)
        )
        return features


class GaborTexture(nn.Module):
    """Mean difference of Gabor magnitudes: local texture whatever its phase.

    Two wavelengths (3 and 6 pixels), six orientations; the first layer of a
    scattering transform (Bruna and Mallat 2013).

    Parameters
    ----------
    window
        Pixels along the side of the windows over which power is averaged first.
    """

    label = "Gabor magnitudes in place of VGG19 features"

    bank: Tensor

    def __init__(self, *, window: int = 8) -> None:
        super().__init__()
        self.window = window
        self.register_buffer("bank", _gabor_bank(), persistent=False)

    def forward(self, candidate: Tensor, truth: Tensor) -> Tensor:
        """Compare images of shape (N, 1, H, W) in 0..1."""
        with torch.no_grad():
            aim = self._features(truth)
        return F.l1_loss(self._features(candidate), aim)

    def _features(self, image: Tensor) -> Tensor:
        """Return magnitudes by window, shape (N, 12, rows, columns)."""
        half = self.bank.shape[-1] // 2
        waves = F.conv2d(image, self.bank, padding=half).float()
        real, imaginary = waves.chunk(2, dim=1)
        power = real**2 + imaginary**2
        # Power is averaged before the root. Mean differences aim at the median: that of
        # a single magnitude lies below its mean, so that texture would come out too
        # weak; that of the power in a window hardly does.
        if self.window > 1:
            power = F.avg_pool2d(power, self.window, self.window // 2)
        # A root has an infinite slope at 0, where images are flat.
        return (power + 1e-6).sqrt()


def _gabor_bank() -> Tensor:
    """Return even filters, then odd ones, shape (24, 1, 13, 13); each sums to 0."""
    line = torch.arange(-6.0, 7.0)
    y, x = torch.meshgrid(line, line, indexing="ij")
    even, odd = [], []
    for wavelength in _WAVELENGTHS:
        # Half a wavelength wide: about one crest on each side.
        envelope = torch.exp(-(x**2 + y**2) / (2 * (0.5 * wavelength) ** 2))
        envelope = envelope / envelope.sum()
        for number in range(_ORIENTATIONS):
            angle = math.pi * number / _ORIENTATIONS
            along = x * math.cos(angle) + y * math.sin(angle)
            phase = 2 * math.pi * along / wavelength
            cosine = envelope * phase.cos()
            # Without its mean the even filter would answer to brightness as well.
            even.append(cosine - envelope * cosine.sum())
            odd.append(envelope * phase.sin())
    return torch.stack(even + odd)[:, None]
