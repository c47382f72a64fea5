"""Where something lies in the viewer, and how to go there.

Places are pixels of a layer. They become positions of the viewer through the layer's
transformation and the viewer's units, so that it does not matter how large pixels are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer, Vectors
from napari.viewer import Viewer
from pint.errors import PintError

from napari_structsr.gui.viewer.layers import KEY, copy_placement, insert_above

_SHARE = 3.0  # of the canvas along a place
_MARKER = "place"
_LINE = 0.015  # of the place, width of the rectangle around it


def unit_ratios(units: Sequence[Any], wanted: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Return what numbers in some units are multiplied with to be in others.

    Units that do not compare, such as pixels and micrometers, count as equal, as in
    napari.
    """
    shares = []
    for unit, other in zip(units, wanted, strict=True):
        try:
            shares.append(float((1 * unit).to(other).magnitude))
        except PintError:
            shares.append(1.0)
    return np.array(shares)


def go_to_plane(viewer: Viewer, layer: Layer, position: Sequence[float]) -> None:
    """Show the plane in which a pixel of a layer, in all its dimensions, lies."""
    point = _convert_to_viewer(viewer, layer, position)
    first = viewer.dims.ndim - layer.ndim
    for axis in viewer.dims.not_displayed:
        if axis >= first:
            viewer.dims.set_point(axis, float(point[axis - first]))


def go_to_place(
    viewer: Viewer, layer: Image, corners: tuple[Sequence[float], Sequence[float]]
) -> None:
    """Show a rectangle of a plane, a third of the canvas wide, and draw it.

    Its first and last corner are pixels of the layer, edges included.
    """
    low, high = (np.array(corner, float) for corner in corners)
    middle = (low + high) / 2
    go_to_plane(viewer, layer, middle)
    first = viewer.dims.ndim - layer.ndim
    rectangle = _make_rectangle(low, high)
    # in the world, since the layer may be turned
    ends = [_convert_to_viewer(viewer, layer, corner) for corner in rectangle]
    spread = np.ptp(ends, axis=0)
    centre = _convert_to_viewer(viewer, layer, middle)
    shown = [axis for axis in viewer.dims.displayed if axis >= first]
    camera = viewer.scene.camera
    where = list(camera.center)
    for back, axis in enumerate(reversed(viewer.dims.displayed), 1):
        if axis >= first:
            where[-back] = float(centre[axis - first])
    camera.center = tuple(where)
    # a cell where the grid is on, else the canvas
    sizes = viewer.canvas.viewbox_size(viewer.layers)
    wide = [float(spread[axis - first]) for axis in shown[-2:]]
    zooms = [
        pixels / (_SHARE * size)
        for pixels, size in zip(sizes[-len(wide) :], wide, strict=True)
        if size > 0
    ]
    if zooms:
        camera.zoom = min(zooms)
    _mark(viewer, layer, rectangle)


def _mark(viewer: Viewer, layer: Image, corners: npt.NDArray[np.float64]) -> None:
    width = _LINE * float(np.ptp(corners, axis=0).max())
    sides = _draw_sides(corners, width)
    place = copy_placement(layer)
    # one layer is kept for all places that are visited
    for marker in viewer.layers:
        if marker.metadata.get(KEY) == _MARKER and marker.ndim == layer.ndim:
            for key, value in place.items():
                # each change slices and draws the layer again
                if not np.array_equal(getattr(marker, key), value):
                    setattr(marker, key, value)
            marker.data = sides
            marker.edge_width = width
            return
    # no shapes: the first of them takes half a second for a font and its programs
    marker = Vectors(
        sides,
        name=_MARKER,
        vector_style="line",
        edge_color="white",
        edge_width=width,
        opacity=0.9,
        metadata={KEY: _MARKER},
        **place,
    )
    insert_above(viewer, viewer.layers[-1], marker)


def _draw_sides(
    corners: npt.NDArray[np.float64], width: float
) -> npt.NDArray[np.float64]:
    """Return the sides of a rectangle as starts and ways, shape (4, 2, dimensions)."""
    ways = np.roll(corners, -1, axis=0) - corners
    # each side goes on for half a line at both ends, so that corners close
    caps = ways / np.linalg.norm(ways, axis=1, keepdims=True) * width / 2
    return np.stack([corners - caps, ways + 2 * caps], axis=1)


def _make_rectangle(
    low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return four corners around the plane in which two corners differ."""
    # the other dimensions say on which plane it lies
    first, second = np.flatnonzero(high != low)
    corners = np.tile(low, (4, 1))
    corners[1:3, second] = high[second]
    corners[2:, first] = high[first]
    return corners


def _convert_to_viewer(
    viewer: Viewer, layer: Layer, position: Sequence[float] | npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    world = np.array(layer.data_to_world(position), float)
    units = getattr(viewer.dims, "units", None) or layer.units
    return world * unit_ratios(layer.units, units[-layer.ndim :])
