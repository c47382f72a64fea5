"""OME-Zarr as a sink: 0.5, or 0.4 on request, with pyramid, record and resume.

It owns what the group says about itself, and what happens when something is already
there. While unfinished a store holds no image metadata, so that no reader takes it
for an image; its attributes say that it is partial.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import zarr

from napari_structsr.core.axes import Axes, Axis, ImageSpec
from napari_structsr.core.grid import Tile
from napari_structsr.core.record import Record
from napari_structsr.core.types import Array
from napari_structsr.errors import SinkError, SourceError
from napari_structsr.io.ome_zarr.chunk_store import (
    ChunkStore,
    Layout,
    create_arrays,
    create_beside,
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
        Whether a zarr group that is in the way is deleted when the run starts.
    version
        Of OME-Zarr: "0.5" (zarr 3) or "0.4" (zarr 2, without shards).
    chunk
        Pixels along y and x of a chunk.
    shard
        Pixels along y and x of a shard, a multiple of `chunk`; "auto" takes 4 x 4
        chunks where that saves many files.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        version: Literal["0.4", "0.5"] = "0.5",
        chunk: int = 512,
        shard: int | Literal["auto"] = "auto",
    ) -> None:
        if chunk < 16 or (shard != "auto" and shard % chunk):
            raise SinkError(
                f"chunks of {chunk} and shards of {shard} pixels do not fit; chunks "
                "have at least 16 pixels, shards a multiple of those of a chunk"
            )
        self.path = Path(path).absolute()
        self.chunk = chunk
        self.shard: int | Literal["auto"] = shard
        self.overwrite = overwrite
        self.version: Literal["0.4", "0.5"] = version

    def unit(self, spec: ImageSpec) -> tuple[int, int]:
        """Return the size of a shard, or of a chunk."""
        layout = self.layout(spec)
        return layout.unit_of(layout.axes)

    def check(self, spec: ImageSpec) -> None:
        """Refuse what is in the way, or what does not fit; see `Sink.check`."""
        self.layout(spec)
        if self.path.exists() and not self.overwrite:
            self._partial_record()
        elif self.path.exists() and not is_zarr_group(self.path):
            raise SinkError(
                f"{self.path} exists and is no zarr group, so that it is not "
                "overwritten; choose another name"
            )
        # what the store already takes is continued or replaced
        files = (file for file in self.path.rglob("*") if file.is_file())
        there = sum(file.stat().st_size for file in files)
        # the levels take 1 + 1/4 + 1/16 + ... of the image
        check_folder(self.path.parent, spec.nbytes * 4 // 3 - there)

    def open(self, spec: ImageSpec, record: Record) -> _OmeZarrWriter:
        """Create the store, or continue the one of the same run; see `Sink.open`."""
        layout = self.layout(spec)
        with translate_os_errors(self.path):
            # only when the run starts: a check leaves no trace
            if self.path.exists() and self.overwrite:
                shutil.rmtree(self.path)
            if self.path.exists():
                if found := record.find_differences(self._partial_record()):
                    raise SinkError(
                        f"{self.path} is the unfinished result of another run (it "
                        f"differs in {', '.join(found)}); choose another name, repeat "
                        "that run to finish it, or start anew with --overwrite"
                    )
            else:
                status = {KEY: {"status": "partial", "record": record.to_json()}}
                # whole or not at all: a store of this name can always be resumed
                with create_beside(self.path) as new:
                    create_arrays(new, layout, status)
            store = ChunkStore(self.path, layout)
        return _OmeZarrWriter(store, spec, record, self.version)

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

    def _partial_record(self) -> Record:
        """Return the record of an unfinished result; refuse everything else."""
        try:
            status, record = read_zarr_record(self.path)
        except SourceError as error:
            raise SinkError(
                f"{self.path} exists and is no OME-Zarr store; choose another name"
            ) from error
        if status != "partial" or record is None:
            raise SinkError(
                f"{self.path} exists already; choose another name, or replace it "
                "with --overwrite"
            )
        return record


@dataclass
class _OmeZarrWriter:
    _store: ChunkStore
    _spec: ImageSpec
    _record: Record
    _version: Literal["0.4", "0.5"]
    _finished: bool = False

    def __post_init__(self) -> None:
        self.done: Container[int] = self._store.journal.finished(0)

    @property
    def levels(self) -> list[Any]:
        return self._store.arrays

    @property
    def colour_axis(self) -> int:
        """Where colour samples are stored."""
        return self._store.layout.axes.names.index("c")

    def write(self, tile: Tile, pixels: Array) -> None:
        with translate_os_errors(self._store.root):
            self._store.write(tile, pixels)

    def passes(self) -> Iterator[Sequence[Callable[[], None]]]:
        return self._store.passes()

    def finish(self) -> Path:
        """Write the image metadata; from now on the store is an image."""
        with translate_os_errors(self._store.root):
            status: Any = {"status": "finished", "record": self._record.to_json()}
            attributes = make_attributes(
                self._spec, self._store.layout.levels, version=self._version
            )
            # put replaces all attributes at once: no reader meets half of them
            group = zarr.open_group(self._store.root, mode="r+")
            group.attrs.put({**attributes, KEY: status})
            # last: a partial result without its journal would be computed anew
            self._store.journal.remove()
        self._finished = True
        return self._store.root

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close; an unfinished store stays, unless it holds nothing."""
        self._store.journal.close()
        # without a single tile there is nothing to resume
        if not self._finished and not len(self._store.journal):
            shutil.rmtree(self._store.root, ignore_errors=True)


def check_folder(folder: Path, needed: int) -> None:
    """Refuse folders that are missing, closed or too full."""
    if not folder.is_dir():
        raise SinkError(f"the folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"no permission to write into {folder}; choose another folder")
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SinkError(
            f"the result takes up to {needed / 1e9:.3g} GB and {folder} has "
            f"{free / 1e9:.3g} GB free; make room or choose another folder"
        )


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Turn errors of the system into sentences."""
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"{path} cannot be written ({error.strerror or error}); what is finished "
            "is kept: mend it and start the same command again"
        ) from error
