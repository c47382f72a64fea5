"""Coarser copies of an image for viewers: each level halves y and x.

A coarse pixel is the mean of 2 x 2 finer ones, NaN left out, so that levels stay
aligned by their edges. It owns the sizes and the arithmetic, not the storage.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_structsr.core.axes import Axes
from napari_structsr.core.intensity import to_dtype

__all__ = ["halved", "level_axes"]

_SMALLEST = 256  # pixels along the longer side of the coarsest level


def level_axes(axes: Axes) -> list[Axes]:
    """Return the axes of every level, the finest first."""
    levels = [axes]
    while max(levels[-1].plane) > _SMALLEST:
        levels.append(
            Axes(
                tuple(
                    axis.resampled(-(-axis.size // 2), 0.5)
                    if axis.name in "yx"
                    else axis
                    for axis in levels[-1].items
                )
            )
        )
    return levels


def halved(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Halve the last two axes; an odd last row or column stands for itself."""
    rows, columns = pixels.shape[-2:]
    edges = [(0, 0)] * (pixels.ndim - 2) + [(0, rows % 2), (0, columns % 2)]
    even = np.pad(pixels, edges, mode="edge")
    shape = (*even.shape[:-2], even.shape[-2] // 2, 2, even.shape[-1] // 2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # mean of four NaN is NaN
        mean = np.nanmean(even.reshape(shape), axis=(-3, -1), dtype=np.float64)
    return to_dtype(np.asarray(mean), pixels.dtype)
