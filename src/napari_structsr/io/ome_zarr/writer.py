"""OME-Zarr as a sink: 0.5, or 0.4 on request, with pyramid, record and resume.

It owns what the group says about itself, and what happens when something is already
there. While unfinished a store holds no image metadata, so that no reader takes it
for an image; its attributes say that it is partial.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from napari_structsr.core.axes import Axes, Axis, ImageSpec
from napari_structsr.core.grid import Tile
from napari_structsr.core.part import RunPart
from napari_structsr.core.record import Record
from napari_structsr.core.types import Array
from napari_structsr.errors import SinkError, SourceError
from napari_structsr.io.atomic import create_beside, remove_folder
from napari_structsr.io.locks import check_unlocked, lock_output
from napari_structsr.io.ome_zarr.chunk_store import ChunkStore
from napari_structsr.io.ome_zarr.disk import check_folder, translate_os_errors
from napari_structsr.io.ome_zarr.journal import count_files, find_noted
from napari_structsr.io.ome_zarr.layout import (
    Layout,
    create_arrays,
    has_layout,
    write_attributes,
)
from napari_structsr.io.ome_zarr.metadata import is_zarr_group, make_attributes
from napari_structsr.io.records import KEY, read_zarr_record


class OmeZarrSink:
    """A folder that becomes an OME-Zarr image.

    Parameters
    ----------
    path
        The folder, by custom ``name.ome.zarr``.
    overwrite
        Whether a zarr group that is in the way is deleted when the run starts; an
        unfinished result of the same run is continued all the same.
    version
        Of OME-Zarr: "0.5" (zarr 3) or "0.4" (zarr 2, without shards).
    chunk
        Pixels along y and x of a chunk.
    shard
        Pixels along y and x of a shard, a multiple of `chunk`; "auto" takes 4 x 4
        chunks where that saves many files.
    result
        The file, or address, that a temporary store is for: messages name it, and what
        an earlier run has left of the store is replaced.
    part
        Which part of the result a run makes, beside the runs of other parts. A run
        without part finishes what all have made.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        version: Literal["0.4", "0.5"] = "0.5",
        chunk: int = 512,
        shard: int | Literal["auto"] = "auto",
        result: Path | str | None = None,
        part: RunPart | None = None,
    ) -> None:
        if chunk < 16 or (shard != "auto" and shard % chunk):
            raise SinkError(
                f"chunks of {chunk} and shards of {shard} pixels do not fit; chunks "
                "have at least 16 pixels, shards a multiple of those of a chunk"
            )
        if part and overwrite:
            raise SinkError(
                "a part of a result that is started again would delete what others "
                "have made; delete the old result first, and leave --overwrite out"
            )
        self.part = part
        self.path = Path(path).absolute()
        self.chunk = chunk
        self.shard: int | Literal["auto"] = shard
        self.overwrite = overwrite
        self._result = result
        self.version: Literal["0.4", "0.5"] = version

    def unit(self, spec: ImageSpec) -> tuple[int, int]:
        """Return the size of a shard, or of a chunk."""
        layout = self.layout(spec)
        return layout.unit_of(layout.axes)

    def check(self, spec: ImageSpec, *, besides: int = 0) -> None:
        """Refuse what is in the way, or what does not fit; see `Sink.check`.

        `besides` are bytes that are needed in the same folder.
        """
        self.layout(spec)
        check_unlocked(self.path, self.part)
        check_folder(self.path.parent, self.count_bytes(spec) + besides)

    def count_bytes(self, spec: ImageSpec) -> int:
        """Return how many bytes are still to be written, at most.

        Raises
        ------
        SinkError
            If something is in the way.
        """
        # the levels take 1 + 1/4 + 1/16 + ... of the image
        needed = spec.nbytes * 4 // 3
        if not os.path.lexists(self.path):
            return needed
        if self._find_unfinished() is not None:
            done = self.layout(spec).share_of(count_files(self.path))
            return round(needed * (1 - done))
        # what is replaced makes room
        files = (file for file in self.path.rglob("*") if file.is_file())
        return needed - sum(file.stat().st_size for file in files)

    def open(self, spec: ImageSpec, record: Record) -> OmeZarrWriter:
        """Create the store, or continue the one of the same run; see `Sink.open`."""
        layout = self.layout(spec)
        with ExitStack() as held, translate_os_errors(self._named):
            begun = held.enter_context(lock_output(self.path, self.part))
            if not self._continues(layout, record):
                self._begin(layout, record)
            found = read_zarr_record(self.path)[1]
            writer = self._open_writer(layout, spec, record)
            if self.part:
                begun.close()
            writer.held = held.pop_all()
            if record.fingerprint and found and not found.fingerprint:
                writer.warnings = (
                    f"{self._named} was begun by a version that did not note what the "
                    "image was; if it may have changed since, start anew with "
                    "--overwrite",
                )
            return writer

    def _begin(self, layout: Layout, record: Record) -> None:
        status = {KEY: {"status": "partial", "record": record.to_json()}}
        # whole or not at all: a store of this name can always be resumed
        with create_beside(self.path) as new:
            create_arrays(new, layout, status)

    def _open_writer(
        self, layout: Layout, spec: ImageSpec, record: Record
    ) -> OmeZarrWriter:
        store = ChunkStore(self.path, layout, self.part)
        shared = self.part is not None
        return OmeZarrWriter(store, spec, record, self.version, shared=shared)

    @property
    def whole(self) -> OmeZarrSink:
        """The same place for a run without part."""
        return OmeZarrSink(
            self.path,
            version=self.version,
            chunk=self.chunk,
            shard=self.shard,
            result=self._result,
        )

    def count_noted(self) -> int:
        """Return how many tiles runs have finished, of whichever part."""
        return len(find_noted(self.path, 0))

    @property
    def is_finished(self) -> bool:
        """Whether a finished result is there."""
        try:
            return read_zarr_record(self.path)[0] == "finished"
        except SourceError:
            return False

    def layout(self, spec: ImageSpec) -> Layout:
        """Return how the image will lie on disk; colour samples become channels.

        Raises
        ------
        SinkError
            If the image has both channels and colour samples.
        """
        axes = spec.axes.canonical()
        if "s" in axes:
            if "c" in axes:
                raise SinkError(
                    "OME-Zarr has one channel axis, but the image has channels (c) and "
                    "colour samples (s); pick one channel with --channels 0"
                )
            # OME-Zarr knows no samples of colour: red, green and blue are channels
            colour = Axis("c", axes.samples)
            # canonical order puts s last, and c behind t
            axes = Axes((*axes.items[:-1], colour)).canonical()
        zarr_format: Literal[2, 3] = 2 if self.version == "0.4" else 3
        return Layout(axes, spec.dtype, zarr_format, self.chunk, self.shard)

    def _continues(self, layout: Layout, record: Record) -> bool:
        """Tell whether the same run has begun the store; refuse what is in the way."""
        if not os.path.lexists(self.path):
            return False
        found = self._find_unfinished()
        if found is None:
            return False
        if self.overwrite and record.fingerprint and not found.fingerprint:
            # nobody knows whether the image is still the same
            return False
        # the same result, so that it makes no difference to begin anew
        differences = record.find_differences(found)
        if not differences and has_layout(self.path, layout):
            return True
        if self.overwrite:
            return False
        if differences:
            raise SinkError(
                f"{self._named} is the unfinished result of another run (it "
                f"differs in {', '.join(differences)}); choose another name, repeat "
                "that run to finish it, or start anew with --overwrite"
            )
        raise SinkError(
            f"{self._named} was begun in another version of OME-Zarr, or in other "
            "chunks; choose another name, repeat that run to finish it, or start anew "
            "with --overwrite"
        )

    def _find_unfinished(self) -> Record | None:
        """Return the record of an unfinished result, None of what is replaced."""
        try:
            status, record = read_zarr_record(self.path)
        except SourceError as error:
            if self._result:
                return None
            if not is_zarr_group(self.path):
                raise SinkError(
                    f"{self.path} exists and is no zarr group, so that it is not "
                    "overwritten; choose another name"
                ) from error
            status, record = None, None
        if status == "partial" and record is not None:
            return record
        if self._result or (self.overwrite and is_zarr_group(self.path)):
            return None
        raise SinkError(
            f"{self.path} exists already; choose another name, or replace it "
            "with --overwrite"
        )

    @property
    def _named(self) -> Path | str:
        return self._result or self.path


@dataclass
class OmeZarrWriter:
    """An opened store; see `Writer`."""

    _store: ChunkStore
    _spec: ImageSpec
    _record: Record
    _version: Literal["0.4", "0.5"]
    shared: bool = False  # whether others write other parts of it
    held: ExitStack = field(default_factory=ExitStack)  # its locks
    _finished: bool = False
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.done: Container[int] = self._store.journal.finished(0)

    @property
    def store(self) -> ChunkStore:
        """Its arrays and their journal."""
        return self._store

    @property
    def levels(self) -> list[Any]:
        """Arrays, the finest first."""
        return self._store.arrays

    @property
    def colour_axis(self) -> int:
        """Where colour samples are stored."""
        return self._store.layout.axes.names.index("c")

    def write(self, tile: Tile, pixels: Array) -> None:
        """Write one tile; see `Writer.write`."""
        with translate_os_errors(self._store.root):
            self._store.write(tile, pixels)

    def passes(self) -> Iterator[Sequence[Callable[[], None]]]:
        """Yield the levels of the pyramid, then a look at all that was written."""
        with translate_os_errors(self._store.root):
            for calls in self._store.passes():
                yield [partial(self._call, call) for call in calls]

    def _call(self, call: Callable[[], None]) -> None:
        with translate_os_errors(self._store.root):
            call()

    def finish(self) -> Any:
        """Write the image metadata; from now on the store is an image."""
        store, layout = self._store, self._store.layout
        with translate_os_errors(store.root):
            store.check_files()
            attributes = make_attributes(
                self._spec, layout.levels, version=self._version
            )
            status: Any = {"status": "finished", "record": self._record.to_json()}
            entries = {**attributes, KEY: status}
            write_attributes(store.root, layout.zarr_format, entries)
            # last: a partial result without its journal would be computed anew
            store.journal.remove()
        self._finished = True
        return store.root

    def read(self, level: int, place: tuple[Any, ...]) -> Array:
        """Read back pixels of a level; see `ChunkStore.read`."""
        return self._store.read(level, place)

    def check_files(self) -> None:
        """Raise SinkError if something that was written is gone."""
        self._store.check_files()

    def discard(self) -> None:
        """Delete the store: its pixels stand elsewhere."""
        self._store.journal.close()
        remove_folder(self._store.root)
        self._finished = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Close; an unfinished store stays, unless it holds nothing."""
        journal = self._store.journal
        with self.held, translate_os_errors(self._store.root):
            if not self._finished and journal.is_there:
                # without a single tile there is nothing to resume
                if not len(journal) and not self.shared:
                    remove_folder(self._store.root)
                # after an error its message counts, not that of the disk
                elif error is None:
                    journal.sync()
            journal.close()
