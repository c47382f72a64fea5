"""Plates: which wells and fields there are.

A plate is a group of rows, which hold wells, which hold fields; each field is an image.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import zarr
from pydantic import ValidationError
from yaozarrs import v05

from napari_structsr.errors import SourceError, blame_file, describe_error
from napari_structsr.io.ome_zarr.contents import get_ome, list_places
from napari_structsr.io.ome_zarr.metadata import Folder, check_finished, is_zarr_group
from napari_structsr.io.ome_zarr.reader import open_node
from napari_structsr.io.remote.place import find_place

Version = Literal["0.4", "0.5"]


@dataclass(frozen=True)
class Plate:
    """The wells and fields of a plate.

    Parameters
    ----------
    path
        As it was given: of an address, with what opens it.
    origin
        Its absolute path, or its address as it is shown.
    layout
        Rows, columns, acquisitions, name and wells, as OME-Zarr has them.
    fields
        Paths of all fields, such as "B/03/0", by the order of the plate.
    acquisitions
        Number of the acquisition of a field, where its well says one.
    """

    path: str
    origin: str
    layout: dict[str, Any]
    fields: tuple[str, ...]
    acquisitions: dict[str, int]


def is_plate(path: str | os.PathLike[str]) -> bool:
    """Tell a plate from an image, without looking at its wells."""
    try:
        folder = find_place(path)
        # no TIFF is one, and every question to a server costs time
        if folder.suffix.lower() in (".tif", ".tiff") or not is_zarr_group(folder):
            return False
        node = open_node(folder)
    except Exception:
        # whoever opens it says what is wrong
        return False
    return isinstance(node, zarr.Group) and "plate" in get_ome(node)


def read_plate(path: str | os.PathLike[str]) -> Plate:
    """Return the wells and fields of a plate.

    Raises
    ------
    SourceError
        If its metadata are damaged, or it is still being written.
    """
    folder = find_place(path)
    remedy = "copy the plate again from where it came from"
    with blame_file(str(folder), SourceError, what="a plate", remedy=remedy):
        return _read_plate(os.fsdecode(path), folder)


def _read_plate(path: str, folder: Folder) -> Plate:
    check_finished(folder)
    group: Any = open_node(folder)
    entry = get_ome(group).get("plate")
    try:
        # a version of its own was in 0.4 alone
        known = {k: v for k, v in dict(entry or {}).items() if k != "version"}
        layout = v05.PlateDef.model_validate(known)
    except (ValidationError, TypeError, ValueError) as error:
        raise SourceError(
            f"the metadata of the plate {folder} are not valid "
            f"({describe_error(error)}); write it again, or upscale its images one "
            "by one with --series"
        ) from error
    fields = tuple(place.path for place in list_places(group, origin=str(folder)))
    acquisitions = {}
    for well in {field.rpartition("/")[0] for field in fields}:
        found: Any = group[well]
        for one in get_ome(found)["well"]["images"]:
            if isinstance(number := one.get("acquisition"), int):
                acquisitions[f"{well}/{str(one['path']).strip('/')}"] = number
    plain = layout.model_dump(mode="json", exclude_none=True)
    return Plate(path, str(folder), plain, fields, acquisitions)
