"""Where the maps of one inspection go: memory, or an OME-Zarr store each.

All maps of an inspection share one grid, so that a tile is written to all of them. A
map that an earlier run has finished is kept as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.grid import Tile
from napari_structsr.core.part import RunPart
from napari_structsr.core.record import Record
from napari_structsr.core.types import Array
from napari_structsr.errors import SinkError, blame_file
from napari_structsr.io.ome_zarr.disk import check_folder
from napari_structsr.io.ome_zarr.layout import has_all_files
from napari_structsr.io.ome_zarr.metadata import is_zarr
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.io.records import read_zarr_record
from napari_structsr.io.sink import MemorySink, SharedSink, Sink, Writer

# pixels, and no more: all maps of a tile are in memory at once
_SHARD = 1024


def check_map_folder(folder: Path) -> None:
    """Refuse a folder that maps cannot be put into."""
    if folder.exists() and not folder.is_dir():
        raise SinkError(f"{folder} is a file; choose a folder for the maps")
    if is_zarr(folder):
        raise SinkError(
            f"{folder} is an image itself; choose another folder for the maps"
        )
    check_folder(folder if folder.exists() else folder.parent, 0)


class MapStores:
    """The maps of one inspection.

    Parameters
    ----------
    folder
        Where stores named KEY.ome.zarr go; made if only it is missing. None keeps the
        maps in memory.
    specs
        What each map is, by its key; all of one shape.
    record
        How they are made.
    overwrite
        Whether stores that are in the way are replaced.
    part
        Which part of the maps a run makes, as in `OmeZarrSink`.

    Raises
    ------
    SinkError
        If something else is in the way, or space or permission is short.
    """

    def __init__(
        self,
        folder: Path | None,
        specs: Mapping[str, ImageSpec],
        record: Record,
        *,
        overwrite: bool = False,
        part: RunPart | None = None,
    ) -> None:
        self._specs = specs
        self._record = record
        # one of them, since all are of one shape
        self.spec = next(iter(specs.values()))
        self._paths: dict[str, Path] = {}
        self._finished: set[str] = set()
        self._writers: dict[str, Writer] = {}
        self._results: dict[str, Any] = {}
        self._sinks: dict[str, Sink] = {key: MemorySink() for key in specs}
        if folder is None:
            return
        check_map_folder(folder)
        needed = 0
        for key, spec in specs.items():
            self._paths[key] = path = folder / f"{key}.ome.zarr"
            sink = OmeZarrSink(path, overwrite=overwrite, shard=_SHARD, part=part)
            self._sinks[key] = sink
            status, found = None, None
            if path.exists() and not overwrite:
                status, found = read_zarr_record(path)
            # a map of the same inspection is kept as it is
            if (
                status == "finished"
                and found is not None
                and not record.find_differences(found)
            ):
                if has_all_files(path, sink.layout(spec)):
                    self._finished.add(key)
                    continue
                # a part of it was deleted: it is made again
                sink.overwrite = True
            needed += sink.count_bytes(spec)
        # maps compress well, and their levels take a quarter more
        check_folder(folder if folder.exists() else folder.parent, needed * 3 // 4)
        # only now, when nothing is in the way
        folder.mkdir(exist_ok=True)

    @property
    def in_memory(self) -> bool:
        """Whether the maps are kept in memory."""
        return not self._paths

    @property
    def nbytes(self) -> int:
        """Bytes of all maps, uncompressed."""
        return sum(spec.nbytes for spec in self._specs.values())

    @property
    def unit(self) -> tuple[int, int]:
        """Rows and columns that must be written together."""
        return next(iter(self._sinks.values())).unit(self.spec)

    @property
    def opened(self) -> dict[str, Writer]:
        """Opened stores that are not finished, by the keys of their maps."""
        return dict(self._writers)

    @property
    def writers(self) -> list[Writer]:
        """Opened stores that are not finished."""
        return list(self._writers.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the user about what an earlier run has left."""
        return tuple(text for one in self.writers for text in one.warnings)

    def open(self, stack: ExitStack) -> None:
        """Create or continue all stores, until the stack is left."""
        for key, sink in self._sinks.items():
            if key not in self._finished:
                writer = sink.open(self._specs[key], self._record)
                self._writers[key] = stack.enter_context(writer)

    def holds(self, tile: int) -> bool:
        """Tell whether an earlier run has written a tile to every map."""
        # one pass makes all maps of a tile: it counts as done for all or none
        return all(tile in writer.done for writer in self._writers.values())

    def count_missing(self, total: int) -> int:
        """Return how many of all tiles no run has finished, of whichever part."""
        sinks = (one for one in self._sinks.values() if isinstance(one, SharedSink))
        noted = [total if one.is_finished else one.count_noted() for one in sinks]
        return total - min(noted, default=total)

    def write(self, tile: Tile, maps: Mapping[str, Array]) -> None:
        """Write one tile to every map that lacks it."""
        for key, writer in self._writers.items():
            if tile.index not in writer.done:
                writer.write(tile, maps[key])

    def finish(self) -> dict[str, Any]:
        """Mark all maps as complete; return them, an array or a path each."""
        for key in self._specs:
            writer = self._writers.get(key)
            self._results[key] = writer.finish() if writer else self._paths[key]
        return dict(self._results)

    @property
    def paths(self) -> dict[str, Path]:
        """Stores of all maps, by their keys; none in memory."""
        return dict(self._paths)

    def arrays(self) -> dict[str, Any]:
        """Return the finished maps, to be indexed by plane, rows and columns."""
        maps = dict(self._results)
        for key, path in self._paths.items():
            maps[key] = StoredMap(path)
        return maps


class StoredMap:
    """A finished map on disk: reading a damaged part of it names the way out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._blame():
            self._array = zarr.open_array(path / "0", mode="r")

    def __getitem__(self, place: Any) -> Array:
        with self._blame():
            return np.asarray(self._array[place])

    def _blame(self) -> AbstractContextManager[None]:
        remedy = "make the maps again with --overwrite"
        return blame_file(self._path, SinkError, what="a finished map", remedy=remedy)
