"""Reading the record of a run from what it wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import zarr

from napari_structsr.core.record import Record
from napari_structsr.errors import SourceError, blame_file
from napari_structsr.io.ome_zarr.metadata import Folder, is_zarr_group
from napari_structsr.io.remote.object_store import RemoteStore
from napari_structsr.io.remote.place import RemotePlace, find_place

KEY = "structsr"
"""Of the attribute in zarr groups, and of the annotation in OME-XML."""

_REMEDY = "copy it again from where it came from"
_Found = tuple[str | None, Record | None]


def read_record(path: str | os.PathLike[str]) -> _Found:
    """Return the state and the record of a result.

    Parameters
    ----------
    path
        A zarr group or a TIFF file, or the address of a zarr group.

    Returns
    -------
    str or None
        "partial" or "finished"; None for what was not written here.
    Record or None
        How it was made.

    Raises
    ------
    SourceError
        If the record is damaged.
    """
    place = find_place(path)
    with blame_file(str(place), SourceError, what="a result", remedy=_REMEDY):
        if is_zarr_group(place):
            return read_zarr_record(place)
        if place.suffix.lower() not in (".tif", ".tiff") or not place.is_file():
            return None, None
        return _read_tiff_record(place)


def _read_tiff_record(path: Path | RemotePlace) -> _Found:
    from napari_structsr.io.tiff.tiff_file import open_tiff

    try:
        with open_tiff(path) as file:
            text = file.ome_metadata
    except Exception:
        # whoever opens the image says what is wrong with it
        return None, None
    for entry in ElementTree.fromstring(text).iter() if text else ():
        # <M K="structsr">record</M> in a MapAnnotation, whatever the OME version
        if entry.tag.endswith("}M") and entry.get("K") == KEY:
            return "finished", Record.from_json(json.loads(entry.text or "{}"))
    return None, None


def read_zarr_record(path: Folder) -> _Found:
    """Return the state and the record of a zarr group; see `read_record`.

    Raises
    ------
    SourceError
        If there is no zarr group, or its record is damaged.
    """
    with blame_file(str(path), SourceError, what="a zarr group", remedy=_REMEDY):
        node = zarr.open(
            path if isinstance(path, Path) else RemoteStore(path), mode="r"
        )
        entry: Any = node.attrs.get(KEY)
        if not isinstance(entry, dict) or "record" not in entry:
            return None, None
        return str(entry.get("status")), Record.from_json(entry["record"])
