"""Layers in which the user points at beads, edges and filaments of an image.

While the user clicks, such a layer is the selected one, so that it stands for the image
that it was made for.
"""

from __future__ import annotations

import numpy as np
from napari.layers import Image, Layer, Points, Shapes
from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_structsr.core.axes import Axes
from napari_structsr.gui.upscale.optics.optics_choice import MarkedShape
from napari_structsr.gui.viewer.layers import free_name, names_of

_NAMES: dict[MarkedShape, str] = {
    "bead": "beads",
    "edge": "lines across edges",
    "filament": "lines across filaments",
}
_COLOR = "#ffd54f"  # seen on grey and on most colours

Places = tuple[tuple[float, ...], ...]


class MarkLayers(QObject):
    """The layers of marks of one viewer."""

    changed = Signal()
    """A mark was set, moved or taken away."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._made: list[tuple[Layer, Image, MarkedShape]] = []

    def begin(self, image: Image, shape: MarkedShape) -> None:
        """Let the user point at something in an image."""
        layer = self._find(image, shape)
        if layer is None:
            name = free_name(f"{_NAMES[shape]} of {image.name}", names_of(self._viewer))
            options = {
                "ndim": image.ndim,
                "scale": image.scale,
                "translate": image.translate,
                "rotate": image.rotate,
                "shear": image.shear,
                "affine": image.affine,
                "units": image.units,
                "axis_labels": image.axis_labels,
                "name": name,
            }
            if shape == "bead":
                layer = Points(
                    size=7,
                    face_color="transparent",
                    border_color=_COLOR,
                    border_width=0.15,
                    **options,
                )
            else:
                layer = Shapes(edge_color=_COLOR, edge_width=0.4, **options)
            layer.events.data.connect(self._tell)
            # known before it is added, which selects it
            self._made.append((layer, image, shape))
            self._viewer.add_layer(layer)
        self._viewer.layers.selection = {layer}
        layer.mode = "add" if shape == "bead" else "add_line"

    def stand_for(self, layer: Layer) -> Layer:
        """Return the image that a layer of marks was made for, or the layer itself."""
        for made, image, _ in self._made:
            if made is layer and image in self._viewer.layers:
                return image
        return layer

    def read(
        self, image: Image, shape: MarkedShape, axes: Axes
    ) -> tuple[Places, tuple[int, ...]]:
        """Return what is pointed at in pixels of an image, and in which plane.

        All marks count that lie in the plane of the last one.
        """
        layer = self._find(image, shape)
        if layer is None or not len(layer.data):
            return (), ()
        names = axes.names.replace("s", "")
        marks = [np.atleast_2d(mark) for mark in layer.data]
        if shape != "bead":  # of a path or a polygon, its two ends
            marks = [mark[[0, -1]] for mark in marks]
        found = []
        for mark in marks:
            points = np.array(
                [image.world_to_data(layer.data_to_world(point)) for point in mark]
            )
            middle = points.mean(axis=0)
            plane = tuple(
                int(np.clip(round(middle[names.index(axis.name)]), 0, axis.size - 1))
                for axis in axes.loops
            )
            rows, columns = points[:, names.index("y")], points[:, names.index("x")]
            place = tuple(
                round(float(number), 2)
                for pair in zip(rows, columns, strict=True)
                for number in pair
            )
            found.append((place, plane))
        last = found[-1][1]
        return tuple(place for place, plane in found if plane == last), last

    def release(self) -> None:
        """Hear no more of the layers; they stay in the viewer."""
        for layer, _, _ in self._made:
            layer.events.data.disconnect(self._tell)
        self._made.clear()

    def _find(self, image: Image, shape: MarkedShape) -> Points | Shapes | None:
        for layer, own, kind in self._made:
            if own is image and kind == shape and layer in self._viewer.layers:
                return layer
        return None

    def _tell(self) -> None:
        self.changed.emit()
