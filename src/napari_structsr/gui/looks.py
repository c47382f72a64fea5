"""How a viewer looks, noted before a comparison and given back after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.layers import Image, Layer
from napari.viewer import Viewer

__all__ = ["Look", "contrast_of", "view_of"]


@dataclass(frozen=True)
class Look:
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
    def of(cls, layer: Layer) -> Look:
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


def view_of(viewer: Viewer) -> Callable[[], None]:
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


def contrast_of(layer: Image) -> Callable[..., None]:
    """Note the contrast of a layer; return what gives it back, or to another."""
    limits, gamma = list(layer.contrast_limits), layer.gamma
    whole = list(layer.contrast_limits_range)

    def give(other: Image = layer) -> None:
        other.contrast_limits_range = whole
        other.contrast_limits = limits
        other.gamma = gamma

    return give
