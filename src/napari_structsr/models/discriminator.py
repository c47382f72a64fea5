"""Discriminators: what a generator is trained against; never needed to upscale.

`PatchDiscriminator` rates every patch of a candidate, and, if it is conditional,
sees the measured image beside it: it asks not "does this look like an image?" but
"does this look like what was measured here?". Structure that the measurement does not
support is then a reason to reject. `PlainDiscriminator` is the one of SRGAN and
ESRGAN, which sees the candidate alone and gives one rating for all of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_structsr.models.conditional_generator import standardise

_LEAK = 0.2


class PatchDiscriminator(nn.Module):
    """Ratings of overlapping patches of a candidate, given the measured image.

    The candidate is brought to the measured grid by sub-pixel rearrangement, which
    loses nothing, so that both are seen pixel by pixel at a quarter of the cost.

    Parameters
    ----------
    factor
        Candidate pixels along the side of a measured one.
    width
        Channels of the first features.
    conditional
        Whether the measured image is seen.
    told
        Whether width of the point-spread function and noise are seen, as constant
        images. Not told, it asks for too much detail where blur is narrow, and for
        too little where it is wide.
    """

    def __init__(
        self,
        factor: int,
        *,
        width: int = 32,
        conditional: bool = True,
        told: bool = False,
    ) -> None:
        super().__init__()
        self.factor = factor
        self.conditional = conditional
        self.told = told
        inputs = factor**2 + conditional + 2 * told
        self.layers = nn.Sequential(
            _make_spectral_conv(inputs, width),
            nn.LeakyReLU(_LEAK),
            _make_spectral_conv(width, width),
            nn.LeakyReLU(_LEAK),
            _make_spectral_conv(width, 2 * width, stride=2),
            nn.LeakyReLU(_LEAK),
            _make_spectral_conv(2 * width, 2 * width),
            nn.LeakyReLU(_LEAK),
            _make_spectral_conv(2 * width, 1),
        )

    def forward(
        self,
        candidate: Tensor,
        measured: Tensor,
        sigma: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Rate a candidate.

        Parameters
        ----------
        candidate
            Shape (N, 1, factor h, factor w).
        measured
            Shape (N, 1, h, w); a discriminator that is not conditional takes its
            mean from it, and nothing else.
        sigma, noise
            As in `ConditionalGenerator.gains`; seen by one that is told.

        Returns
        -------
        Tensor
            Logits by patch, shape (N, 1, h / 2, w / 2), high for the truth.
        """
        # brightness is no clue
        level = measured.mean(dim=(2, 3), keepdim=True)
        # sub-pixel rearrangement: the measured grid at no loss
        seen = F.pixel_unshuffle(candidate - level, self.factor)
        if self.conditional:
            seen = torch.cat([seen, measured - level], dim=1)
        if self.told and sigma is not None and noise is not None:
            constants = standardise(sigma, noise)[..., None, None]
            maps = constants.expand(-1, -1, *seen.shape[2:])
            seen = torch.cat([seen, maps.to(seen.dtype)], dim=1)
        rating: Tensor = self.layers(seen)
        return rating


class PlainDiscriminator(nn.Module):
    """The discriminator of SRGAN (Ledig et al. 2017) and ESRGAN (Wang et al. 2018).

    Eight convolutions with batch normalisation, every second one halving the size, and
    two dense layers.

    Parameters
    ----------
    size
        Candidate pixels along a side; it accepts no other size.
    width
        Channels of the first features; 64 as published.
    """

    def __init__(self, size: int, *, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1)]
        layers += [nn.LeakyReLU(_LEAK)]
        before = width
        for number in range(1, 8):
            # 64, 64, 128, 128, 256, 256, 512, 512 channels, as published
            after = width * 2 ** min(number // 2, 3)
            stride = 1 + number % 2
            layers += [
                nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(_LEAK),
            ]
            before = after
            size = -(-size // stride)
        self.features = nn.Sequential(*layers)
        # the name stands in checkpoints that are to be resumed
        self.verdict = nn.Sequential(
            nn.Flatten(),
            nn.Linear(before * size**2, 16 * width),
            nn.LeakyReLU(_LEAK),
            nn.Linear(16 * width, 1),
        )

    def forward(self, candidate: Tensor, measured: Tensor, *_: Tensor) -> Tensor:
        """Rate a candidate of shape (N, 1, size, size); `measured` is not seen.

        Returns
        -------
        Tensor
            Logits, shape (N, 1), high for the truth.
        """
        features = self.features(candidate)
        rating: Tensor = self.verdict(features)
        return rating


def _make_spectral_conv(inputs: int, outputs: int, *, stride: int = 1) -> nn.Module:
    """Return a 3 x 3 convolution whose gain is held at 1 (Miyato et al. 2018)."""
    layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
    return nn.utils.parametrizations.spectral_norm(layer)
