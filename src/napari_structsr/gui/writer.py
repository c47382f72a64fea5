"""Saving an image layer as OME-Zarr: its own pixels, calibrated, with a pyramid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_structsr.io.ome_zarr.image_writer import write_image
from napari_structsr.io.open import open_source


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
    write_image(open_source(Image(data, **attributes)), Path(path), overwrite=True)
    return [path]
