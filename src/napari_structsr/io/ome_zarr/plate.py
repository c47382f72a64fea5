"""Plates: reading which wells and fields there are, and writing such a plate.

A plate is a group of rows, which hold wells, which hold fields; each field is an image.
While it is written it says of itself that it is partial, and lists no wells, so that
nobody takes it for a plate that is whole.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import zarr
from pydantic import ValidationError
from yaozarrs import v04, v05

from napari_structsr.core.names import expand_home
from napari_structsr.errors import SinkError, SourceError, blame_file, describe_error
from napari_structsr.io.atomic import create_beside, remove_folder
from napari_structsr.io.locks import lock_output
from napari_structsr.io.ome_zarr.contents import get_ome, list_places
from napari_structsr.io.ome_zarr.disk import translate_os_errors
from napari_structsr.io.ome_zarr.layout import write_attributes
from napari_structsr.io.ome_zarr.metadata import Folder, check_finished, is_zarr_group
from napari_structsr.io.ome_zarr.reader import open_node
from napari_structsr.io.records import KEY
from napari_structsr.io.remote.address import check_local
from napari_structsr.io.remote.place import find_place

Version = Literal["0.4", "0.5"]


@dataclass(frozen=True)
class Plate:
    """The wells and fields of a plate.

    Parameters
    ----------
    origin
        Its absolute path, or its address.
    layout
        Rows, columns, acquisitions, name and wells, as OME-Zarr has them.
    fields
        Paths of all fields, such as "B/03/0", by the order of the plate.
    acquisitions
        Number of the acquisition of a field, where its well says one.
    """

    origin: str
    layout: dict[str, Any]
    fields: tuple[str, ...]
    acquisitions: dict[str, int]


def is_plate(path: str | os.PathLike[str]) -> bool:
    """Tell a plate from an image, without looking at its wells."""
    try:
        folder = find_place(path)
        if not is_zarr_group(folder):
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
        return _read_plate(folder)


def _read_plate(folder: Folder) -> Plate:
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
    return Plate(str(folder), plain, fields, acquisitions)


@dataclass(frozen=True)
class PlateFolder:
    """A plate that is being written; its fields are written by sinks of their own.

    Parameters
    ----------
    path
        The folder.
    plate
        What is being written.
    version
        Of OME-Zarr.
    """

    path: Path
    plate: Plate
    version: Version

    def place(self, field: str) -> Path:
        """Return where a field lies, in folders that are there."""
        folder = self.path / field
        if not is_zarr_group(folder.parent):
            for above in (folder.parents[1], folder.parent):
                above.mkdir(exist_ok=True)
                write_attributes(above, self._zarr_format, {})
        return folder

    def finish(self) -> Path:
        """Say which wells and fields there are; from now on it is a plate."""
        with translate_os_errors(self.path):
            for folder, attributes in self.describe():
                write_attributes(folder, self._zarr_format, attributes)
        return self.path

    def describe(self) -> list[tuple[Path, dict[str, Any]]]:
        """Return what each well, and last the plate, says of itself.

        Raises
        ------
        ValidationError
            If OME-Zarr does not allow it.
        """
        wells: dict[str, list[str]] = defaultdict(list)
        for field in self.plate.fields:
            well, _, name = field.rpartition("/")
            wells[well].append(name)
        found = []
        for well, names in wells.items():
            images = [
                {"path": name, **self._find_acquisition(f"{well}/{name}")}
                for name in names
            ]
            entry = self._check("well", {"images": images})
            found.append((self.path / well, entry))
        there = [one for one in self.plate.layout["wells"] if one["path"] in wells]
        most = max(map(len, wells.values()))
        layout = {**self.plate.layout, "wells": there, "field_count": most}
        whole = {**self._check("plate", layout), KEY: {"status": "finished"}}
        return [*found, (self.path, whole)]

    def _find_acquisition(self, field: str) -> dict[str, int]:
        number = self.plate.acquisitions.get(field)
        return {} if number is None else {"acquisition": number}

    def _check(
        self, kind: Literal["plate", "well"], entry: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the attributes of a group, once yaozarrs has checked them."""
        models: Any = v04 if self.version == "0.4" else v05
        model = models.Plate if kind == "plate" else models.Well
        if self.version == "0.4":
            attributes: dict[str, Any] = {kind: {"version": "0.4", **entry}}
            model.model_validate(attributes)
            return attributes
        inner: dict[str, Any] = {"version": "0.5", kind: entry}
        model.model_validate(inner)
        return {"ome": inner}

    @property
    def _zarr_format(self) -> Literal[2, 3]:
        return 2 if self.version == "0.4" else 3


@contextmanager
def open_plate_folder(
    path: str | os.PathLike[str],
    plate: Plate,
    *,
    version: Version = "0.5",
    overwrite: bool = False,
) -> Iterator[PlateFolder]:
    """Begin a plate, or go on with one that was begun from the same plate.

    Parameters
    ----------
    path
        The folder, by custom ``name.zarr``.
    plate
        What is being written.
    version
        Of OME-Zarr.
    overwrite
        Whether a zarr group that is in the way is deleted.

    Raises
    ------
    SinkError
        If something is in the way, or another run writes there.
    SourceError
        If what the plate says of itself may not be written.
    """
    check_local(path, "plates")
    folder = expand_home(path).absolute()
    if not folder.parent.is_dir():
        raise SinkError(f"the folder {folder.parent} does not exist; create it first")
    if folder == Path(plate.origin):
        raise SinkError(f"{folder} is the plate itself; choose another name")
    target = PlateFolder(folder, plate, version)
    try:
        # now, and not when every field is upscaled
        target.describe()
    except ValueError as error:
        raise SourceError(
            f"the plate {plate.origin} cannot be written again, since its metadata are "
            f"not valid ({describe_error(error)}); upscale its images one by one with "
            "--series"
        ) from error
    with translate_os_errors(folder), lock_output(folder):
        if os.path.lexists(folder) and not _is_begun(target, overwrite=overwrite):
            remove_folder(folder)
        if not folder.exists():
            status = {"status": "partial", "plate": plate.origin, "version": version}
            with create_beside(folder) as new:
                new.mkdir()
                write_attributes(new, target._zarr_format, {KEY: status})
        yield target


def _is_begun(target: PlateFolder, *, overwrite: bool) -> bool:
    """Tell whether the plate was begun; False where it is to be replaced."""
    folder = target.path
    if not is_zarr_group(folder):
        raise SinkError(
            f"{folder} exists and is no zarr group, so that it is not overwritten; "
            "choose another name"
        )
    try:
        found: Any = zarr.open_group(folder, mode="r").attrs.get(KEY)
    except Exception as error:
        if overwrite:
            return False
        raise SinkError(
            f"{folder} exists already and cannot be read ({describe_error(error)}); "
            "choose another name, or replace it with --overwrite"
        ) from error
    same = {
        "status": "partial",
        "plate": target.plate.origin,
        "version": target.version,
    }
    if found == same:
        return True
    if overwrite:
        return False
    if isinstance(found, Mapping) and found.get("status") == "partial":
        raise SinkError(
            f"{folder} is an unfinished result of another run; choose another name, "
            "repeat that run to finish it, or start anew with --overwrite"
        )
    raise SinkError(
        f"{folder} exists already; choose another name, or replace it with --overwrite"
    )
