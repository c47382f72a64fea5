"""Whether two images that cannot be registered would fit at quite another scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_structsr.imaging.registration.coarse import search
from napari_structsr.imaging.registration.estimate import register
from napari_structsr.imaging.registration.pose import BandImage
from napari_structsr.imaging.registration.task import SCALES

__all__ = ["scale_hint"]

Image = npt.NDArray[np.floating[Any]]

_WIDEST = 2.3
_STEP = 1.03
_WIDTHS = 50  # of the band across an image
_CLEAR = 0.8  # rivalry below which a scale is looked at closely
_TRIES = 3
_SURE = 0.5  # pixels; images of different things are at 1 and beyond
_SMALLEST = 48  # pixels along a side
_MAX_SIDE = 400


def scale_hint(moving: Image, fixed: Image, *, coarseness: float = 1.0) -> float | None:
    """Find by how much `moving` must be magnified to lie on `fixed`.

    Parameters
    ----------
    moving, fixed, coarseness
        As in `register`, finite.

    Returns
    -------
    float or None
        Between 0.43 and 2.3; None where no magnification fits, or one that `register`
        finds itself.
    """
    moving, fixed = (_middle(image) for image in (moving, fixed))
    count = int(np.log(_WIDEST) / np.log(_STEP))
    found = []
    for scale in _STEP ** np.arange(-count, count + 1.0):
        parts = _scaled(moving, fixed, float(scale))
        if parts is None:
            continue
        views = [BandImage.of(part) for part in parts]
        place = search(
            views[0],
            views[1],
            fine=max(2.8, coarseness, min(parts[0].shape) / _WIDTHS),
            limit=min(parts[0].shape) / 4,
        )
        found.append((place.rival, float(scale)))
    for rival, scale in sorted(found)[:_TRIES]:
        parts = _scaled(moving, fixed, scale)
        if rival > _CLEAR or parts is None:
            break
        near = register(*parts, with_scale=True, coarseness=coarseness)
        other = abs(scale * near.scale - 1) > SCALES
        if near.uncertainty < _SURE and other:
            return scale * near.scale
    return None


def _middle(image: Image) -> Image:
    """Cut the middle out of a large image."""
    rows, columns = (
        slice((size - min(size, _MAX_SIDE)) // 2, (size + min(size, _MAX_SIDE)) // 2)
        for size in image.shape
    )
    return image[rows, columns]


def _scaled(moving: Image, fixed: Image, scale: float) -> tuple[Image, Image] | None:
    """Magnify about the middle, and cut both to what is then known."""
    sizes = [int(min(1.0, scale) * size) // 2 * 2 for size in fixed.shape]
    if min(sizes) < _SMALLEST:
        return None
    starts = [(full - size) // 2 for full, size in zip(fixed.shape, sizes, strict=True)]
    centre = (np.array(fixed.shape) - 1) / 2
    values = moving.astype(np.float64)
    if scale < 1:  # fewer pixels are left
        values = ndimage.gaussian_filter(values, (1 / scale - 1) / 2, mode="mirror")
    part = ndimage.affine_transform(
        values,
        np.full(2, 1 / scale),
        offset=centre + (np.array(starts) - centre) / scale,
        output_shape=sizes,
        order=3,
        mode="mirror",
    )
    rows, columns = (
        slice(start, start + size) for start, size in zip(starts, sizes, strict=True)
    )
    return part, fixed[rows, columns].astype(np.float64)
