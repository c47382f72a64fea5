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
from napari_structsr.io.ome_zarr.metadata import is_zarr_group

KEY = "structsr"
"""Of the attribute in zarr groups, and of the annotation in OME-XML."""

_REMEDY = "copy it again from where it came from"
_Found = tuple[str | None, Record | None]


def read_record(path: str | os.PathLike[str]) -> _Found:
    """Return the state and the record of a result.

    Parameters
    ----------
    path
        A zarr group or a TIFF file.

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
    path = Path(path)
    with blame_file(path, SourceError, what="a result", remedy=_REMEDY):
        if is_zarr_group(path):
            return read_zarr_record(path)
        if path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
            return None, None
        return _read_tiff_record(path)


def _read_tiff_record(path: Path) -> _Found:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            text = file.ome_metadata
    except Exception:
        # whoever opens the image says what is wrong with it
        return None, None
    for entry in ElementTree.fromstring(text).iter() if text else ():
        # <M K="structsr">record</M> in a MapAnnotation, whatever the OME version
        if entry.tag.endswith("}M") and entry.get("K") == KEY:
            return "finished", Record.from_json(json.loads(entry.text or "{}"))
    return None, None


def read_zarr_record(path: Path) -> _Found:
    """Return the state and the record of a zarr group; see `read_record`.

    Raises
    ------
    SourceError
        If there is no zarr group, or its record is damaged.
    """
    with blame_file(path, SourceError, what="a zarr group", remedy=_REMEDY):
        node = zarr.open(path, mode="r")
        entry: Any = node.attrs.get(KEY)
        if not isinstance(entry, dict) or "record" not in entry:
            return None, None
        return str(entry.get("status")), Record.from_json(entry["record"])
