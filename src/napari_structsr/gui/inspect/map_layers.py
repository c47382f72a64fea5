"""Maps of structure error as layers: placed on the result, coloured, found again.

The inspection itself is kept in the metadata of its layers, so that a dock that is
opened later shows what another has computed, and nothing has to be kept in step. How
layers are placed is explained in `layers`; a map has the pixels of its result, and may
cover a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from napari.utils.colormaps import AVAILABLE_COLORMAPS, Colormap, ensure_colormap
from napari.viewer import Viewer

from napari_structsr.core.axes import Axes
from napari_structsr.core.error_map import MAPS, ErrorMap
from napari_structsr.core.types import Float32Array
from napari_structsr.gui.viewer.layers import (
    KEY,
    find_placement,
    free_name,
    insert_above,
    make_levels,
    names_of,
)

if TYPE_CHECKING:
    from napari_structsr.inspection.results import Inspection

# napari keeps every colormap that a layer ever had in its menu, under its name; a map
# therefore has one name, under which its colours are replaced
NAME = "structure error"
_OPAQUE = 0.35  # badness from which on a map hides the image
_LEVELS = 256

# Okabe and Ito, for every kind of colour vision
CLASS_COLORS = (
    (0.0, 0.0, 0.0, 0.0),  # within noise: nothing is drawn
    (0.0, 0.62, 0.45, 0.75),  # improvement: bluish green
    (0.34, 0.71, 0.91, 0.95),  # omission: sky blue
    (0.90, 0.62, 0.0, 1.0),  # hallucination: orange
)
"""Red, green, blue and opacity of the classes of a map."""


@dataclass(frozen=True)
class ShownInspection:
    """An inspection, the name of its result, and its maps that are still there."""

    inspection: Inspection
    result: str
    layers: dict[str, Image]

    @property
    def axes(self) -> str:
        """Axes of the layers, one letter for each dimension."""
        layer = next(iter(self.layers.values()))
        return str(layer.metadata[KEY]["axes"])

    def position(
        self, plane: dict[str, int], *, y: float = 0.0, x: float = 0.0
    ) -> list[float]:
        """Return a pixel of the layers, from its plane, row and column."""
        return [{"y": y, "x": x, **plane}.get(name, 0.0) for name in self.axes]


def add_maps(
    viewer: Viewer, result: Image, axes: Axes, inspection: Inspection
) -> list[Image]:
    """Show the maps of an inspection above all images; only the first is visible.

    Maps of other inspections are hidden, so that nothing stands in the way. `axes` are
    those of the result, in the order of its data.
    """
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    layers: list[Image] = []
    for key, pixels in inspection.maps.items():
        # another version may have written maps that this one does not know
        if (entry := MAPS.get(key)) is None:
            continue
        layer = _make_layer(result, axes, inspection, pixels)
        title = f"{key} classes" if entry.classes else entry.title
        layer.name = free_name(title, names_of(viewer))
        layer.visible = not layers
        layer.metadata[KEY] = {
            "map": key,
            "axes": axes.names.replace("s", ""),
            "result": result.name,
            "inspection": inspection,
            "means": inspection.scores.means(),
        }
        limits = contrast_limits(entry, inspection.limits[key])
        # the range first: napari clips limits to it
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits
        paint(layer, entry)
        layers.append(layer)
    if layers:
        show_alone(viewer, layers[0])
    insert_above(viewer, images[-1] if images else result, *layers)
    return layers


def show_alone(viewer: Viewer, layer: Image) -> None:
    """Show a map, and hide all others of the viewer."""
    layer.visible = True
    # two maps over each other would mix their colours
    for other in viewer.layers:
        if map_of(other) is not None and other != layer:
            other.visible = False


def map_of(layer: Layer | None) -> str | None:
    """Return the key of the map that a layer shows; None if it shows none."""
    found = None if layer is None else layer.metadata.get(KEY)
    return found.get("map") if isinstance(found, dict) else None


def inspection_of(layer: Layer | None) -> Inspection | None:
    """Return the inspection to which a layer belongs."""
    if layer is None or map_of(layer) is None:
        return None
    inspection: Inspection = layer.metadata[KEY]["inspection"]
    return inspection


def list_inspections(viewer: Viewer) -> list[ShownInspection]:
    """Return the inspections whose maps are in a viewer, the lowest first."""
    # by identity, since an inspection holds arrays
    found: dict[int, ShownInspection] = {}
    for layer in reversed(viewer.layers):
        inspection = inspection_of(layer)
        if inspection is None:
            continue
        name = layer.metadata[KEY]["result"]
        shown = found.setdefault(id(inspection), ShownInspection(inspection, name, {}))
        shown.layers[layer.metadata[KEY]["map"]] = layer
    # layers can be reordered; maps are offered in the order of the inspection
    for shown in found.values():
        for key in shown.inspection.maps:
            if key in shown.layers:
                shown.layers[key] = shown.layers.pop(key)
    return list(found.values())[::-1]


def _make_layer(
    result: Image, axes: Axes, inspection: Inspection, pixels: Any
) -> Image:
    names = axes.names.replace("s", "")
    grid = inspection.spec.axes
    # the inspection may cover a part: it begins at another pixel of the result
    origin = [
        (grid[name].translate - axes[name].translate) / axes[name].scale
        if name in "yx" and name in grid
        else 0.0
        for name in names
    ]
    return Image(
        **make_levels(pixels, names, many=result.multiscale),
        **find_placement(result, origin),
        units=result.units,
        axis_labels=result.axis_labels,
        blending="translucent",
        contrast_limits=(0, 1),
    )


def make_map_colors(threshold: float = 0.0) -> Float32Array:
    """Return colours from the best to the worst: shape (256, 4), with opacity.

    Below the threshold, a share of the way from 0 to 1, nothing is drawn.
    """
    share = np.linspace(0, 1, _LEVELS)
    # inferno is perceptually uniform, and readable with every kind of colour blindness
    colors = np.array(ensure_colormap("inferno").map(share), dtype=np.float32)
    colors[:, 3] = np.clip(share / _OPAQUE, 0, 1)  # the image shines through
    if threshold > 0:
        colors[:, 3] = np.maximum(colors[:, 3], 0.8) * (share >= threshold)
    return colors


def contrast_limits(
    entry: ErrorMap, limits: tuple[float, float]
) -> tuple[float, float]:
    """Return the contrast limits of a map, low first, from best and worst value."""
    # each class in the middle of its colour
    if entry.classes:
        return -0.5, len(entry.classes) - 0.5
    low, high = sorted(map(float, limits))
    # napari takes no empty range
    return (low, high) if low < high else (low, low + max(abs(low), 1.0) * 1e-3)


def paint(layer: Image, entry: ErrorMap, *, threshold: float = 0.0) -> None:
    """Give a layer the colours of its map; classes have no threshold."""
    name = f"{NAME} {layer.unique_id}"
    if entry.classes:
        colors = np.array(CLASS_COLORS[: len(entry.classes)], np.float32)
        kind = {"display_name": entry.title, "interpolation": "zero"}
    elif entry.worse == "high":
        colors, kind = make_map_colors(threshold), {"display_name": "inferno"}
    else:
        colors, kind = make_map_colors(threshold)[::-1], {"display_name": "inferno_r"}
    # napari would take the colours that it knows under this name
    AVAILABLE_COLORMAPS.pop(name, None)
    layer.colormap = Colormap(colors, name=name, **kind)
