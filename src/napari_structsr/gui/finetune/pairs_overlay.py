"""A pair laid over its image: what was measured magenta, the truth green.

Where both agree the sum is white; a shift shows as coloured rims.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer
from napari.utils.transforms import Affine
from napari.viewer import Viewer

from napari_structsr.gui.finetune.pairs_entry import LayerFrame, PairEntry
from napari_structsr.gui.viewer.layers import (
    KEY,
    copy_placement,
    insert_above,
    key_of,
)
from napari_structsr.gui.viewer.navigation import go_to_plane, unit_ratios

_COLORMAPS = {"measured": "magenta", "truth": "green"}
_FILLED = 0.9  # of the canvas by a pair


class PairOverlays:
    """The overlays of a viewer."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._shown: dict[PairEntry, list[Image]] = {}

    def shows(self, entry: PairEntry) -> bool:
        """Tell whether a pair lies over its image."""
        return any(layer in self._viewer.layers for layer in self._shown.get(entry, []))

    def show(self, entry: PairEntry) -> None:
        """Lay a pair over its image, and move the view there."""
        if entry.pair is None or self.shows(entry):
            return
        # None for files, which are shown by themselves near the origin
        frame = entry.frame
        images = {key_of(layer): layer for layer in self._viewer.layers}
        image = images.get(frame.layer) if frame is not None else None
        layers = []
        # both are in one unit, so that with equal limits what fits is white; the
        # brightest pixels are often dead ones or dust
        low, high = map(float, np.percentile(entry.pair.measured, (1, 99.8)))
        for part, color in _COLORMAPS.items():
            pixels: npt.NDArray[Any] = getattr(entry.pair, part)
            finer = entry.pair.factor if part == "truth" else 1
            placed: dict[str, Any] = {"scale": (1 / finer, 1 / finer)}
            if image is not None and frame is not None:
                pixels = _expand_to_layer(pixels, frame)
                placed = _transform_pair(image, frame, finer)
            elif finer > 1:
                # pixels of files: the outer corners lie in one place, not the centres
                placed["translate"] = ((1 / finer - 1) / 2,) * 2
            layers.append(
                Image(
                    pixels,
                    name=f"{entry.name} {part}",
                    colormap=color,
                    blending="additive",
                    # napari refuses limits without a range
                    contrast_limits=(low, max(high, low + 1e-3)),
                    metadata={KEY: "check"},
                    **placed,
                )
            )
        layers[0].blending = "opaque"  # hides the image below it
        self._shown[entry] = layers
        # to the top, since the first is not in the list; unlike `append` it keeps the
        # selection, which the form follows
        insert_above(self._viewer, layers[0], *layers)
        self._center_on(layers[0])

    def hide(self, entry: PairEntry) -> None:
        """Take the overlay of a pair away."""
        for layer in self._shown.pop(entry, []):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def clear(self) -> None:
        """Take all overlays away."""
        for entry in list(self._shown):
            self.hide(entry)

    def _center_on(self, layer: Image) -> None:
        go_to_plane(self._viewer, layer, [0.0] * layer.ndim)
        # the camera counts in the units of the viewer, which may not be the layer's
        units = getattr(self._viewer.dims, "units", None) or layer.units
        shares = unit_ratios(layer.units, units[-layer.ndim :])
        low, high = (corner * shares for corner in np.array(layer.extent.world))
        camera = self._viewer.scene.camera
        shown = [n - self._viewer.dims.ndim for n in self._viewer.dims.displayed[-2:]]
        centre = list(camera.center)
        for back, dim in zip((-2, -1), shown, strict=True):
            centre[back] = float((low[dim] + high[dim]) / 2)
        camera.center = tuple(centre)
        sizes = self._viewer.canvas.viewbox_size(self._viewer.layers)
        camera.zoom = min(
            _FILLED * pixels / max(float(high[dim] - low[dim]), 1e-9)
            for pixels, dim in zip(sizes[-2:], shown, strict=True)
        )


def _expand_to_layer(pixels: npt.NDArray[Any], frame: LayerFrame) -> npt.NDArray[Any]:
    """Bring a plane to the dimensions of the layer it was taken from."""
    if frame.plane[0] > frame.plane[1]:  # the layer has x before y
        pixels = pixels.T
    others = [n for n in range(len(frame.position)) if n not in frame.plane]
    return np.expand_dims(pixels, tuple(others))


def _transform_pair(image: Layer, frame: LayerFrame, finer: int) -> dict[str, Any]:
    """Return where pixels lie that are `finer` times as fine as measured ones."""
    step = frame.step / finer
    start = np.array(frame.position, float)
    scale = np.array(image.scale, float)
    for dim, first in zip(frame.plane, frame.first, strict=True):
        # napari places the centre of the first pixel, half a pixel from the edge
        start[dim] = first - 0.5 + step / 2
        scale[dim] *= step
    place = Affine(
        scale=image.scale,
        rotate=image.rotate,
        shear=image.shear,
        translate=image.translate,
    )
    return {**copy_placement(image), "scale": scale, "translate": place(start)}
