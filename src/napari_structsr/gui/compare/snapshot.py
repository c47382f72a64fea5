"""What a comparison changes of a viewer, and how it is brought back.

A `ViewerSnapshot` holds the layers, the grid and the camera as they were. Each function
changes one thing for a while and returns the call that undoes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from napari.experimental import layers_linked
from napari.layers import Image, Layer
from napari.viewer import Viewer

from napari_structsr.gui.compare.rules import choose_grid_shape, find_world_box

_LETTER = 11.0  # canvas pixels that a letter of a name takes
_OPAQUE = "translucent_no_depth"  # left of the line, nothing of the right layer shows
_LINKED = ("contrast_limits", "gamma")
_GAP = 4.0  # canvas pixels between cells


class ViewerSnapshot:
    """All layers of a viewer, its grid and its camera as they are now."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.layers: dict[Layer, tuple[Any, ...]] = {}
        for layer in viewer.layers:
            self.add(layer)
        grid, camera = viewer.canvas.grid, viewer.scene.camera
        self._grid = (grid.shape, grid.stride, grid.spacing, grid.enabled)
        self._view = (camera.center, camera.zoom, camera.angles)
        self._ndisplay = viewer.dims.ndisplay

    def add(self, layer: Layer) -> None:
        """Take in a layer, also one that came later."""
        name = layer.name_overlay
        before = layer.visible, layer.blending, name.visible, name.position
        self.layers[layer] = before

    def restore_layers(self) -> None:
        """Show all layers as they were."""
        for layer, (visible, blending, has_name, position) in self.layers.items():
            layer.blending = blending
            layer.name_overlay.visible = has_name
            layer.name_overlay.position = position
            # napari would load the slice of a layer that is shown already once more
            if layer.visible != visible:
                layer.visible = visible

    def restore_view(self) -> None:
        """Show grid and camera as they were."""
        grid, camera = self._viewer.canvas.grid, self._viewer.scene.camera
        # a grid that is on would be laid out anew with each of its numbers
        grid.enabled = False
        grid.shape, grid.stride, grid.spacing, grid.enabled = self._grid
        # a centre of the 3D view has no meaning in the 2D view, nor the reverse
        if self._viewer.dims.ndisplay == self._ndisplay:
            camera.center, camera.zoom, camera.angles = self._view


def name_sides(viewer: Viewer, left: Image, right: Image) -> None:
    """Show two layers, and no others, each with its name on its side."""
    for layer in viewer.layers:
        layer.visible = layer in (left, right)
    letters = len(left.name) + len(right.name)
    # two long names in one line would overlap
    narrow = letters * _LETTER > viewer.canvas.size[1]
    other = "bottom_right" if narrow else "top_right"
    for layer, side in ((left, "top_left"), (right, other)):
        layer.blending = _OPAQUE
        layer.name_overlay.position = side
        layer.name_overlay.visible = True


def show_cells(viewer: Viewer, layers: Sequence[Image]) -> Callable[[], None]:
    """Show each layer, and no others, in a cell of napari's grid.

    Taking the cells away keeps the place that the camera shows, as showing them does.
    """
    grid, canvas = viewer.canvas.grid, viewer.canvas
    low, high = find_world_box(layers[0])
    tall, wide = (high - low)[list(viewer.dims.displayed[-2:])]
    for layer in viewer.layers:
        layer.visible = layer in layers
    grid.shape = choose_grid_shape(
        len(layers), canvas=canvas.size, field=(max(tall, 1e-12), max(wide, 1e-12))
    )
    grid.stride, grid.spacing = 1, _GAP
    grid.enabled = True
    # one camera serves all cells, and its zoom counts canvas pixels
    viewer.scene.camera.zoom *= _cell_share(viewer)

    def take_away() -> None:
        share = _cell_share(viewer)
        grid.enabled = False
        viewer.scene.camera.zoom /= share

    return take_away


def _cell_share(viewer: Viewer) -> float:
    """Return how long a cell is, as a share of the canvas."""
    cell = viewer.canvas.viewbox_size(viewer.layers)
    return float(min(np.divide(cell, viewer.canvas.size)))


def share_contrast(layers: Sequence[Image]) -> Callable[[], None]:
    """Give layers the contrast and gamma of the first; changing one changes all."""
    # napari keeps weak references to what is linked: to layers, not to proxies
    bare = [getattr(layer, "__wrapped__", layer) for layer in layers]
    link = ExitStack()
    for layer in bare:
        link.callback(_copy_contrast(layer))
    for layer in bare[1:]:
        _copy_contrast(bare[0])(layer)
    link.enter_context(layers_linked(bare, _LINKED))
    return link.close


def _copy_contrast(layer: Image) -> Callable[..., None]:
    """Return what gives the contrast of now to the layer again, or to another."""
    limits, gamma = list(layer.contrast_limits), layer.gamma
    whole = list(layer.contrast_limits_range)

    def give(other: Image = layer) -> None:
        # the range first: napari clips limits to it
        other.contrast_limits_range = whole
        other.contrast_limits = limits
        other.gamma = gamma

    return give


def bind_keys(
    viewer: Viewer, keys: Mapping[str, Callable[[], None]]
) -> Callable[[], None]:
    """Let keys, named as in napari, do something while the canvas has the focus."""
    # plugins get a proxy, which does not let them bind keys
    bind = getattr(viewer, "__wrapped__", viewer).bind_key
    before = {
        key: bind(key, lambda _, act=act: act(), overwrite=True)
        for key, act in keys.items()
    }

    def give_back() -> None:
        for key, had in before.items():
            bind(key, None)
            if had is not None:
                bind(key, had)

    return give_back
