"""How a viewer looks, noted before a comparison and given back after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.layers import Image, Layer
from napari.viewer import Viewer

__all__ = ["ViewerSnapshot", "name_sides"]

_LETTER = 11.0  # canvas pixels that a letter of a name takes
_OPAQUE = "translucent_no_depth"  # left of the line, nothing of the right layer shows


@dataclass(frozen=True)
class _Look:
    """What a comparison changes of a layer.

    Parameters
    ----------
    visible, blending
        As of the layer.
    named, place
        Whether its name is written on the canvas, and in which corner.
    """

    visible: bool
    blending: str
    named: bool
    place: Any

    @classmethod
    def of(cls, layer: Layer) -> _Look:
        """Note how a layer looks."""
        name = layer.name_overlay
        return cls(layer.visible, layer.blending, name.visible, name.position)

    def give(self, layer: Layer) -> None:
        """Let a layer look like that again."""
        layer.blending = self.blending
        layer.name_overlay.visible = self.named
        layer.name_overlay.position = self.place
        if layer.visible != self.visible:
            layer.visible = self.visible


class ViewerSnapshot:
    """How all layers of a viewer look, its grid and its camera.

    Parameters
    ----------
    viewer
        The viewer as it is to be again.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._layers = {layer: _Look.of(layer) for layer in viewer.layers}
        self.give_view = _view_of(viewer)

    def note(self, layer: Layer) -> None:
        """Note how another layer looks."""
        self._layers[layer] = _Look.of(layer)

    def forget(self, layer: Layer) -> None:
        """Leave a layer alone."""
        self._layers.pop(layer, None)

    def give(self) -> None:
        """Let all layers look as they did; `give_view` does so for grid and camera."""
        for layer, look in self._layers.items():
            look.give(layer)


def name_sides(viewer: Viewer, left: Image, right: Image) -> None:
    """Show two layers, and no others, each with its name on its side."""
    for layer in viewer.layers:
        layer.visible = layer in (left, right)
    letters = len(left.name) + len(right.name)
    narrow = letters * _LETTER > viewer.canvas.size[1]
    other = "bottom_right" if narrow else "top_right"
    for layer, side in ((left, "top_left"), (right, other)):
        layer.blending = _OPAQUE
        layer.name_overlay.position = side
        layer.name_overlay.visible = True


def _view_of(viewer: Viewer) -> Callable[[], None]:
    """Note grid and camera; return what brings them back."""
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    kept = (grid.shape, grid.stride, grid.spacing, grid.enabled)
    view = (camera.center, camera.zoom, camera.angles)

    def restore() -> None:
        grid.enabled = False
        grid.shape, grid.stride, grid.spacing, grid.enabled = kept
        if viewer.dims.ndisplay == shown:
            camera.center, camera.zoom, camera.angles = view

    shown = viewer.dims.ndisplay
    return restore
