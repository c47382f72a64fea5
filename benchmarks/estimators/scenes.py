"""Images of known blur and noise, made of parts of true ones."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_structsr.benchmark.measures import find_busiest_window
from napari_structsr.benchmark.tracks import make_truth
from napari_structsr.core.intensity import Intensity, fit_intensity
from napari_structsr.core.types import Array
from napari_structsr.imaging.forward import add_noise
from napari_structsr.imaging.optical_transfer import (
    airy_transfer,
    gaussian_transfer,
    measure_through,
)
from napari_structsr.io.formats.image_folders import find_images

SIGMA = (0.25, 2.0)
PHOTONS = (20.0, 20_000.0)
READ_NOISE = 0.03
_SIDE = 192  # measured pixels of a part, as statistics read them
_WINDOW = 384  # from which parts are taken
_MARGIN = 12  # measured pixels that the blur of the widest reaches
_AIRY = 0.3  # share of images seen through an Airy pattern


@dataclass(frozen=True)
class Scene:
    """Parts of one channel, and what is true of them.

    Parameters
    ----------
    source, name
        Where they are from.
    parts
        Measured, shape (y, x), 0 for no light and 1 for full light.
    intensity
        Range and noise as they were found.
    sigma
        True width of the point-spread function in measured pixels.
    noise
        True standard deviation of the noise at half of the range, relative to it.
    """

    source: str
    name: str
    parts: tuple[Array, ...]
    intensity: Intensity
    sigma: float
    noise: float


def make_scenes(data: Path, *, factor: int, planes: int, each: int) -> Iterator[Scene]:
    """Yield scenes of random blur and noise, always the same ones.

    Parameters
    ----------
    data
        A folder of images for each source.
    factor
        True pixels along the side of a measured one.
    planes
        Images of each source, spread over its files.
    each
        Scenes of an image, on average where a source has fewer.
    """
    files = defaultdict(list)
    for image in find_images(data):
        files[image.source].append(image)
    for number, (source, images) in enumerate(sorted(files.items())):
        rng = np.random.default_rng((factor, number))
        chosen = images[:: max(1, -(-len(images) // planes))][:planes]
        # a source of one image has as many scenes as half a source of many
        count = max(each, each * planes // len(chosen) // 2)
        for image in chosen:
            name, plane = next(iter(image.planes(every=1)))
            truth = make_truth(plane, factor)
            truth = truth[find_busiest_window(truth, _WINDOW * factor)]
            tensor = torch.from_numpy(truth.copy()).float()
            for _ in range(count):
                yield _make_scene(source, name, tensor, factor, rng)


def simulate_scenes(*, factor: int, each: int) -> Iterator[Scene]:
    """Yield scenes of beads and of filaments, which photographs of cells lack."""
    side = _WINDOW * factor
    y, x = np.indices((side, side))
    for number, source in enumerate(("simulated beads", "simulated filaments")):
        rng = np.random.default_rng((factor, number, 1))
        for index in range(each):
            truth = np.full((side, side), rng.uniform(0, 0.1), dtype=np.float32)
            count = math.exp(rng.uniform(3, 6))
            if source == "simulated beads":
                for row, column in rng.integers(0, side, (round(4 * count), 2)):
                    truth[row : row + 2, column : column + 2] += rng.uniform(0.2, 1)
            else:
                for _ in range(round(count / 5)):
                    row, column = rng.uniform(0, side, 2)
                    angle, radius = rng.uniform(0, math.pi), side * rng.uniform(0.3, 5)
                    middle = (
                        row + radius * math.sin(angle),
                        column + radius * math.cos(angle),
                    )
                    distance = np.hypot(y - middle[0], x - middle[1]) - radius
                    truth += rng.uniform(0.2, 1) * (np.abs(distance) < 1)
            # brightest where it is sharp, but seen with as much light as an image is
            truth *= math.exp(rng.uniform(0, 3)) / max(float(truth.max()), 1e-6)
            yield _make_scene(source, str(index), torch.from_numpy(truth), factor, rng)


def _make_scene(
    source: str, name: str, truth: Tensor, factor: int, rng: np.random.Generator
) -> Scene:
    sigma = math.exp(rng.uniform(*np.log(SIGMA)))
    photons = math.exp(rng.uniform(*np.log(PHOTONS)))
    read_noise = READ_NOISE * rng.uniform() * rng.uniform()
    make = airy_transfer if rng.uniform() < _AIRY else gaussian_transfer
    parts = []
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        sides = [min(_SIDE * factor, size) // factor * factor for size in truth.shape]
        top, left = (
            int(rng.integers(0, size - side + 1))
            for size, side in zip(truth.shape, sides, strict=True)
        )
        part = truth[top : top + sides[0], left : left + sides[1]].numpy()
        wide = torch.from_numpy(np.pad(part, _MARGIN * factor, mode="symmetric"))
        size = (wide.shape[0], wide.shape[1])
        transfer = make(size, factor, torch.tensor([sigma]))
        clean = measure_through(transfer, wide[None, None], factor)
        clean = clean[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN].clamp_min(0)
        seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
        noisy = add_noise(clean, photons=photons, read_noise=read_noise, generator=seed)
        parts.append(noisy[0, 0].numpy())
    found = fit_intensity(parts)
    # at half of the range that was found, which is what the estimate speaks of
    variance = (max(found.low, 0) + 0.5 * found.span) / photons + read_noise**2
    noise = math.sqrt(variance) / found.span
    return Scene(source, name, tuple(parts), found, sigma, noise)
