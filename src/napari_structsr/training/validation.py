"""How good a generator is while it trains, on planes kept from it.

The most detailed part of each plane that was held out is measured once, with mild
noise, and scored as a whole. The same measures stand in the benchmark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.spectrum import compare_band
from napari_structsr.imaging.ssim import ssim
from napari_structsr.imaging.structure import gradient_error
from napari_structsr.models.build import can_be_told
from napari_structsr.models.conditional_generator import noise_level
from napari_structsr.models.generator import interpolate
from napari_structsr.training.patch_sampler import FULL_SCALE, Plane
from napari_structsr.training.recipe import Recipe

_SIDE = 192  # true pixels of a part
_LARGEST = 24  # parts
_PHOTONS, _READ_NOISE = 4000.0, 0.003

Network = Callable[..., Tensor]
"""Maps measured images, shape (N, 1, h, w), to results."""

_CONDITIONS = (  # width of the point-spread function, photons, read noise
    (0.4, 4000.0, 0.003),
    (1.0, 4000.0, 0.003),
    (1.4, 4000.0, 0.003),
    (0.7, 400.0, 0.01),
    (1.2, 60.0, 0.01),
)


@dataclass(frozen=True)
class Scores:
    """Means over the parts.

    Parameters
    ----------
    psnr
        Peak signal-to-noise ratio in dB, of a range of 1.
    ssim
        Structural similarity.
    gradient_error
        Length of the gradient of the difference over that of the truth, summed.
    power
        Power of the result over that of the truth in the upper half of the measured
        band.
    """

    psnr: float
    ssim: float
    gradient_error: float
    power: float

    def __str__(self) -> str:
        return (
            f"{self.psnr:.2f} dB, SSIM {self.ssim:.4f}, gradient error "
            f"{self.gradient_error:.3f}, band power {self.power:.2f}"
        )


@dataclass(frozen=True)
class ScoredPart:
    """A part of an image that is scored, within its surroundings.

    Parameters
    ----------
    surroundings
        Measured pixels that are upscaled, shape (1, 1, h, w).
    rows, columns
        Where the part lies in them.
    truth
        True pixels of the part alone.
    optics
        What a conditional generator is told of it, see `PatchBatch`.
    """

    surroundings: Tensor
    rows: slice
    columns: slice
    truth: Tensor
    optics: tuple[Tensor, ...] = field(default=(), kw_only=True)

    @property
    def measured(self) -> Tensor:
        """Measured pixels of the part alone."""
        return self.surroundings[..., self.rows, self.columns]

    @property
    def factor(self) -> int:
        """True pixels along the side of a measured one."""
        return self.truth.shape[-1] // self.measured.shape[-1]

    def upscale(self, network: Network) -> Tensor:
        """Upscale the surroundings; return the part, shape of the truth."""
        rows, columns = (
            slice(self.factor * span.start, self.factor * span.stop)
            for span in (self.rows, self.columns)
        )
        with torch.no_grad():
            told = self.optics if can_be_told(network) else ()
            return network(self.surroundings, *told).float()[..., rows, columns]


class Validation:
    """Parts of the planes that were held out, measured.

    Parameters
    ----------
    planes
        Planes that are not trained on.
    recipe
        Names factor, seed and range of the point-spread width, whose middle is taken.
    device
        Name for torch.
    """

    def __init__(self, planes: list[Plane], recipe: Recipe, device: str) -> None:
        # Spread over all planes: they stand in the order of their sources.
        step = -(-len(planes) // _LARGEST) if planes else 1
        parts = [_find_richest_part(plane, recipe.factor) for plane in planes[::step]]
        self._parts: list[ScoredPart] = []
        self._factor = recipe.factor
        generator = torch.Generator().manual_seed(recipe.seed)
        usual = (sum(recipe.data.psf_sigma) / 2, _PHOTONS, _READ_NOISE)
        conditions = _CONDITIONS if recipe.optics else (usual,)
        for number, truth in enumerate(parts):
            # parts take turns, so that every condition counts and none costs more
            sigma, photons, read_noise = conditions[number % len(conditions)]
            model = ForwardModel(recipe.factor, sigma)
            # Measured on the CPU: noise of one seed differs from device to device.
            measured = model.measure(
                truth, photons=photons, read_noise=read_noise, generator=generator
            ).to(device)
            noise = noise_level(1 / photons, read_noise**2)
            optics = tuple(measured.new_tensor([value]) for value in (sigma, noise))
            rows, columns = (slice(0, size) for size in measured.shape[2:])
            part = ScoredPart(measured, rows, columns, truth.to(device), optics=optics)
            self._parts.append(part)

    def __bool__(self) -> bool:
        return bool(self._parts)

    def score(self, network: Network) -> Scores:
        """Score what maps measured images to results."""
        rows = [
            _score(part.upscale(network), part.truth, self._factor)
            for part in self._parts
        ]
        return Scores(*torch.tensor(rows).mean(dim=0).tolist())

    def errors(self, network: Network) -> Tensor:
        """Return the mean squared error of each part, shape (parts,)."""
        found = [
            ((part.upscale(network) - part.truth) ** 2).mean() for part in self._parts
        ]
        return torch.stack(found)

    def baseline(self) -> Scores:
        """Score bicubic interpolation."""
        return self.score(bicubic(self._factor))


def bicubic(factor: int) -> Network:
    """Return bicubic interpolation, as what a network is compared with."""
    return partial(interpolate, factor=factor, mode="bicubic")


def _score(result: Tensor, truth: Tensor, factor: int) -> list[float]:
    """Return psnr, ssim, gradient error and band power."""
    # The upper half of what was measured: detail that can be restored, and not only
    # invented.
    band = compare_band(result, truth, lowest=0.25 / factor, highest=0.5 / factor)
    return [
        -10 * float(((result - truth) ** 2).mean().log10()),
        float(ssim(result, truth).mean()),
        float(gradient_error(result, truth).mean()),
        float(band.power.mean()),
    ]


def _find_richest_part(plane: Plane, factor: int) -> Tensor:
    """Return the part with the strongest gradients, shape (1, 1, h, w) in 0..1."""
    truth = torch.from_numpy(plane.pixels).float()[None, None] / FULL_SCALE
    height, width = (size // factor * factor for size in truth.shape[2:])
    best, most = truth[..., :height, :width], -1.0
    # A dark part would score well whatever is made of it.
    for top in range(0, max(height - _SIDE, 0) + 1, _SIDE):
        for left in range(0, max(width - _SIDE, 0) + 1, _SIDE):
            part = truth[..., top : top + _SIDE, left : left + _SIDE]
            detail = float(part.diff(dim=2).abs().mean())
            if detail > most:
                best, most = part, detail
    return best
