"""Layers beside each other: a cell of napari's grid for each, one camera for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer

from napari_structsr.gui.compare.rules import grid_shape, world_box

__all__ = ["show_cells"]

_GAP = 4.0  # canvas pixels between cells


def show_cells(viewer: Viewer, layers: Sequence[Image]) -> Callable[[], None]:
    """Show layers, and no others, in cells that are as large as possible.

    Returns
    -------
    callable
        What takes the cells away; both keep the place that is looked at.
    """
    grid, canvas = viewer.canvas.grid, viewer.canvas
    low, high = world_box(layers[0])
    tall, wide = (high - low)[list(viewer.dims.displayed[-2:])]
    for layer in viewer.layers:
        layer.visible = layer in layers
    grid.shape = grid_shape(
        len(layers), canvas=canvas.size, field=(max(tall, 1e-12), max(wide, 1e-12))
    )
    grid.stride, grid.spacing = 1, _GAP
    grid.enabled = True
    viewer.scene.camera.zoom *= _share(viewer)

    def take_away() -> None:
        share = _share(viewer)
        grid.enabled = False
        viewer.scene.camera.zoom /= share

    return take_away


def _share(viewer: Viewer) -> float:
    """Return how long a cell is, as a share of the canvas."""
    cell = viewer.canvas.viewbox_size(viewer.layers)
    return float(min(np.divide(cell, viewer.canvas.size)))
