"""The residual generator, told how the image was taken.

A network that was trained on one narrow point-spread function hardly sharpens an image
whose blur is wider; one that was trained on many must guess which of them it sees.
This one is told: a small network turns the width of the point-spread function and the
noise into a gain for each channel of each residual branch (feature-wise modulation,
Perez et al. 2018, "FiLM"; the degradation as an input, Zhang et al. 2018, "SRMD").

The gains are the same for the whole image, so they fold into the weights (`fold`): what
runs over the tiles is a plain `ResidualGenerator`, at the same cost for each pixel.
Both inputs are ratios, width over pixel size and noise over range, so that still::

    G(gain * y + offset, optics) = gain * G(y, optics) + offset     for every gain > 0
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_structsr.models.generator import ResidualGenerator, add_change
from napari_structsr.models.wiener_filters import make_wiener_filters

SIGMA_RANGE = (0.25, 2.0)
"""Widths of the point-spread function that are trained, in measured pixels."""

NOISE_RANGE = (0.005, 0.16)
"""Standard deviations of the noise that are trained, relative to the range."""

DEFAULT_SIGMA, DEFAULT_NOISE = 0.35, 0.01
"""Of an undersampled image of little noise: finer pixels, same optics."""

_HIDDEN = 32


class ConditionalGenerator(ResidualGenerator):
    """Bicubic interpolation plus a residual that depends on the optics.

    Parameters
    ----------
    factor, width, blocks, filters
        As in `ResidualGenerator`; factor 1 keeps the pixels, and removes blur and
        noise. Filters are made for the optics.
    """

    # as in `OverBicubic`
    told = True
    # they follow from the optics, and are no weights of this network
    _has_taps = False

    def __init__(
        self, factor: int, *, width: int = 32, blocks: int = 8, filters: int = 0
    ) -> None:
        super().__init__(factor, width=width, blocks=blocks, filters=filters)
        last = nn.Linear(_HIDDEN, (blocks + 1) * width)
        # training starts from gains of 1, which is the generator that is told nothing
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.optics = nn.Sequential(
            nn.Linear(2, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            last,
        )

    # layers are fused of the network that it folds to, never of its own
    def forward(  # type: ignore[override]
        self, image: Tensor, sigma: Tensor | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """Map (N, 1, h, w) to (N, 1, factor h, factor w), in the same unit.

        Parameters
        ----------
        image
            Shape (N, 1, h, w).
        sigma, noise
            As in `gains`; by default those of an undersampled image of little noise.
        """
        sigma, noise = fill_in_optics(image, sigma, noise)
        gains = self.gains(sigma, noise)[..., None, None]
        first = self.find_differences(image, self.make_taps(sigma, noise))
        features = first
        for block, gain in zip(self.body, gains[:-1], strict=True):
            features = block(features, gain)
        features = add_change(first, self.join(features), gains[-1])
        residual = F.pixel_shuffle(self.tail(features), self.factor)
        return self.interpolate(image) + residual.float()

    def gains(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """Return the gain of each residual branch and channel.

        Parameters
        ----------
        sigma
            Width of the point-spread function in measured pixels, shape (N,).
        noise
            Noise relative to the range, shape (N,), see `noise_level`.

        Returns
        -------
        Tensor
            Shape (blocks + 1, N, width); the last one belongs to `join`.
        """
        # in half precision widths of 0.98 and 1.0 would be told apart no more
        with torch.autocast(sigma.device.type, enabled=False):
            changes: Tensor = self.optics(standardise(sigma.float(), noise.float()))
        by_branch = changes.reshape(-1, self.blocks + 1, self.width)
        return 1 + by_branch.transpose(0, 1)

    def make_taps(self, sigma: Tensor, noise: Tensor) -> Tensor | None:
        """Return the Wiener filters for each image; None where there are none."""
        if not self.filters:
            return None
        return make_wiener_filters(
            sigma.float().clamp(*SIGMA_RANGE),
            noise.float().clamp(*NOISE_RANGE),
            factor=self.factor,
            count=self.filters,
        )

    @torch.no_grad()
    def fold(self, *, sigma: float, noise: float) -> dict[str, Tensor]:
        """Return the weights of a `ResidualGenerator` for one kind of image.

        Parameters
        ----------
        sigma
            Width of the point-spread function in measured pixels.
        noise
            Noise relative to the range, see `noise_level`.
        """
        state = self.state_dict().items()
        weights = {key: value for key, value in state if not key.startswith("optics.")}
        optics = self.head.new_tensor([[sigma], [noise]])
        if (taps := self.make_taps(*optics)) is not None:
            weights["taps"] = taps[0, :, None]
        names = [f"body.{number}.second.weight" for number in range(self.blocks)]
        gains = self.gains(*optics)[:, 0]
        for name, gain in zip([*names, "join.weight"], gains, strict=True):
            # the layer before an addition: a gain of its output is one of its weights
            weights[name] = weights[name] * gain[:, None, None, None]
        return weights


def noise_level(shot: float, floor: float) -> float:
    """Return the standard deviation of the noise at half of full light.

    Parameters
    ----------
    shot
        Rise of the noise variance from no light to full light, relative to the square
        of the range: the inverse of the photons at full light.
    floor
        Noise variance without light (camera and rounding), in the same unit.

    Returns
    -------
    float
        Relative to the range. One number stands for shot noise and camera noise: a
        network that sees differences alone cannot tell dark places from bright ones.
    """
    return math.sqrt(0.5 * shot + floor)


def fill_in_optics(
    image: Tensor,
    sigma: Tensor | None,
    noise: Tensor | None,
    *,
    usual: tuple[float, float] = (DEFAULT_SIGMA, DEFAULT_NOISE),
) -> tuple[Tensor, Tensor]:
    """Return width and noise, shape (N,) each, the usual one where none is given."""
    count = (len(image),)
    return (
        image.new_full(count, usual[0]) if sigma is None else sigma,
        image.new_full(count, usual[1]) if noise is None else noise,
    )


def standardise(sigma: Tensor, noise: Tensor) -> Tensor:
    """Bring both to -1..1 over the trained ranges, by logarithm; shape (N, 2)."""
    columns = []
    for values, (low, high) in ((sigma, SIGMA_RANGE), (noise, NOISE_RANGE)):
        middle = (math.log(low) + math.log(high)) / 2
        half = (math.log(high) - math.log(low)) / 2
        # outside of what was trained the nearest trained value is the safer one
        columns.append((values.clamp(low, high).log() - middle) / half)
    return torch.stack(columns, dim=1)
