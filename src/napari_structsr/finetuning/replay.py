"""What keeps a fine-tuned model at what it did before, without its training images.

Images that need no download are measured as the card of the parent says; what the
parent makes of them is the target (Li and Hoiem 2016, "Learning without forgetting").
They are those that ship with scikit-image; the same magnified, some inverted; drawn
ones, overlapping discs and lines (the "dead leaves" of Lee, Mumford and Huang 2001,
"Occlusion models for natural images"), with edges from sharp to smooth, few of them on
a dark ground as in fluorescence, and as a relief, as differential interference contrast
shows them; and the true images of the user's pairs, of the regions for training alone.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from napari_structsr.core.types import Array, Float32Array
from napari_structsr.engine.device import Device
from napari_structsr.training.patch_sampler import (
    FULL_SCALE,
    MARGIN,
    ImageSampler,
    Plane,
    draw_batch,
)
from napari_structsr.training.recipe import Recipe
from napari_structsr.training.trainer import ReplayBatch, autocast
from napari_structsr.training.varied_optics import WIDE_MARGIN, draw_varied_batch

logger = logging.getLogger(__name__)

# Of several kinds, and no image in both parts.
_NAMES = {
    "training": (
        *("camera", "grass", "gravel", "immunohistochemistry", "page", "clock"),
        *("moon", "brick", "coffee", "hubble_deep_field"),
    ),
    "validation": ("cell", "retina", "coins"),
}
_SEEDS = {"training": (0, 1), "validation": (100,)}
_BLURS = {"training": (0.0, 0.6, 1.2, 1.6, 2.2, 3.0), "validation": (0.4, 1.5, 2.5)}
_SMOOTHING = {"training": (0.8, 1.2, 1.8, 2.6), "validation": (1.0, 2.2)}
# Smooth images under little noise look like those of a wide point-spread function:
# they are spoilt first by learning to undo one.
_SMOOTH = 1.4  # pixels of blur from which a model has nothing to sharpen
_PERCENTILES = (0.02, 99.98)
_LARGER = {"training": (2, 4), "validation": (2,)}
_SIDE, _FINE = 384, 2  # pixels of a drawn image, and how much finer it is drawn
_SHAPES, _FEW = 700, 60  # that cover a drawn image, and that leave its ground dark


class Replay:
    """Draws images of the parent's kind, and what the parent makes of them.

    Parameters
    ----------
    parent
        Network of the parent; a copy is taken.
    recipe
        Names factor and patch, and how the images of the parent were measured.
    truths
        True images of the user.
    """

    def __init__(
        self,
        parent: nn.Module,
        recipe: Recipe,
        *,
        truths: Sequence[Float32Array],
        device: Device,
    ) -> None:
        self._parent = copy.deepcopy(parent).eval().requires_grad_(False)
        self._parent.to(device.kind).to(memory_format=torch.channels_last)
        self._recipe, self._device = recipe, device
        margin = WIDE_MARGIN if recipe.optics else MARGIN
        smallest = (recipe.patch + 2 * margin) * recipe.factor
        planes = [*replay_images("training")]
        planes += [_make_plane("own", truth.clip(0, 1)) for truth in truths]
        planes = [plane for plane in planes if min(plane.pixels.shape) >= smallest]
        self._sampler = ImageSampler(planes, device.kind) if planes else None

    def draw(
        self, count: int, *, number: int, weight: float, generator: torch.Generator
    ) -> ReplayBatch | None:
        """Draw `count` patches for step `number`; differences count by `weight`.

        None if none are asked for, or all images are smaller than a patch.
        """
        if not count or self._sampler is None:
            return None
        recipe = self._recipe
        if recipe.optics:
            # Over all that the parent can be told, or it would be forgotten.
            batch = draw_varied_batch(
                self._sampler,
                recipe.optics,
                factor=recipe.factor,
                patch=recipe.patch,
                count=count,
                generator=generator,
            )
        else:
            batch = draw_batch(
                self._sampler, recipe, count=count, number=number, generator=generator
            )
        # Targets are made anew for each patch: stored ones would fix the noise.
        with torch.no_grad(), autocast(self._device):
            target = self._parent(batch.measured, *batch.optics)
        target = target.float()
        error = ((target - batch.truth) ** 2).flatten(1).mean(dim=1)
        return ReplayBatch(batch.measured, target, error, weight, batch.optics)


@cache
def replay_images(part: Literal["training", "validation"]) -> tuple[Plane, ...]:
    """Return the images of a part, the same at every call."""
    planes = []
    for name in _NAMES[part]:
        image = _load_shipped(name)
        # Versions of scikit-image ship others, and a few are downloaded.
        if image is None:
            continue
        planes.append(_make_plane("shipped", image))
        for factor in _LARGER[part]:
            larger = _magnify(image, factor)
            # Inverted ones: dark structures on bright ground.
            planes.append(_make_plane("larger", larger if factor == 2 else 1 - larger))
    for seed in _SEEDS[part]:
        image = _draw_shapes(seed)
        for number, blur in enumerate(_BLURS[part]):
            blurred = ndimage.gaussian_filter(image, blur)
            kind = "smooth" if blur > _SMOOTH else "drawn"
            planes.append(_make_plane(kind, 1 - blurred if number % 2 else blurred))
        few = _draw_shapes(seed, shapes=_FEW)
        for blur in _SMOOTHING[part]:
            planes.append(_make_plane("relief", _make_relief(image, blur)))
            planes.append(_make_plane("few", ndimage.gaussian_filter(few, blur)))
    return tuple(planes)


def _load_shipped(name: str) -> Float32Array | None:
    """Return an image of scikit-image in 0..1, or None if it lacks it."""
    from skimage import data
    from skimage.color import rgb2gray

    try:
        image: Array = getattr(data, name)()
    except (AttributeError, OSError, ImportError, ValueError) as error:
        logger.info("the image %s of scikit-image is missing (%s)", name, error)
        return None
    if name == "retina":
        image = image[450:962, 850:1362, 1]  # around the optic disc
    elif image.ndim == 3:
        image = rgb2gray(image)
    low, high = np.percentile(image, _PERCENTILES)
    scaled: Float32Array = np.clip(
        (image.astype(np.float32) - low) / (high - low), 0, 1
    )
    return scaled


def _magnify(image: Float32Array, factor: int) -> Float32Array:
    """Magnify the middle of an image."""
    height, width = (size // factor for size in image.shape)
    top, left = ((size - size // factor) // 2 for size in image.shape)
    # The middle alone, so that it has the size of the others.
    part = image[top : top + height, left : left + width]
    larger: Float32Array = ndimage.zoom(part, factor, order=3, mode="mirror").clip(0, 1)
    return larger


def _draw_shapes(seed: int, *, shapes: int = _SHAPES) -> Float32Array:
    """Draw discs and lines over each other, on black."""
    random = np.random.default_rng(seed)
    side = _SIDE * _FINE
    canvas = np.zeros((side, side), np.float32)
    rows, columns = np.ogrid[:side, :side]
    for _ in range(shapes):
        row, column = random.uniform(0, side, 2)
        # From small to large by their logarithm: details of all sizes.
        radius = _FINE * 2 * (20 ** random.random())
        brightness = random.random() ** 2
        along, angle = random.uniform(1, 8), random.uniform(0, np.pi)
        reach = int(radius * along) + 1
        near = (
            slice(max(0, int(row) - reach), int(row) + reach),
            slice(max(0, int(column) - reach), int(column) + reach),
        )
        y, x = rows[near[0]] - row, columns[:, near[1]] - column
        length = (np.cos(angle) * y + np.sin(angle) * x) / along
        across = (np.cos(angle) * x - np.sin(angle) * y) * (along if along > 4 else 1)
        # Later shapes cover earlier ones, as leaves on the ground do.
        canvas[near][length**2 + across**2 < radius**2] = brightness
    # Drawn at twice the size and averaged, so that edges are smooth.
    image: Float32Array = canvas.reshape(_SIDE, _FINE, _SIDE, _FINE).mean(axis=(1, 3))
    return image


def _make_relief(image: Float32Array, blur: float) -> Float32Array:
    """Show the slope of an image along its diagonal, grey where it is flat."""
    slope = sum(np.gradient(ndimage.gaussian_filter(image, blur)))
    steepest = np.percentile(np.abs(slope), _PERCENTILES[1])
    relief: Float32Array = np.clip(0.5 + 0.5 * slope / steepest, 0, 1)
    return relief


def _make_plane(source: str, image: Float32Array) -> Plane:
    return Plane(source, (image * FULL_SCALE).round().astype(np.int16))
