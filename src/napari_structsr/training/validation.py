"""How good a generator is while it trains, on planes kept from it.

The most detailed part of each plane that was held out is measured once, with mild
noise, and scored as a whole. The same measures stand in the benchmark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor

from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.spectrum import compare_band
from napari_structsr.imaging.ssim import ssim
from napari_structsr.imaging.structure import gradient_error
from napari_structsr.models.generator import interpolate
from napari_structsr.training.patch_sampler import Plane
from napari_structsr.training.recipe import Recipe

__all__ = ["Scores", "Validation"]

_SIDE = 192  # true pixels of a part
_LARGEST = 24  # parts
_PHOTONS, _READ_NOISE = 4000.0, 0.003


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

    def row(self) -> dict[str, float]:
        """Return the scores by name."""
        return asdict(self)


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
        step = -(-len(planes) // _LARGEST) if planes else 1
        parts = [_richest_part(plane, recipe.factor) for plane in planes[::step]]
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._factor = recipe.factor
        generator = torch.Generator().manual_seed(recipe.seed)
        model = ForwardModel(recipe.factor, sum(recipe.data.psf_sigma) / 2)
        for truth in parts:
            measured = model.measure(
                truth, photons=_PHOTONS, read_noise=_READ_NOISE, generator=generator
            )
            self._pairs.append((measured.to(device), truth.to(device)))

    def __bool__(self) -> bool:
        return bool(self._pairs)

    def score(self, network: Callable[[Tensor], Tensor]) -> Scores:
        """Score what maps measured images to results."""
        with torch.no_grad():
            rows = [
                _scores(network(measured).float(), truth, self._factor)
                for measured, truth in self._pairs
            ]
        return Scores(*torch.tensor(rows).mean(dim=0).tolist())

    def errors(self, network: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean squared error of each part, shape (parts,)."""
        with torch.no_grad():
            found = [
                ((network(measured).float() - truth) ** 2).mean()
                for measured, truth in self._pairs
            ]
        return torch.stack(found)

    def baseline(self) -> Scores:
        """Score bicubic interpolation."""
        return self.score(partial(interpolate, factor=self._factor, mode="bicubic"))


def _scores(result: Tensor, truth: Tensor, factor: int) -> list[float]:
    """Return psnr, ssim, gradient error and band power."""
    band = compare_band(result, truth, lowest=0.25 / factor, highest=0.5 / factor)
    return [
        -10 * float(((result - truth) ** 2).mean().log10()),
        float(ssim(result, truth).mean()),
        float(gradient_error(result, truth).mean()),
        float(band.power.mean()),
    ]


def _richest_part(plane: Plane, factor: int) -> Tensor:
    """Return the part with the strongest gradients, shape (1, 1, h, w) in 0..1."""
    truth = torch.from_numpy(plane.pixels).float()[None, None] / 32767
    height, width = (size // factor * factor for size in truth.shape[2:])
    best, most = truth[..., :height, :width], -1.0
    for top in range(0, max(height - _SIDE, 0) + 1, _SIDE):
        for left in range(0, max(width - _SIDE, 0) + 1, _SIDE):
            part = truth[..., top : top + _SIDE, left : left + _SIDE]
            detail = float(part.diff(dim=2).abs().mean())
            if detail > most:
                best, most = part, detail
    return best
