"""Maps of structure error as layers: placed on the result, coloured, found again.

One layer shows the maps of an inspection, one at a time: a dozen layers would take
seconds to be added, and bury the images. The inspection itself is kept in the metadata
of its layer, so that a dock that is opened later shows what another has computed, and
nothing has to be kept in step. How layers are placed is explained in `layers`; a map
has the pixels of its result, and may cover a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from napari.utils.colormaps import AVAILABLE_COLORMAPS, Colormap, ensure_colormap
from napari.viewer import Viewer

from napari_structsr.core.axes import Axes
from napari_structsr.core.error_map import MAPS, ErrorMap, choose_first_maps
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
    (0.0, 0.62, 0.45, 0.75),  # improved: bluish green
    (0.34, 0.71, 0.91, 0.95),  # lost: sky blue
    (0.90, 0.62, 0.0, 1.0),  # invented: orange
)
"""Red, green, blue and opacity of the classes of a map."""


@dataclass(frozen=True)
class ShownInspection:
    """An inspection, the name of its result, and the layer that shows its maps."""

    inspection: Inspection
    result: str
    layer: Image

    @property
    def keys(self) -> tuple[str, ...]:
        """Maps that can be shown, in the order of the inspection."""
        return _list_known(self.inspection)

    @property
    def axes(self) -> str:
        """Axes of the layer, one letter for each dimension."""
        return str(self.layer.metadata[KEY]["axes"])

    def position(
        self, plane: dict[str, int], *, y: float = 0.0, x: float = 0.0
    ) -> list[float]:
        """Return a pixel of the layer, from its plane, row and column."""
        return [{"y": y, "x": x, **plane}.get(name, 0.0) for name in self.axes]


def add_map_layer(
    viewer: Viewer, result: Image, axes: Axes, inspection: Inspection
) -> Image | None:
    """Show the maps of an inspection above all images, in one layer, one at a time.

    Maps of other inspections are hidden, so that nothing stands in the way. `axes` are
    those of the result, in the order of its data. None if there is no map to show.
    """
    if not (keys := choose_first_maps(_list_known(inspection))):
        return None
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    layer = _make_layer(result, axes, inspection, keys[0])
    layer.name = free_name(NAME, names_of(viewer))
    layer.metadata[KEY] = {
        "map": keys[0],
        "axes": axes.names.replace("s", ""),
        "result": result.name,
        "inspection": inspection,
        "means": inspection.scores.means(),
        # of each map that was shown: what the user made of it
        "looks": {},
    }
    _show_look(layer)
    show_alone(viewer, layer)
    insert_above(viewer, images[-1] if images else result, layer)
    return layer


def switch_map(layer: Image, key: str) -> None:
    """Let a layer show another map of its inspection; nothing is computed.

    Threshold and contrast limits are kept for each map.
    """
    entry = layer.metadata[KEY]
    if entry["map"] == key:
        return
    _look_of(layer)["limits"] = tuple(layer.contrast_limits)
    entry["map"] = key
    pixels = entry["inspection"].maps[key]
    levels = make_levels(pixels, entry["axes"], many=layer.multiscale)["data"]
    # the limits would be those of the other map until the new ones are set
    with layer.events.contrast_limits.blocker():
        layer.data = levels
    _show_look(layer)


def set_threshold(layer: Image, threshold: float) -> None:
    """Draw only what is worse than a share of the way from good to bad."""
    # in the layer, where another dock finds it
    _look_of(layer)["threshold"] = threshold
    paint(layer, MAPS[layer.metadata[KEY]["map"]], threshold=threshold)


def threshold_of(layer: Image) -> float:
    """Return the threshold of the map that a layer shows."""
    return float(_look_of(layer).get("threshold", 0.0))


def _look_of(layer: Image) -> dict[str, Any]:
    entry = layer.metadata[KEY]
    look: dict[str, Any] = entry["looks"].setdefault(entry["map"], {})
    return look


def _show_look(layer: Image) -> None:
    """Give a layer limits and colours of the map that it shows."""
    entry, look = layer.metadata[KEY], _look_of(layer)
    kind = MAPS[entry["map"]]
    whole = contrast_limits(kind, entry["inspection"].limits[entry["map"]])
    low, high = look.get("limits", whole)
    # the range first: napari clips limits to it
    layer.contrast_limits_range = (min(low, whole[0]), max(high, whole[1]))
    layer.contrast_limits = (low, high)
    paint(layer, kind, threshold=threshold_of(layer))


def _list_known(inspection: Inspection) -> tuple[str, ...]:
    # another version may have written maps that this one does not know
    return tuple(key for key in inspection.maps if key in MAPS)


def show_alone(viewer: Viewer, layer: Image) -> None:
    """Show a map, and hide those of other inspections."""
    layer.visible = True
    # two maps over each other would mix their colours
    for other in viewer.layers:
        if map_of(other) is not None and other != layer:
            other.visible = False


def hide_other_images(viewer: Viewer, shown: ShownInspection) -> None:
    """Hide all images but a result and the map over it."""
    for layer in viewer.layers:
        if isinstance(layer, Image) and layer is not shown.layer:
            layer.visible = layer.name == shown.result


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
    for layer in viewer.layers:
        inspection = inspection_of(layer)
        if inspection is None:
            continue
        name = layer.metadata[KEY]["result"]
        # a copy of the layer shows the same
        found.setdefault(id(inspection), ShownInspection(inspection, name, layer))
    return list(found.values())


def _make_layer(result: Image, axes: Axes, inspection: Inspection, key: str) -> Image:
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
        **make_levels(inspection.maps[key], names, many=result.multiscale),
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
