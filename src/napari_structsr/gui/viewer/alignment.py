"""How one layer lies on another, where a layer is more than scaled and moved.

The engine matches rows with rows and columns with columns, by scale and translate. In
napari a layer may be rotated and sheared as well, or placed by an affine. What all that
amounts to *between* two layers is found here: if rows still lie along rows, the place
is handed on as scale and translate; otherwise it is refused.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer

from napari_structsr.core.axes import Axes
from napari_structsr.errors import SettingsError
from napari_structsr.gui.viewer.navigation import unit_ratios
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source
from napari_structsr.io.views import PlacedView

_BESIDE = 0.1  # pixels by which rows may run off those of the other image


def open_source_on(low: Image, high: Image) -> Source:
    """Open the image `high`, placed on `low` by scale and translate alone.

    Raises
    ------
    SettingsError
        If it is turned, sheared or mirrored against the other one.
    """
    source = open_source(high)
    if not (_is_placed(low) or _is_placed(high)):
        return source
    mine, theirs = open_source(low).spec.axes, source.spec.axes
    matrix, offset = find_pixel_transform(low, high)
    # samples of a colour pixel are no dimension of a layer
    columns, rows = (
        [axes.names.replace("s", "").index(name) for name in "yx"]
        for axes in (mine, theirs)
    )
    sizes = np.array([axis.size for axis in mine.items if axis.name != "s"])
    # how far rows and columns run off, from one end of the image to the other
    reach = np.abs(matrix[rows]) * sizes
    reach[[0, 1], columns] = 0
    if reach.max() > _BESIDE:
        raise SettingsError(
            f"{high.name} is turned or sheared against {low.name} (rotate, shear or "
            "affine of a layer), and images are matched along rows and columns alone; "
            "turn the pixels of one of them instead, in the program that it comes "
            "from, and open it anew"
        )
    items = {axis.name: axis for axis in theirs.items}
    for name, row, column in zip("yx", rows, columns, strict=True):
        # in the world of the other image, since units of the two may differ
        step = matrix[row, column]
        if step <= 0:
            raise SettingsError(
                f"{high.name} is mirrored against {low.name}; flip the pixels of one "
                "of them instead, and open it anew"
            )
        scale = mine[name].scale / step
        items[name] = replace(
            items[name],
            scale=scale,
            translate=mine[name].translate - offset[row] * scale,
            unit=mine[name].unit,
        )
    return PlacedView(source, Axes(tuple(items.values())))


def _is_placed(layer: Image) -> bool:
    """Tell whether a layer has more than scale and translate."""
    identity = np.eye(layer.ndim)
    return not (
        np.allclose(layer.rotate, identity)
        and not np.any(layer.shear)
        and np.allclose(np.array(layer.affine), np.eye(layer.ndim + 1))
    )


def find_pixel_transform(
    first: Layer, second: Layer
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return matrix and offset from pixels of one layer to those of another.

    They have shapes (second.ndim, first.ndim) and (second.ndim,); the offset is where
    the first pixel of the first layer lies. What the second has beyond the first is 0,
    and what the first has beyond the second is dropped.
    """
    # layers of fewer dimensions lie in the last ones of the world
    count = min(first.ndim, second.ndim)
    ratios = unit_ratios(first.units[-count:], second.units[-count:])

    def transform(point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        world = np.array(first.data_to_world(point), float)[-count:]
        there = np.array(second.data_to_world(np.zeros(second.ndim)), float)
        there[-count:] = world * ratios
        return np.array(second.world_to_data(there), float)

    # napari tells no affine between two layers, but that of the unit vectors is it
    origin = transform(np.zeros(first.ndim))
    columns = [transform(unit) - origin for unit in np.eye(first.ndim)]
    return np.stack(columns, axis=1), origin
