"""True parts of images, measured through many optics, and who makes what of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.optics.classical import run_richardson_lucy, run_wiener
from napari_structsr.benchmark.measures import find_busiest_window
from napari_structsr.benchmark.tracks import make_truth
from napari_structsr.imaging.forward import add_noise
from napari_structsr.imaging.optical_transfer import (
    airy_transfer,
    gaussian_transfer,
    measure_through,
)
from napari_structsr.io.image_folders import find_images
from napari_structsr.models.conditional_generator import noise_level
from napari_structsr.models.generator import interpolate
from napari_structsr.models.model import SRModel

SIGMAS = (0.4, 0.7, 1.0, 1.4)
LIGHT = {4000: 0.003, 400: 0.01, 60: 0.01}
"""Photons at full light, and camera noise as a share of full light."""

TOLD = {
    "told": (1.0, 1.0),
    "width 25% too wide": (1.25, 1.0),
    "width 25% too narrow": (0.75, 1.0),
    "noise told double": (1.0, 2.0),
    "noise told half": (1.0, 0.5),
}
"""What a conditional model is told: factors on the true width and noise."""

SHAPES = ("Airy", "elliptic")
_ELLIPTICITY, _ANGLE = 1.2, 0.5


@dataclass(frozen=True)
class Scene:
    """A true part, and the conditions under which it is measured.

    Parameters
    ----------
    truth
        Shape (1, 1, H, W), 0 for no light, 1 for full light.
    factor
        True pixels along the side of a measured one.
    sigma
        Width of the point-spread function in measured pixels.
    photons, read_noise
        Photons at full light, and camera noise as a share of full light.
    """

    truth: Tensor
    factor: int
    sigma: float
    photons: int
    read_noise: float

    def measure(self, shape: str = "Gaussian") -> Tensor:
        """Measure the truth, mirrored at its border, with noise of one seed."""
        pad = math.ceil(6 * self.sigma + 4) * self.factor
        wide = np.pad(self.truth[0, 0].numpy(), pad, mode="symmetric")
        image = torch.from_numpy(wide)[None, None]
        size, sigma = (wide.shape[0], wide.shape[1]), torch.tensor([self.sigma])
        if shape == "Airy":
            transfer = airy_transfer(size, self.factor, sigma)
        else:
            stretch = _ELLIPTICITY if shape == "elliptic" else 1.0
            transfer = gaussian_transfer(
                size,
                self.factor,
                sigma,
                ellipticity=torch.tensor([stretch]),
                angle=torch.tensor([_ANGLE]),
            )
        margin = pad // self.factor
        clean = measure_through(transfer, image, self.factor)
        clean = clean[..., margin:-margin, margin:-margin].clamp_min(0)
        generator = torch.Generator().manual_seed(0)
        return add_noise(
            clean,
            photons=self.photons,
            read_noise=self.read_noise,
            generator=generator,
        )

    def score(self, result: Tensor) -> float:
        """Return the peak signal-to-noise ratio in dB, of a range of 1."""
        error = float(((result - self.truth).double() ** 2).mean())
        return -10 * math.log10(max(error, 1e-12))


def find_parts(
    data: Path, *, factor: int, side: int, planes: int
) -> Iterator[tuple[str, str, Tensor]]:
    """Yield source, name and the busiest part of a few planes of each source.

    Parameters
    ----------
    data
        A folder of PNG and TIFF images for each source.
    factor
        Divides the sides of a part.
    side
        Measured pixels along the side of a part.
    planes
        Images of each source, spread over its files.
    """
    files = defaultdict(list)
    for image in find_images(data):
        files[image.source].append(image)
    for source, images in files.items():
        for image in images[:: max(1, -(-len(images) // planes))][:planes]:
            name, plane = next(iter(image.planes(every=1)))
            truth = make_truth(plane, factor)
            part = truth[find_busiest_window(truth, side * factor)]
            height, width = (size // factor * factor for size in part.shape)
            yield (
                source,
                name,
                torch.from_numpy(part[:height, :width].copy())[None, None],
            )


def score_methods(
    scene: Scene, model: SRModel, faithful: SRModel | None, default: float
) -> dict[str, float]:
    """Return the PSNR of every method under one condition.

    Parameters
    ----------
    scene
        What is measured, and how.
    model
        The conditional model.
    faithful
        The model that is told nothing; None where it has not the factor.
    default
        Width that the conditional model is told for finer pixels, same optics.
    """
    factor, measured = scene.factor, scene.measure()
    known = {
        "sigma": scene.sigma,
        "photons": scene.photons,
        "read_noise": scene.read_noise,
    }
    results = {
        "bicubic": interpolate(measured, factor, mode="bicubic"),
        "Richardson-Lucy told": run_richardson_lucy(measured, factor, **known),
        "Wiener told": run_wiener(measured, factor, **known),
    }
    if faithful is not None:
        results["faithful"] = faithful(measured)
    noise = noise_level(1 / scene.photons, scene.read_noise**2)
    low, high = model.card.psf_range or (0.25, 2.0)
    for name, (width, strength) in TOLD.items():
        sigma = min(max(scene.sigma * width, low), high)
        told = model.with_optics(psf_sigma=sigma, noise=noise * strength)
        results[name] = told(measured)
    kept = model.with_optics(psf_sigma=default, noise=noise)
    results["finer pixels, same optics"] = kept(measured)
    exact = model.with_optics(psf_sigma=scene.sigma, noise=noise)
    for shape in SHAPES:
        image = scene.measure(shape)
        results[f"{shape}, bicubic"] = interpolate(image, factor, mode="bicubic")
        results[f"{shape}, told"] = exact(image)
    return {name: scene.score(result) for name, result in results.items()}
