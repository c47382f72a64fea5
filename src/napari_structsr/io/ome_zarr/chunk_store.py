"""A pyramid of chunked zarr arrays that is filled tile by tile and can be resumed.

It owns the layout on disk (chunks, shards, levels), the journal and the marker of an
unfinished result. What the group says about itself as an image is the affair of
`zarr_sink`.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec

from napari_structsr.core.axes import Axes
from napari_structsr.core.grid import Tile, TileGrid
from napari_structsr.io.ome_zarr.journal import Journal
from napari_structsr.io.ome_zarr.pyramid import halve, pyramid_axes

__all__ = ["ChunkStore", "Layout", "create_arrays"]

_MANY = 256  # chunks from which shards are worth while
_CHUNKS_PER_SHARD = 4  # along y and along x
JOURNAL = "structsr-journal.txt"


@dataclass(frozen=True)
class Layout:
    """How an image lies on disk.

    Parameters
    ----------
    axes
        Axes of the finest level, in storage order, y and x last.
    dtype
        Type of the pixels.
    zarr_format
        2 or 3; only 3 knows shards.
    chunk
        Pixels along y and x of a chunk.
    shard
        Pixels along y and x of a shard, a multiple of `chunk`; "auto" takes 4 x 4
        chunks where that saves many files.
    """

    axes: Axes
    dtype: np.dtype
    zarr_format: Literal[2, 3]
    chunk: int
    shard: int | Literal["auto"]

    @property
    def levels(self) -> list[Axes]:
        """Axes of every level, the finest first."""
        return pyramid_axes(self.axes)

    def chunk_of(self, axes: Axes) -> tuple[int, int]:
        """Return rows and columns of a chunk of a level."""
        height, width = axes.plane
        return min(self.chunk, height), min(self.chunk, width)

    def unit_of(self, axes: Axes) -> tuple[int, int]:
        """Return rows and columns of a level that one file holds."""
        height, width = axes.plane
        if self.zarr_format == 2 or min(height, width) < self.chunk:
            return self.chunk_of(axes)
        rows, columns = -(-height // self.chunk), -(-width // self.chunk)
        side = self.shard
        if side == "auto":
            chunks = math.prod(axis.size for axis in axes.loops) * rows * columns
            side = self.chunk * (_CHUNKS_PER_SHARD if chunks >= _MANY else 1)
        return min(side, rows * self.chunk), min(side, columns * self.chunk)


def create_arrays(root: Path, layout: Layout, attributes: dict[str, Any]) -> None:
    """Create a group with one array a level, named 0, 1, 2 and so on."""
    group = zarr.create_group(
        root, zarr_format=layout.zarr_format, attributes=attributes
    )
    for number, axes in enumerate(layout.levels):
        flat = (1,) * (len(axes.items) - 2)
        chunk, unit = layout.chunk_of(axes), layout.unit_of(axes)
        options: dict[str, Any] = {
            "compressors": BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
            "dimension_names": list(axes.names),
            "shards": (*flat, *unit) if unit != chunk else None,
        }
        if layout.zarr_format == 2:
            from numcodecs import Blosc

            options = {
                "compressors": Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
                "chunk_key_encoding": {"name": "v2", "separator": "/"},
            }
        group.create_array(
            str(number),
            shape=axes.shape,
            chunks=(*flat, *chunk),
            dtype=layout.dtype,
            config={"write_empty_chunks": True},
            **options,
        )


class ChunkStore:
    """The open arrays of one result.

    Parameters
    ----------
    root
        Folder of the group.
    layout
        How it was created.
    """

    def __init__(self, root: Path, layout: Layout) -> None:
        self.root = root
        self.layout = layout
        for torn in root.rglob("*.partial"):  # chunks that a kill left behind
            torn.unlink()
        with zarr.config.set({"array.write_empty_chunks": True}):
            self.arrays: list[Any] = [
                zarr.open_array(root / str(number), mode="r+")
                for number in range(len(layout.levels))
            ]
        self.journal = Journal(root / JOURNAL)
        self.done = self.journal.finished(0)

    def write(self, tile: Tile, pixels: npt.NDArray[Any]) -> None:
        """Write one tile of the finest level; shape (samples, rows, columns)."""
        place = [slice(index, index + 1) for index in tile.plane]
        if len(place) + 2 < len(self.layout.axes.items):  # colour samples lie along c
            place.insert(self.layout.axes.names.index("c"), slice(0, len(pixels)))
        self._store(0, tile.index, (*place, *tile.write), pixels)

    def passes(self) -> Iterator[Sequence[Callable[[], None]]]:
        """Yield the work of each coarser level."""
        for number in range(1, len(self.arrays)):
            axes = self.layout.levels[number]
            grid = TileGrid(
                loops=tuple(axis.size for axis in axes.loops),
                shape=axes.plane,
                factor=1,
                unit=self.layout.unit_of(axes),
                halo=0,
            )
            done = self.journal.finished(number)
            yield [
                partial(self._coarsen, number, grid, tile)
                for tile in grid
                if tile.index not in done
            ]

    def _coarsen(self, level: int, grid: TileGrid, tile: Tile) -> None:
        """Make one tile of a level from the level below, chunk by chunk."""
        plane = [slice(index, index + 1) for index in tile.plane]
        size = (part.stop - part.start for part in tile.write)
        pixels = np.empty((*(1 for _ in plane), *size), self.layout.dtype)
        for part in grid.split(tile, self.layout.chunk):
            finer = [slice(2 * span.start, 2 * span.stop) for span in part.write]
            place = (..., *part.relative_to(tile).write)
            pixels[place] = halve(self.arrays[level - 1][(*plane, *finer)])
        self._store(level, tile.index, (*plane, *tile.write), pixels)

    def _store(
        self,
        level: int,
        index: int,
        place: tuple[slice, ...],
        pixels: npt.NDArray[Any],
    ) -> None:
        """Write pixels, wait until they are on disk, and note it."""
        shape = [part.stop - part.start for part in place]
        self.arrays[level][place] = pixels.reshape(shape)
        files = list(self._files(level, place))
        for path in [*files, *{file.parent for file in files}]:
            _flush(path)
        self.journal.add(level, index)

    def _files(self, level: int, place: tuple[slice, ...]) -> Iterator[Path]:
        """Name the files that hold the pixels of a place."""
        array = self.arrays[level]
        spans = [
            range(part.start // size, -(-part.stop // size))
            for part, size in zip(place, array.shards or array.chunks, strict=True)
        ]
        for position in itertools.product(*spans):
            yield self.root / str(level) / array.metadata.encode_chunk_key(position)

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    if os.name != "posix" and path.is_dir():
        return  # only POSIX opens folders
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
