"""OME-Zarr at an address as a sink, which can be resumed and appears at the end.

Each chunk or shard is put once it is whole; its entry in the journal follows. What the
group says of itself as an image comes last. Until then it says that it is partial, as
a local result does, and its arrays have no metadata, so that nobody reads holes as
zeros. Lock, journal and record lie in a local folder, see `local_state`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import zarr

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.part import RunPart
from napari_structsr.core.record import Record
from napari_structsr.core.types import Array
from napari_structsr.errors import SinkError, SourceError
from napari_structsr.io.atomic import create_beside, remove_folder
from napari_structsr.io.locks import check_unlocked
from napari_structsr.io.ome_zarr.chunk_files import FileSum
from napari_structsr.io.ome_zarr.chunk_packing import Place, list_chunks
from napari_structsr.io.ome_zarr.chunk_store import ChunkStore
from napari_structsr.io.ome_zarr.disk import translate_os_errors
from napari_structsr.io.ome_zarr.layout import (
    Layout,
    create_arrays,
    encode_attributes,
)
from napari_structsr.io.ome_zarr.metadata import is_zarr_group, make_attributes
from napari_structsr.io.ome_zarr.writer import OmeZarrSink, OmeZarrWriter
from napari_structsr.io.records import KEY, read_zarr_record
from napari_structsr.io.remote.address import hide_credentials, split_address
from napari_structsr.io.remote.local_state import ADDRESS, find_state
from napari_structsr.io.remote.object_store import METADATA, ChunkUploads, hash_object
from napari_structsr.io.remote.place import RemotePlace, State, open_place


class RemoteOmeZarrSink(OmeZarrSink):
    """An address that becomes an OME-Zarr image.

    Parameters
    ----------
    address
        Such as ``s3://bucket/name.ome.zarr``.
    overwrite, version, chunk, shard
        As in `OmeZarrSink`.
    part
        Refused: parts meet in a local folder alone.

    Raises
    ------
    SinkError
        If nothing can be written there.
    """

    def __init__(
        self,
        address: str,
        *,
        overwrite: bool = False,
        version: Literal["0.4", "0.5"] = "0.5",
        chunk: int = 512,
        shard: int | Literal["auto"] = "auto",
        part: RunPart | None = None,
    ) -> None:
        shown = hide_credentials(address)
        if part is not None:
            raise SinkError(
                f"parts of a result meet in a local folder, and {shown} is none; write "
                "to a folder that all machines share and copy the result, or leave "
                "--part out"
            )
        self.place = open_target(address)
        super().__init__(
            find_state(self.place.address),
            overwrite=overwrite,
            version=version,
            chunk=chunk,
            shard=shard,
            result=self.place.address,
        )

    @property
    def address(self) -> str:
        """Where the result goes, without credentials."""
        return self.place.address

    def check(self, spec: ImageSpec, *, besides: int = 0) -> None:
        """Refuse what is in the way, or what does not fit; see `Sink.check`."""
        self.layout(spec)
        check_unlocked(self.path)
        with translate_os_errors(self.address):
            self._look()

    def open(self, spec: ImageSpec, record: Record) -> OmeZarrWriter:
        """Create the store, or continue the one of the same run; see `Sink.open`."""
        with translate_os_errors(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        return super().open(spec, record)

    def _look(self) -> tuple[bool, Record | None]:
        """Return whether a zarr is there, and its record where it is unfinished.

        Raises
        ------
        SinkError
            If it is in the way.
        """
        if not is_zarr_group(self.place):
            with self.place.translate():
                there = self.place.fs.exists(self.place.path)
            if there:
                raise SinkError(
                    f"{self.address} exists and is no zarr group, so that it is not "
                    "overwritten; choose another name"
                )
            return False, None
        try:
            status, record = read_zarr_record(self.place)
        except SourceError:
            status, record = None, None
        if status == "partial" and record is not None:
            if self.overwrite or self._find_own() == record:
                return True, record
            raise SinkError(
                f"{self.address} is the unfinished result of a run that this machine "
                "knows nothing of; finish it where it was begun, choose another name, "
                "or start anew with --overwrite"
            )
        if not self.overwrite:
            raise SinkError(
                f"{self.address} exists already; choose another name, or replace it "
                "with --overwrite"
            )
        return True, None

    def _find_own(self) -> Record | None:
        """Return the record of what this machine has begun there."""
        if not os.path.lexists(self.path):
            return None
        try:
            return read_zarr_record(self.path)[1]
        except SourceError:
            return None

    def _continues(self, layout: Layout, record: Record) -> bool:
        there, begun = self._look()
        own = self._find_own()
        # what was begun here was deleted or replaced there since: nothing is lost by
        # beginning anew, unless it is the same
        if own is None or own != (begun if there else record):
            return False
        return super()._continues(layout, record)

    def _begin(self, layout: Layout, record: Record) -> None:
        status = {"status": "partial", "record": record.to_json()}
        with create_beside(self.path) as new:
            create_arrays(new, layout, {KEY: {**status, ADDRESS: self.address}})

    def _open_writer(
        self, layout: Layout, spec: ImageSpec, record: Record
    ) -> OmeZarrWriter:
        # first: from now on it is no image, whatever was there
        for name in METADATA:
            if (file := self.path / name).is_file():
                (self.place / name).write(file.read_bytes())
        files = UploadedFiles(self.place, self.path)
        store = ChunkStore(self.path, layout, files=files)
        if not len(store.journal):
            files.clear()
        return RemoteOmeZarrWriter(store, spec, record, self.version, place=self.place)


def open_target(address: str) -> RemotePlace:
    """Return an address to be written to; nobody is asked yet.

    Raises
    ------
    SinkError
        If nothing can be written there.
    """
    try:
        if split_address(address).scheme in ("http", "https"):
            raise SinkError(
                f"{hide_credentials(address)} can be read and not be written; give an "
                "address such as s3://, or write to a local folder and copy the result"
            )
        return open_place(address)
    except (SourceError, ValueError) as error:
        raise SinkError(str(error)) from None


class UploadedFiles:
    """The chunks of a result at an address; see `ChunkFiles`.

    Parameters
    ----------
    place
        Where they go.
    root
        Local folder with the metadata.
    """

    def __init__(self, place: RemotePlace, root: Path) -> None:
        self._place = place
        self._root = root
        self._store = ChunkUploads(place, root)
        self._seen: dict[str, State] = {}

    def open_array(self, level: int) -> Any:
        """Return the array of a level."""
        with zarr.config.set({"array.write_empty_chunks": True}):
            return zarr.open_array(self._store, path=str(level), mode="r+")

    def write(
        self, array: Any, level: int, place: Place, pixels: Array
    ) -> tuple[FileSum, ...]:
        """Put pixels of the array of a level; return the sums of its chunks."""
        array[place] = pixels
        written = self._store.written
        names = list_chunks(array, place)
        sums = ((name, *written.pop(f"{level}/{name}")) for name in names)
        return tuple(FileSum(name, size, md5[:8]) for name, size, md5 in sums)

    def look(self) -> None:
        """Ask for a list of what is there."""
        self._seen = self._place.list_states()

    def are_there(self, level: int, sums: Sequence[FileSum]) -> bool:
        """Tell whether chunks of these sizes are in the list."""
        found = (self._seen.get(f"{level}/{one.name}") for one in sums)
        return all(
            state is not None and state[0] == one.size
            for state, one in zip(found, sums, strict=True)
        )

    def hold(self, level: int, sums: Sequence[FileSum]) -> bool:
        """Tell whether chunks are still what was put, by ETag or by reading them."""
        if not (sums and self.are_there(level, sums)):
            return False
        for one in sums:
            name = f"{level}/{one.name}"
            # of an object that was put in one piece S3 gives the MD5
            if self._seen[name][1][:8] == one.checksum:
                continue
            data = (self._place / name).read_range(0, one.size)
            if hash_object(data)[:8] != one.checksum:
                return False
        return True

    def sync(self, written: Sequence[tuple[int, FileSum]]) -> None:
        """Do nothing: what was put is there."""

    def remove(self, level: int, names: Iterable[str]) -> None:
        """Remove chunks."""
        for name in names:
            with suppress(OSError):
                (self._place / str(level) / name).remove()

    def clear(self) -> None:
        """Remove all that is there but the metadata of the group as it is now."""
        own = [name for name in METADATA if (self._root / name).is_file()]
        there = self._place.list_states()
        self._place.remove_files([name for name in there if name not in own])


@dataclass
class RemoteOmeZarrWriter(OmeZarrWriter):
    """An opened store at an address; see `Writer`."""

    place: RemotePlace | Any = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Where this machine keeps what it needs to go on."""
        return (
            f"until {self.place} is finished, {self._store.root} says what is there; "
            "the same command goes on from it",
        )

    def finish(self) -> Any:
        """Put the metadata, those of the image last; return the address."""
        store, layout = self._store, self._store.layout
        with translate_os_errors(self.place.address):
            store.check_files()
            for level in range(len(layout.levels)):
                for name in METADATA:
                    if (file := store.root / str(level) / name).is_file():
                        (self.place / str(level) / name).write(file.read_bytes())
            attributes = make_attributes(
                self._spec, layout.levels, version=self._version
            )
            status: Any = {"status": "finished", "record": self._record.to_json()}
            entries = {**attributes, KEY: status}
            for name, data in encode_attributes(layout.zarr_format, entries).items():
                (self.place / name).write(data)
            # last: without its journal a partial result would be computed anew
            store.journal.close()
            remove_folder(store.root)
        self._finished = True
        return self.place.address

    def __exit__(self, error: type[BaseException] | None, *more: object) -> None:
        """Close; an unfinished store stays, unless it holds nothing."""
        super().__exit__(error, *more)
        if not self._finished and not self._store.root.exists():
            with suppress(OSError):
                self.place.remove()
