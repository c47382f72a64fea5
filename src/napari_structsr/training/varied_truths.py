"""Other true images from those that there are: smaller, turned to negatives, bent.

What a network is trained on is seldom what it is used on. A negative, another curve of
brightness and another size of the same structure cost nothing, and stand for other
specimens, stains and magnifications.
"""

from __future__ import annotations

import numpy as np
import torch
from skimage.transform import resize
from torch import Tensor

from napari_structsr.core.types import Float32Array
from napari_structsr.training.patch_sampler import FULL_SCALE, RANGE, Plane
from napari_structsr.training.recipe import OpticsConfig

_SOFTENING = 0.45  # pixels of a copy; more would leave it without fine detail


def add_smaller_copies(
    planes: list[Plane], config: OpticsConfig, *, smallest: int
) -> list[Plane]:
    """Return planes with smaller copies of them, as sharp as their pixels allow.

    Parameters
    ----------
    planes
        True images.
    config
        By which factors, and the sources of which nothing but the copies is kept.
    smallest
        Pixels along the side that a copy must have.
    """
    found = [plane for plane in planes if plane.source not in config.oversampled]
    copies = [_bin(plane) for plane in planes]
    copies += [_shrink(plane, factor) for factor in config.shrunk for plane in planes]
    return found + [copy for copy in copies if min(copy.pixels.shape) >= smallest]


def _bin(plane: Plane) -> Plane:
    height, width = (size // 2 * 2 for size in plane.pixels.shape)
    pixels = plane.pixels[:height, :width].astype(np.float32)
    return _copy(plane, pixels.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)))


def _shrink(plane: Plane, factor: float) -> Plane:
    shape = [round(size / factor) for size in plane.pixels.shape]
    pixels = plane.pixels.astype(np.float32)
    smaller = resize(
        pixels, shape, order=1, anti_aliasing=True, anti_aliasing_sigma=_SOFTENING
    )
    return _copy(plane, smaller)


def _copy(plane: Plane, pixels: Float32Array) -> Plane:
    low, high = np.percentile(pixels, RANGE)
    # averages take the brightest noise away: stretched, it is as bright as others
    scaled = np.clip((pixels - low) / max(high - low, 1), 0, 1) * FULL_SCALE
    return Plane(plane.source, scaled.round().astype(np.int16), plane.image)


def vary_brightness(
    truth: Tensor, config: OpticsConfig, generator: torch.Generator
) -> Tensor:
    """Bend the brightness of each image, and turn some to negatives.

    Parameters
    ----------
    truth
        Shape (N, 1, H, W), range 0..1, as is what is returned.
    config
        How much, and how many.
    generator
        Of the draws, on the device of the images.
    """
    shape, device = (len(truth), 1, 1, 1), generator.device
    if config.bend:
        powers = config.bend * torch.randn(shape, generator=generator, device=device)
        truth = truth.clamp_min(0) ** powers.exp()
    if config.negatives:
        drawn = torch.rand(shape, generator=generator, device=device)
        truth = torch.where(drawn < config.negatives, 1 - truth, truth)
    return truth
