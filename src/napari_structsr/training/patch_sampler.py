"""Training patches: true images held on the device, measured there at every draw."""

from __future__ import annotations

import logging
import math
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_structsr.errors import TrainingError
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.io.formats.image_folders import find_images
from napari_structsr.training.patch_places import (
    PatchPlaces,
    flatten_images,
    index_patches,
    weigh_detail,
)
from napari_structsr.training.recipe import Recipe

logger = logging.getLogger(__name__)

MARGIN = 3
"""Measured pixels around a patch, so that its border is blurred with true pixels."""

_BLOCK = 32  # true pixels along the side of the places that are weighed
_HELD_OUT = 12  # every so many planes of a source, one is kept for validation
_LEAST_TO_SPLIT = 8
_SIGMAS = 9  # point-spread widths that are drawn from

FULL_SCALE = 32767
"""Value of full light in a `Plane`."""

RANGE = (0.02, 99.98)
"""Percentiles of an image that become no light and full light in a `Plane`."""


@dataclass(frozen=True)
class Plane:
    """A true image.

    Parameters
    ----------
    source
        Name of the folder that it came from.
    pixels
        Shape (H, W), int16, where 32767 is full light.
    image
        Name of the file, which the planes of a stack share.
    """

    source: str
    pixels: npt.NDArray[np.int16]
    image: str = ""


@dataclass(frozen=True)
class PatchBatch:
    """A batch, and how it was measured.

    Parameters
    ----------
    measured
        Shape (N, 1, h, w).
    truth
        Shape (N, 1, factor h, factor w), range 0..1.
    variance
        Variance of the noise of `measured`, same shape.
    forward_model
        How `truth` was measured; None where each image was measured in its own way.
    optics
        What a conditional generator is told: width of the point-spread function in
        measured pixels and noise relative to the range, shape (N,) each; else nothing.
    """

    measured: Tensor
    truth: Tensor
    variance: Tensor
    forward_model: ForwardModel | None
    optics: tuple[Tensor, ...] = ()


def load_planes(folder: Path, *, smallest: int) -> list[Plane]:
    """Read the planes of every PNG and TIFF in the folders of `folder`.

    Colour becomes luminance; each plane is scaled by its own extremes, since grey
    values of collected images mean nothing. Constant planes are left out, and those
    with fewer than `smallest` pixels along a side.

    Raises
    ------
    SourceError
        If there are no images, or one cannot be read.
    TrainingError
        If nothing is left.
    """
    planes, small, other = [], 0, 0
    for image in find_images(folder):
        for _, values in image.planes(every=1):
            plane = values.astype(np.float32)
            finite = bool(np.isfinite(plane).all())
            low, high = np.percentile(plane, RANGE) if finite else (0, 0)
            if min(plane.shape) < smallest:
                small += 1
            elif not high > low:
                other += 1
            else:
                # But for a few hot and dead pixels.
                scaled = np.clip((plane - low) / (high - low), 0, 1) * FULL_SCALE
                pixels = scaled.round().astype(np.int16)
                planes.append(Plane(image.source, pixels, image.name))
    if small or other:
        logger.info("left out %d small and %d constant or NaN planes", small, other)
    if not planes:
        raise TrainingError(
            f"{folder} holds no image to train on: {small} planes are smaller than "
            f"{smallest} pixels, {other} are constant or hold NaN; put larger images "
            "into a folder for each source"
        )
    return planes


def split_planes(planes: list[Plane]) -> tuple[list[Plane], list[Plane]]:
    """Keep every 12th plane of each source of 8 or more for validation."""
    training: list[Plane] = []
    held: list[Plane] = []
    # By source, in the order of the files: the same planes are held out at every call.
    sizes = Counter(plane.source for plane in planes)
    counts: Counter[str] = Counter()
    for plane in planes:
        number = counts[plane.source]
        counts[plane.source] += 1
        keep = sizes[plane.source] >= _LEAST_TO_SPLIT and number % _HELD_OUT == 5
        (held if keep else training).append(plane)
    return training, held


class ImageSampler:
    """True images on one device, from which patches are drawn.

    Parameters
    ----------
    planes
        Each at least as large as the patches that will be drawn.
    device
        Name for torch.
    """

    def __init__(self, planes: list[Plane], device: str) -> None:
        self.device = device
        self._flat, starts = flatten_images([plane.pixels for plane in planes], device)
        rows, weights = [], []
        sources = [plane.source for plane in planes]
        # By the square root of their number: a source of thousands of planes does not
        # drown one of ten, and is not seen as seldom either.
        share = {name: math.sqrt(sources.count(name)) for name in sources}
        for source in share:
            members = [n for n, name in enumerate(sources) if name == source]
            places = [_find_places(planes[n].pixels) for n in members]
            richness = weigh_detail(np.concatenate([detail for _, detail in places]))
            weights.append(share[source] * richness / richness.sum())
            for n, (corners, _) in zip(members, places, strict=True):
                height, width = planes[n].pixels.shape
                about = np.broadcast_to((starts[n], height, width), (len(corners), 3))
                rows.append(np.hstack([about, corners]))
        self._places = PatchPlaces(rows, weights, device)

    def draw(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        """Return `count` patches, shape (count, 1, size, size), float32 in 0..1."""
        half = _BLOCK // 2
        columns, shift, turn = self._places.draw(count, (-half, half), generator)
        start, height, width, top, left = columns
        middle = (_BLOCK - size) // 2  # a patch lies over the middle of its block
        top = (top + middle + shift[0]).clamp_min(0).minimum(height - size)
        left = (left + middle + shift[1]).clamp_min(0).minimum(width - size)
        patches = self._flat[index_patches(size, turn, start, top, left, width)]
        return patches[:, None].float() / FULL_SCALE


def draw_batch(
    sampler: ImageSampler,
    recipe: Recipe,
    *,
    count: int,
    number: int,
    generator: torch.Generator,
) -> PatchBatch:
    """Draw patches and measure them, each with its own brightness and noise."""

    def uniform(low: float, high: float) -> Tensor:
        shape = (count, 1, 1, 1)
        values = torch.rand(shape, generator=generator, device=sampler.device)
        return low + (high - low) * values

    def log_uniform(low: float, high: float) -> Tensor:
        return uniform(math.log(low), math.log(high)).exp()

    config, factor = recipe.data, recipe.factor
    side = (recipe.patch + 2 * MARGIN) * factor
    truth = sampler.draw(count, side, generator)
    truth = truth * uniform(*config.gain)
    photons = log_uniform(*config.photons)
    read_noise = log_uniform(*config.read_noise)
    # One width for the batch: it walks through its range with the number of the batch.
    # A random one would have to be read back from the device, which waits for it.
    low, high = config.psf_sigma
    sigma = low + (high - low) * (4 * number % _SIGMAS) / (_SIGMAS - 1)
    forward_model = _forward_model(factor, sigma)
    measured = forward_model.measure(
        truth, photons=photons, read_noise=read_noise, generator=generator
    )
    inner = slice(MARGIN, -MARGIN)
    outer = slice(MARGIN * factor, -MARGIN * factor)
    # Measured with the margin, then cut: the border of a patch is blurred with what
    # truly lies beside it.
    measured = measured[..., inner, inner]
    return PatchBatch(
        measured=measured,
        truth=truth[..., outer, outer].contiguous(),
        variance=measured.clamp_min(0) / photons + read_noise**2,
        forward_model=forward_model,
    )


@cache  # its kernel is computed once for each width
def _forward_model(factor: int, sigma: float) -> ForwardModel:
    return ForwardModel(factor, sigma)


def _find_places(
    pixels: npt.NDArray[np.int16],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the corners of all blocks of a plane, shape (n, 2), and their detail."""
    rows, columns = (max(1, size // _BLOCK) for size in pixels.shape)
    values = pixels.astype(np.float32)
    # The last row and column have no neighbour: a slope of 0.
    slopes = np.abs(np.diff(values, axis=0, append=values[-1:]))
    slopes += np.abs(np.diff(values, axis=1, append=values[:, -1:]))
    whole = slopes[: rows * _BLOCK, : columns * _BLOCK]
    detail = whole.reshape(rows, -1, columns, whole.shape[1] // columns)
    detail = detail.mean(axis=(1, 3), dtype=np.float64)
    return np.argwhere(detail >= 0) * _BLOCK, detail.ravel()
