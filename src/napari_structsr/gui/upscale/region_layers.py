"""Rectangles that the user draws on an image, or has drawn: which pixels they hold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from napari.layers import Image, Layer, Shapes
from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_structsr.errors import SettingsError
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.layers import (
    copy_placement,
    free_name,
    key_of,
    names_of,
)
from napari_structsr.io.open import open_source

_COLOR = "#ffd54f"  # seen on grey and on most colours
_LEAST = 2  # pixels along a side; the engine takes no narrower image


class RegionLayers(QObject):
    """The layers of shapes in a viewer that can say which part is upscaled."""

    changed = Signal()
    """A rectangle was drawn, moved or taken away, or a layer of them."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._made: list[tuple[Shapes, Image]] = []
        self._heard: Layer | None = None

    def offer(self) -> dict[str, str]:
        """Return key and name of each layer of shapes."""
        return {
            key_of(layer): layer.name
            for layer in self._viewer.layers
            if isinstance(layer, Shapes)
        }

    def draw(self, image: Image) -> str:
        """Let the user draw a rectangle on an image; return the key of its layer."""
        layer = next((made for made, on in self._made if on is image), None)
        if layer is None or layer not in self._viewer.layers:
            layer = Shapes(
                ndim=image.ndim,
                name=free_name(f"region of {image.name}", names_of(self._viewer)),
                face_color="transparent",
                edge_color=_COLOR,
                edge_width=max(1, max(image.data.shape[-2:]) / 500),
                **copy_placement(image),
            )
            # known before it is added, which selects it
            self._made.append((layer, image))
            self._viewer.add_layer(layer)
        self._viewer.layers.selection = {layer}
        layer.mode = "add_rectangle"
        return key_of(layer)

    def listen(self, key: str | None) -> None:
        """Tell of changes of this layer of shapes, and of no other."""
        layer = self._find(key)
        if layer is self._heard:
            return
        self.release()
        if layer is not None:
            layer.events.data.connect(self._tell)
        self._heard = layer

    def stand_for(self, layer: Layer) -> Layer:
        """Return the image that a rectangle is drawn on, or the layer itself."""
        for made, image in self._made:
            if made is layer and image in self._viewer.layers:
                return image
        return layer

    def complete(self, layer: Image, choice: Choice) -> Choice:
        """Return a choice with the region that the last rectangle covers of a layer.

        Raises
        ------
        SettingsError
            If there is no rectangle, or it lies beside the image.
        """
        if choice.area is None:
            return choice
        shapes = self._find(choice.area)
        if shapes is None or not len(shapes.data):
            raise SettingsError("draw a rectangle, or choose whole planes")
        names = open_source(layer).spec.axes.names.replace("s", "")
        missing = layer.ndim - shapes.ndim
        corners = []
        for corner in shapes.data[-1]:
            world = np.array(shapes.data_to_world(corner))
            # shapes of fewer dimensions lie in all planes
            world = np.r_[np.zeros(max(0, missing)), world][-layer.ndim :]
            corners.append(layer.world_to_data(world))
        spans = []
        for name in "yx":
            axis = names.index(name)
            size = open_source(layer).spec.axes[name].size
            places = [float(corner[axis]) for corner in corners]
            # pixels whose middle lies inside
            first = max(0, math.ceil(min(places) - 1e-6))
            stop = min(size, math.floor(max(places) + 1e-6) + 1)
            if stop - first < _LEAST:
                raise SettingsError(
                    f"the rectangle covers fewer than {_LEAST} pixels along {name}; "
                    "draw it on the image"
                )
            spans.append(f"{first}:{stop}")
        return replace(choice, region=",".join(spans))

    def release(self) -> None:
        """Hear no more of a layer; all stay in the viewer."""
        if self._heard is not None:
            self._heard.events.data.disconnect(self._tell)
        self._heard = None

    def _find(self, key: str | None) -> Shapes | None:
        for layer in self._viewer.layers:
            if isinstance(layer, Shapes) and key_of(layer) == key:
                return layer
        return None

    def _tell(self) -> None:
        self.changed.emit()
