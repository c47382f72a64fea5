"""The file behind a layer: what our reader notes of it, and whether it still holds.

A layer that was read here carries a `LayerFile` in its metadata: where its pixels come
from, and what the file says of them. It is believed for as long as the layer shows
these pixels, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_structsr.core.axes import ImageSpec

KEY = "structsr"
"""Entry of a layer's metadata in which this plugin keeps what it knows."""

MAKING = "structsr: in the making"
"""Entry of the metadata of a layer whose pixels are still to come."""

FILE = "file"
"""Entry below it with a `LayerFile`."""

AXES = "calibrated axes"
"""Entry below it with the `Axes` of a result, where its layer counts in pixels."""


@dataclass(frozen=True)
class LayerFile:
    """What a reader noted of the file that it made a layer from.

    Parameters
    ----------
    path
        The file or folder.
    spec
        The image, without its pixels.
    options
        Arguments with which `open_source` opens the same image again.
    array
        Name of the dask array that the layer was given.
    window, color
        Contrast limits and colour that the layer was given, which need not be those
        of the file: it may name none.
    """

    path: str
    spec: ImageSpec
    options: Mapping[str, Any] = field(default_factory=dict)
    array: str = ""
    window: tuple[float, float] | None = None
    color: str | None = None


def find_layer_file(layer: Any) -> LayerFile | None:
    """Return what the reader noted of a layer; None where it shows other pixels now."""
    entry = getattr(layer, "metadata", {}).get(KEY)
    noted = entry.get(FILE) if isinstance(entry, dict) else None
    if not isinstance(noted, LayerFile):
        return None
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    # dask gives another name to whatever is cut out of an array or computed from it
    return noted if getattr(data, "name", None) == noted.array else None
