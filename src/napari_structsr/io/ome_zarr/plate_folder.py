"""Writing a plate, to a local folder or to an address.

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

from yaozarrs import v04, v05

from napari_structsr.core.names import expand_home
from napari_structsr.errors import SinkError, SourceError, describe_error
from napari_structsr.io.atomic import create_beside, remove_folder
from napari_structsr.io.locks import lock_output
from napari_structsr.io.ome_zarr.disk import translate_os_errors
from napari_structsr.io.ome_zarr.layout import encode_attributes, write_attributes
from napari_structsr.io.ome_zarr.metadata import Folder, is_zarr_group
from napari_structsr.io.ome_zarr.plate import Plate
from napari_structsr.io.ome_zarr.reader import open_node
from napari_structsr.io.records import KEY
from napari_structsr.io.remote.address import is_remote
from napari_structsr.io.remote.local_state import find_state
from napari_structsr.io.remote.remote_sink import open_target

Version = Literal["0.4", "0.5"]


@dataclass(frozen=True)
class PlateFolder:
    """A plate that is being written; its fields are written by sinks of their own.

    Parameters
    ----------
    path
        The folder, or the place at an address.
    given
        What opens it.
    plate
        What is being written.
    version
        Of OME-Zarr.
    """

    path: Folder
    given: str
    plate: Plate
    version: Version

    def place(self, field: str) -> Path | str:
        """Return where a field lies, in groups that are there: a path or address."""
        well = self.path / field.rpartition("/")[0]
        row = self.path / field.partition("/")[0]
        with translate_os_errors(str(self.path)):
            if not is_zarr_group(well):
                for above in (row, well):
                    if isinstance(above, Path):
                        above.mkdir(exist_ok=True)
                    self.write(above, {})
        if isinstance(self.path, Path):
            return self.path / field
        return f"{self.given.rstrip('/')}/{field}"

    def write(self, folder: Folder, attributes: dict[str, Any]) -> None:
        """Replace the attributes of a group."""
        if isinstance(folder, Path):
            write_attributes(folder, self._zarr_format, attributes)
            return
        for name, data in encode_attributes(self._zarr_format, attributes).items():
            (folder / name).write(data)

    def begin(self) -> None:
        """Make the group, which says that it is unfinished."""
        if not isinstance(self.path, Path):
            self.write(self.path, {KEY: self.status})
            return
        with create_beside(self.path) as new:
            new.mkdir()
            self.write(new, {KEY: self.status})

    def finish(self) -> Folder:
        """Say which wells and fields there are; from now on it is a plate."""
        with translate_os_errors(str(self.path)):
            for folder, attributes in self.describe():
                self.write(folder, attributes)
        return self.path

    def describe(self) -> list[tuple[Folder, dict[str, Any]]]:
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
    def status(self) -> dict[str, str]:
        """What it says of itself while it is written."""
        origin = self.plate.origin
        return {"status": "partial", "plate": origin, "version": self.version}

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
        The folder, by custom ``name.zarr``, or its address.
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
    given = os.fsdecode(path)
    folder: Folder
    if is_remote(given):
        folder = open_target(given)
        # an address has no locks: one run of this machine at a time
        locked = find_state(folder.address)
        locked.parent.mkdir(parents=True, exist_ok=True)
    else:
        folder = locked = expand_home(path).absolute()
        if not folder.parent.is_dir():
            raise SinkError(
                f"the folder {folder.parent} does not exist; create it first"
            )
    if str(folder) == plate.origin:
        raise SinkError(f"{folder} is the plate itself; choose another name")
    target = PlateFolder(folder, given, plate, version)
    try:
        # now, and not when every field is upscaled
        target.describe()
    except ValueError as error:
        raise SourceError(
            f"the plate {plate.origin} cannot be written again, since its metadata are "
            f"not valid ({describe_error(error)}); upscale its images one by one with "
            "--series"
        ) from error
    with translate_os_errors(str(folder)), lock_output(locked):
        if not _is_there(folder):
            target.begin()
        elif not _is_begun(target, overwrite=overwrite):
            _remove(folder)
            target.begin()
        yield target


def _is_there(folder: Folder) -> bool:
    if isinstance(folder, Path):
        return os.path.lexists(folder)
    with folder.translate():
        return bool(folder.fs.exists(folder.path))


def _remove(folder: Folder) -> None:
    if isinstance(folder, Path):
        remove_folder(folder)
    else:
        folder.remove()


def _is_begun(target: PlateFolder, *, overwrite: bool) -> bool:
    """Tell whether the plate was begun; False where it is to be replaced."""
    folder = target.path
    if not is_zarr_group(folder):
        raise SinkError(
            f"{folder} exists and is no zarr group, so that it is not overwritten; "
            "choose another name"
        )
    try:
        found: Any = open_node(folder).attrs.get(KEY)
    except Exception as error:
        if overwrite:
            return False
        raise SinkError(
            f"{folder} exists already and cannot be read ({describe_error(error)}); "
            "choose another name, or replace it with --overwrite"
        ) from error
    if found == target.status:
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
