"""Maps of structure error as layers: placed on the result, coloured, found again.

The inspection itself is kept in the metadata of its layers, so that a dock that is
opened later shows what another has computed, and nothing has to be kept in step. How
layers are placed is explained in `layers`; a map has the pixels of its result, and may
cover a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import zarr
from napari.layers import Image, Layer
from napari.utils.transforms import Affine
from napari.viewer import Viewer

from napari_structsr.core.axes import Axes
from napari_structsr.core.error_map import MAPS
from napari_structsr.gui.inspect.map_colors import contrast_limits, paint
from napari_structsr.gui.viewer.layers import KEY, free_name, insert_above, names_of

if TYPE_CHECKING:
    from napari_structsr.inspection.results import Inspection

__all__ = [
    "ShownInspection",
    "add_maps",
    "inspection_of",
    "list_inspections",
    "map_of",
    "show_alone",
]

_SMALLEST = 512  # pixels along the longer side of the coarsest level in memory


@dataclass(frozen=True)
class ShownInspection:
    """An inspection and what a viewer shows of it.

    Parameters
    ----------
    inspection
        What was found.
    result
        Name of the layer that was inspected.
    layers
        The layer of each map that is still there, by key.
    """

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

    Maps of other inspections are hidden, so that nothing stands in the way.

    Parameters
    ----------
    viewer
        Where they are shown.
    result
        The layer that was inspected.
    axes
        Its axes, in the order of its data.
    inspection
        What was found.

    Returns
    -------
    list
        The new layers, in the order of the inspection.
    """
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    shown = {k: v for k, v in inspection.maps.items() if k in MAPS}
    layers: list[Image] = []
    for key, pixels in shown.items():
        entry = MAPS[key]
        layer = _placed(result, axes, inspection, pixels)
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
    found: dict[int, ShownInspection] = {}
    for layer in reversed(viewer.layers):
        inspection = inspection_of(layer)
        if inspection is None:
            continue
        name = layer.metadata[KEY]["result"]
        shown = found.setdefault(id(inspection), ShownInspection(inspection, name, {}))
        shown.layers[layer.metadata[KEY]["map"]] = layer
    for shown in found.values():
        order = [key for key in shown.inspection.maps if key in shown.layers]
        ordered = {key: shown.layers[key] for key in order}
        shown.layers.clear()
        shown.layers.update(ordered)
    return list(found.values())[::-1]


def _placed(result: Image, axes: Axes, inspection: Inspection, pixels: Any) -> Image:
    """Make the layer of a map, in the place of what it judges."""
    names = axes.names.replace("s", "")
    grid = inspection.spec.axes
    origin = [
        (grid[name].translate - axes[name].translate) / axes[name].scale
        if name in "yx" and name in grid
        else 0.0
        for name in names
    ]
    place = Affine(
        scale=result.scale,
        rotate=result.rotate,
        shear=result.shear,
        translate=result.translate,
    )
    levels = _levels(pixels, names, many=result.multiscale)
    return Image(
        levels if len(levels) > 1 else levels[0],
        multiscale=len(levels) > 1,
        scale=result.scale,
        translate=place(origin),
        rotate=result.rotate,
        shear=result.shear,
        affine=np.array(result.affine),
        units=result.units,
        axis_labels=result.axis_labels,
        blending="translucent",
        contrast_limits=(0, 1),
    )


def _levels(pixels: Any, names: str, *, many: bool) -> list[Any]:
    """Return the pixels in the order of the layer, and smaller ones of large images."""
    canonical = [name for name in "tczyx" if name in names]
    order = [canonical.index(name) for name in names]
    if isinstance(pixels, Path):
        group = zarr.open_group(pixels, mode="r")
        ome: Any = group.attrs["ome"]
        return [
            da.from_zarr(group[level["path"]]).transpose(order)  # type: ignore[no-untyped-call]
            for level in ome["multiscales"][0]["datasets"]
        ]
    levels = [pixels.transpose(order)]
    shown = [names.index(name) for name in "yx"]
    while many and max(levels[-1].shape[n] for n in shown) > _SMALLEST:
        steps = [slice(None, None, 2 if n in shown else 1) for n in range(len(names))]
        levels.append(levels[-1][tuple(steps)])
    return levels
