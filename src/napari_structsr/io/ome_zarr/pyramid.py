"""Coarser copies of an image for viewers: each level halves y and x.

A coarse pixel is the mean of 2 x 2 finer ones, NaN and infinity left out, so that
levels stay aligned by their edges. It owns the sizes and the arithmetic, not the
storage.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_structsr.core.axes import Axes
from napari_structsr.core.intensity import to_dtype

__all__ = ["halve", "pyramid_axes"]

_SMALLEST = 256  # pixels along the longer side of the coarsest level


def pyramid_axes(axes: Axes) -> list[Axes]:
    """Return the axes of every level, the finest first."""
    levels = [axes]
    while max(levels[-1].plane) > _SMALLEST:
        levels.append(
            Axes(
                tuple(
                    axis.resample(-(-axis.size // 2), 0.5)
                    if axis.name in "yx"
                    else axis
                    for axis in levels[-1].items
                )
            )
        )
    return levels


def halve(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Halve the last two axes; an odd last row or column stands for itself."""
    rows, columns = pixels.shape[-2:]
    edges = [(0, 0)] * (pixels.ndim - 2) + [(0, rows % 2), (0, columns % 2)]
    even = np.pad(pixels, edges, mode="edge") if rows % 2 or columns % 2 else pixels
    corners = [even[..., y::2, x::2] for y in (0, 1) for x in (0, 1)]
    if pixels.dtype.kind != "f":
        # sums of four 16-bit numbers are exact in float32
        exact: Any = np.float32 if pixels.dtype.itemsize <= 2 else np.float64
        quarter: npt.NDArray[Any] = np.add.reduce([c.astype(exact) for c in corners])
        return to_dtype(quarter / 4, pixels.dtype)
    known = sum(np.isfinite(corner).astype(np.float64) for corner in corners)
    total: Any = sum(np.where(np.isfinite(c), c, 0).astype(np.float64) for c in corners)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: four holes are a hole
        return to_dtype(np.asarray(total / known), pixels.dtype)
