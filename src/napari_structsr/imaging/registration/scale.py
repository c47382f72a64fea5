"""The scale at which two images would fit that cannot be registered as they are."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_structsr.core.types import Array
from napari_structsr.imaging.registration.coarse import search
from napari_structsr.imaging.registration.coarse_to_fine import MAX_SCALE_CHANGE
from napari_structsr.imaging.registration.pose import BandImage
from napari_structsr.imaging.registration.shift_and_scale import register

_WIDEST = 2.3
_STEP = 1.03
_WIDTHS = 50  # lower widths of the band across an image
_MAX_RATIO = 0.8  # of peaks; above it a scale is not tried any further
_TRIES = 3
_MAX_ERROR = 0.5  # pixels; images of different things are at 1 and beyond
_MIN_SIDE, _MAX_SIDE = 48, 400  # pixels


def scale_hint(moving: Array, fixed: Array, *, coarseness: float = 1.0) -> float | None:
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
    # the middle is enough for a hint, and all scales are tried on it
    moving, fixed = (_cut_middle(image) for image in (moving, fixed))
    count = int(np.log(_WIDEST) / np.log(_STEP))
    found = []
    # log-polar phase correlation of the spectra was tried: see docs/decisions.md
    for scale in _STEP ** np.arange(-count, count + 1.0):
        parts = _magnify(moving, fixed, float(scale))
        if parts is None:
            continue
        one, other = (BandImage.from_array(part) for part in parts)
        place = search(
            one,
            other,
            sigma=max(2.8, coarseness, min(parts[0].shape) / _WIDTHS),
            limit=min(parts[0].shape) / 4,
        )
        found.append((place.peak_ratio, float(scale)))
    for ratio, scale in sorted(found)[:_TRIES]:
        parts = _magnify(moving, fixed, scale)
        if ratio > _MAX_RATIO or parts is None:
            break
        near = register(*parts, with_scale=True, coarseness=coarseness)
        found_scale = scale * near.scale
        # smaller changes are no reason: `register` corrects them itself
        changed = abs(found_scale - 1) > MAX_SCALE_CHANGE
        if near.uncertainty < _MAX_ERROR and changed:
            return found_scale
    return None


def _cut_middle(image: Array) -> Array:
    rows, columns = (
        slice((size - min(size, _MAX_SIDE)) // 2, (size + min(size, _MAX_SIDE)) // 2)
        for size in image.shape
    )
    return image[rows, columns]


def _magnify(moving: Array, fixed: Array, scale: float) -> tuple[Array, Array] | None:
    # about the middle, and both cut to what is then known
    sizes = [int(min(1.0, scale) * size) // 2 * 2 for size in fixed.shape]
    if min(sizes) < _MIN_SIDE:
        return None
    starts = [(full - size) // 2 for full, size in zip(fixed.shape, sizes, strict=True)]
    centre = (np.array(fixed.shape) - 1) / 2
    values = moving.astype(np.float64)
    if scale < 1:  # fewer pixels are left, so that detail would be aliased
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
