"""Images that need no download, to keep a model at what it did before.

Those that ship with scikit-image; the same seen larger, some inverted; and drawn
ones, overlapping discs and lines (the "dead leaves" of Lee, Mumford and Huang 2001,
"Occlusion models for natural images"), with edges from sharp to smooth, few of them on
a dark ground as in fluorescence, and as a relief, which is what differential
interference contrast makes of them. Smooth images under little noise look like those
of a wide point-spread function: what is spoilt first by learning to undo one. One part
is there to teach, the other to judge.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_structsr.training.patch_sampler import Plane

__all__ = ["replay_images"]

logger = logging.getLogger(__name__)

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
_SMOOTH = 1.4  # pixels of blur from which a model has nothing to sharpen
_PERCENTILES = (0.02, 99.98)
_LARGER = {"training": (2, 4), "validation": (2,)}
_SIDE, _FINE, _SHAPES, _FEW = 384, 2, 700, 60
_TOP = 32767

Image = npt.NDArray[np.float32]


@cache
def replay_images(part: Literal["training", "validation"]) -> tuple[Plane, ...]:
    """Return the images of a part, the same at every call."""
    planes = []
    for name in _NAMES[part]:
        image = _shipped(name)
        if image is None:
            continue
        planes.append(_plane("shipped", image))
        for factor in _LARGER[part]:
            larger = _seen_larger(image, factor)
            planes.append(_plane("larger", larger if factor == 2 else 1 - larger))
    for seed in _SEEDS[part]:
        image = _drawn(seed)
        for number, blur in enumerate(_BLURS[part]):
            blurred = ndimage.gaussian_filter(image, blur)
            kind = "smooth" if blur > _SMOOTH else "drawn"
            planes.append(_plane(kind, 1 - blurred if number % 2 else blurred))
        few = _drawn(seed, shapes=_FEW)
        for blur in _SMOOTHING[part]:
            planes.append(_plane("relief", _relief(image, blur)))
            planes.append(_plane("few", ndimage.gaussian_filter(few, blur)))
    return tuple(planes)


def _shipped(name: str) -> Image | None:
    """Return an image of scikit-image in 0..1, or None if it lacks it."""
    from skimage import data
    from skimage.color import rgb2gray

    try:
        image: npt.NDArray[Any] = getattr(data, name)()
    except (AttributeError, OSError, ImportError, ValueError) as error:
        logger.info("the image %s of scikit-image is missing (%s)", name, error)
        return None
    if name == "retina":
        image = image[450:962, 850:1362, 1]  # around the optic disc
    elif image.ndim == 3:
        image = rgb2gray(image)
    low, high = np.percentile(image, _PERCENTILES)
    scaled: Image = np.clip((image.astype(np.float32) - low) / (high - low), 0, 1)
    return scaled


def _seen_larger(image: Image, factor: int) -> Image:
    """Magnify the middle of an image."""
    height, width = (size // factor for size in image.shape)
    top, left = ((size - size // factor) // 2 for size in image.shape)
    part = image[top : top + height, left : left + width]
    larger: Image = ndimage.zoom(part, factor, order=3, mode="mirror").clip(0, 1)
    return larger


def _drawn(seed: int, *, shapes: int = _SHAPES) -> Image:
    """Draw discs and lines over each other, on black."""
    random = np.random.default_rng(seed)
    side = _SIDE * _FINE
    canvas = np.zeros((side, side), np.float32)
    rows, columns = np.ogrid[:side, :side]
    for _ in range(shapes):
        row, column = random.uniform(0, side, 2)
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
        canvas[near][length**2 + across**2 < radius**2] = brightness
    image: Image = canvas.reshape(_SIDE, _FINE, _SIDE, _FINE).mean(axis=(1, 3))
    return image


def _relief(image: Image, blur: float) -> Image:
    """Show the slope of an image along its diagonal, grey where it is flat."""
    slope = sum(np.gradient(ndimage.gaussian_filter(image, blur)))
    steepest = np.percentile(np.abs(slope), _PERCENTILES[1])
    relief: Image = np.clip(0.5 + 0.5 * slope / steepest, 0, 1)
    return relief


def _plane(source: str, image: Image) -> Plane:
    """Store an image of values in 0..1."""
    return Plane(source, (image * _TOP).round().astype(np.int16))
