"""Pairs for the calibration of conditional models: truths, measured in many ways.

What the trainer draws is drawn here as well, of whole parts of planes in place of
patches: widths, noise, brightness, and point-spread functions that are not round.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from napari_structsr.calibration.samples import CalibrationPair
from napari_structsr.imaging.forward import add_noise
from napari_structsr.imaging.optical_transfer import (
    airy_transfer,
    gaussian_transfer,
    measure_through,
)
from napari_structsr.training.patch_sampler import FULL_SCALE, Plane
from napari_structsr.training.recipe import OpticsConfig
from napari_structsr.training.varied_optics import DrawnOptics, draw_optics


def measure_varied_pairs(
    planes: Sequence[Plane],
    config: OpticsConfig,
    *,
    factor: int,
    side: int,
    draws: int,
    seed: int = 0,
) -> Iterator[CalibrationPair]:
    """Measure parts of planes, each by its own optics.

    Parameters
    ----------
    planes
        True images.
    config
        Ranges of the optics.
    factor
        True pixels along the side of a measured one.
    side
        Measured pixels along the side of a part, at most.
    draws
        Parts of each source, spread over its planes.
    seed
        Of the parts and the optics.
    """
    generator = torch.Generator().manual_seed(seed)
    random = np.random.default_rng(seed)
    for source in dict.fromkeys(plane.source for plane in planes):
        mine = [plane for plane in planes if plane.source == source]
        chosen = np.linspace(0, len(mine) - 1, draws).round().astype(int)
        optics = draw_optics(draws, config, generator)
        for number, index in enumerate(chosen):
            truth = _cut_part(mine[index], side * factor, factor, random)
            truth = truth * float(optics.gain[number])
            if np.ptp(truth) == 0:  # an empty corner
                continue
            image = torch.from_numpy(truth)[None, None]
            measured = _measure(image, optics, number, factor, generator)
            yield CalibrationPair(
                measured[0, 0].numpy(),
                truth,
                source=source,
                image=mine[index].image,
                psf_sigma=float(optics.told_sigma[number]),
            )


def _cut_part(
    plane: Plane, side: int, factor: int, random: np.random.Generator
) -> np.ndarray:
    parts = []
    for size in plane.pixels.shape:
        kept = min(size, side) // factor * factor
        first = int(random.integers(0, size - kept + 1))
        parts.append(slice(first, first + kept))
    return plane.pixels[tuple(parts)].astype(np.float32) / FULL_SCALE


def _measure(
    image: Tensor,
    optics: DrawnOptics,
    number: int,
    factor: int,
    generator: torch.Generator,
) -> Tensor:
    sigma = optics.sigma[number : number + 1]
    # mirrored around, as the transfer function takes images to go on periodically
    margin = math.ceil(6 * float(sigma) + 4)
    wide = np.pad(image[0, 0].numpy(), margin * factor, mode="symmetric")
    size = (wide.shape[0], wide.shape[1])
    if optics.airy[number]:
        transfer = airy_transfer(size, factor, sigma)
    else:
        transfer = gaussian_transfer(
            size,
            factor,
            sigma,
            ellipticity=optics.ellipticity[number : number + 1],
            angle=optics.angle[number : number + 1],
        )
    clean = measure_through(transfer, torch.from_numpy(wide)[None, None], factor)
    return add_noise(
        clean[..., margin:-margin, margin:-margin].clamp_min(0),
        photons=float(optics.photons[number]),
        read_noise=float(optics.read_noise[number]),
        generator=generator,
    )
