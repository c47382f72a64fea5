"""Saving an image layer as OME-Zarr: its own pixels, calibrated, with a pyramid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_structsr.core.axes import Axes
from napari_structsr.io.layer_file import AXES, KEY
from napari_structsr.io.ome_zarr.image_writer import write_image
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source
from napari_structsr.io.views import PlacedView


def write_ome_zarr(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write one image layer as OME-Zarr 0.5.

    Parameters
    ----------
    path
        Folder that becomes the store; a zarr group that is there is replaced.
    data, attributes
        Pixels and keyword arguments of an image layer.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    StructsrError
        If the layer cannot be read or the store cannot be written.
    """
    # a layer of its own, so that scale and units are read as those of any other
    layer = Image(data, **attributes)
    write_image(_open_calibrated(layer), Path(path), overwrite=True)
    return [path]


def _open_calibrated(layer: Image) -> Source:
    """Open a layer, with the axes of a result whose layer counts in pixels."""
    source = open_source(layer)
    entry = layer.metadata.get(KEY)
    axes = entry.get(AXES) if isinstance(entry, dict) else None
    own = source.spec.axes
    if not isinstance(axes, Axes) or sorted(axes.names) != sorted(own.names):
        return source
    axes = Axes(tuple(axes[name] for name in own.names))
    # another size or a unit: it was cut or placed since
    if axes.shape != own.shape or any(axis.unit for axis in own.items):
        return source
    return PlacedView(source, axes)
