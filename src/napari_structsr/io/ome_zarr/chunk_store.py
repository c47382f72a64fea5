"""A pyramid of chunked zarr arrays that is filled tile by tile and can be resumed.

It owns the layout on disk (chunks, shards, levels that halve y and x) and the journal
of finished tiles. What the group says about itself as an image is written by `writer`.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from napari_structsr.core.axes import Axes
from napari_structsr.core.grid import Tile, TileGrid
from napari_structsr.core.intensity import to_dtype
from napari_structsr.core.types import Array

# chunks from which shards are worth while
_MANY = 256
# along y and along x
_CHUNKS_PER_SHARD = 4
# pixels along the longer side of the coarsest level
_SMALLEST = 256


def make_pyramid_axes(axes: Axes) -> list[Axes]:
    """Return the axes of every level, the finest first."""
    levels = [axes]
    while max(levels[-1].plane) > _SMALLEST:
        plane = (levels[-1]["y"], levels[-1]["x"])
        coarser = (axis.resample(-(-axis.size // 2), 0.5) for axis in plane)
        levels.append(levels[-1].with_axes(*coarser))
    return levels


def halve(pixels: Array) -> Array:
    """Halve the last two axes by the mean of 2 x 2 finite pixels.

    An odd last row or column stands for itself.
    """
    rows, columns = pixels.shape[-2:]
    edges = [(0, 0)] * (pixels.ndim - 2) + [(0, rows % 2), (0, columns % 2)]
    even = np.pad(pixels, edges, mode="edge") if rows % 2 or columns % 2 else pixels
    corners = [even[..., y::2, x::2] for y in (0, 1) for x in (0, 1)]
    if pixels.dtype.kind != "f":
        # sums of four 16-bit numbers are exact in float32
        exact: Any = np.float32 if pixels.dtype.itemsize <= 2 else np.float64
        quarter: Array = np.add.reduce([c.astype(exact) for c in corners])
        return to_dtype(quarter / 4, pixels.dtype)
    # floats in float64, and only those that are finite
    known = sum(np.isfinite(corner).astype(np.float64) for corner in corners)
    total: Any = sum(np.where(np.isfinite(c), c, 0).astype(np.float64) for c in corners)
    # 0 / 0 is NaN: four holes are a hole
    with np.errstate(invalid="ignore"):
        return to_dtype(np.asarray(total / known), pixels.dtype)


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
    chunk, shard
        As in `OmeZarrSink`.
    """

    axes: Axes
    dtype: np.dtype
    zarr_format: Literal[2, 3]
    chunk: int
    shard: int | Literal["auto"]

    @property
    def levels(self) -> list[Axes]:
        """Axes of every level, the finest first."""
        return make_pyramid_axes(self.axes)

    def chunk_of(self, axes: Axes) -> tuple[int, int]:
        """Return rows and columns of a chunk of a level."""
        height, width = axes.plane
        return min(self.chunk, height), min(self.chunk, width)

    def unit_of(self, axes: Axes) -> tuple[int, int]:
        """Return rows and columns of a level that one file holds."""
        height, width = axes.plane
        # a level smaller than a chunk is one chunk
        if self.zarr_format == 2 or min(height, width) < self.chunk:
            return self.chunk_of(axes)
        rows, columns = -(-height // self.chunk), -(-width // self.chunk)
        side = self.shard
        if side == "auto":
            # file systems slow down with many files: 16 chunks share one
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
            # zarr 2 has codecs of its own, and OME-Zarr 0.4 wants nested folders
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
            # every chunk gets a file, zeros too: `_flush` opens each
            config={"write_empty_chunks": True},
            **options,
        )


def make_write_grid(axes: Axes, unit: tuple[int, int]) -> TileGrid:
    """Return the tiles that write an image of `axes` once, `unit` by `unit`."""
    loops = tuple(axis.size for axis in axes.loops)
    return TileGrid(loops, axes.plane, factor=1, unit=unit, halo=0)


class Journal:
    """Which tiles of a result are safely on disk: an append-only text file.

    A line holds the pyramid level and the index of a tile. The file is created when it
    is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text("ascii") if path.exists() else ""
        # a power cut may have torn the last line: that tile is computed again
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, "ascii")
        self._done: set[tuple[int, int]] = set()
        for line in whole.splitlines():
            level, index = line.split()
            self._done.add((int(level), int(index)))
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="ascii")

    def __len__(self) -> int:
        return len(self._done)

    def finished(self, level: int) -> frozenset[int]:
        """Return the finished tiles of a level."""
        return frozenset(index for found, index in self._done if found == level)

    def add(self, level: int, index: int) -> None:
        """Note a tile whose pixels are on disk; from any thread."""
        with self._lock:
            self._file.write(f"{level} {index}\n")
            # flush hands the line to the system, fsync to the disk
            self._file.flush()
            os.fsync(self._file.fileno())
            self._done.add((level, index))

    def remove(self) -> None:
        """Close and delete the file: everything is finished."""
        self.close()
        self._path.unlink()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()


@contextmanager
def create_beside(path: Path) -> Iterator[Path]:
    """Yield a name beside a folder; what is made there takes its place at the end."""
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        yield new
        # a folder that holds anything cannot be replaced by renaming
        if path.exists():
            shutil.rmtree(path)
        new.rename(path)
    except BaseException:
        # on Ctrl-C too: nothing half written stays behind
        shutil.rmtree(new, ignore_errors=True)
        raise


class ChunkStore:
    """The open arrays of one result, in the folder of its group."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self.root = root
        self.layout = layout
        # zarr writes a chunk beside its place and renames it: a kill leaves the former
        for torn in root.rglob("*.partial"):
            torn.unlink()
        with zarr.config.set({"array.write_empty_chunks": True}):
            self.arrays: list[Any] = [
                zarr.open_array(root / str(number), mode="r+")
                for number in range(len(layout.levels))
            ]
        self.journal = Journal(root / "structsr-journal.txt")

    def write(self, tile: Tile, pixels: Array) -> None:
        """Write one tile of the finest level; shape (samples, rows, columns)."""
        place = [slice(index, index + 1) for index in tile.plane]
        if len(place) + 2 < len(self.layout.axes.items):
            # colour samples lie along c, which no plane counts
            place.insert(self.layout.axes.names.index("c"), slice(0, len(pixels)))
        self._write_pixels(0, tile.index, (*place, *tile.write), pixels)

    def passes(self) -> Iterator[Sequence[Callable[[], None]]]:
        """Yield the work of each coarser level."""
        for number in range(1, len(self.arrays)):
            axes = self.layout.levels[number]
            grid = make_write_grid(axes, self.layout.unit_of(axes))
            # asked for here: a level is made once the finer one is complete
            done = self.journal.finished(number)
            yield [
                partial(self._coarsen, number, grid, tile)
                for tile in grid
                if tile.index not in done
            ]

    def _coarsen(self, level: int, grid: TileGrid, tile: Tile) -> None:
        plane = [slice(index, index + 1) for index in tile.plane]
        size = (part.stop - part.start for part in (*plane, *tile.write))
        pixels = np.empty(tuple(size), self.layout.dtype)
        # chunk by chunk: of a whole shard four times the pixels would be in memory
        for part in grid.split(tile, self.layout.chunk):
            finer = [slice(2 * span.start, 2 * span.stop) for span in part.write]
            place = (..., *part.relative_to(tile).write)
            pixels[place] = halve(self.arrays[level - 1][(*plane, *finer)])
        self._write_pixels(level, tile.index, (*plane, *tile.write), pixels)

    def _write_pixels(
        self, level: int, index: int, place: tuple[slice, ...], pixels: Array
    ) -> None:
        array = self.arrays[level]
        array[place] = pixels.reshape([part.stop - part.start for part in place])
        spans = (
            range(part.start // size, -(-part.stop // size))
            for part, size in zip(place, array.shards or array.chunks, strict=True)
        )
        key = array.metadata.encode_chunk_key
        folder = self.root / str(level)
        files = [folder / key(position) for position in itertools.product(*spans)]
        # a new file is on disk once its folder is, too
        for path in [*files, *{file.parent for file in files}]:
            _flush(path)
        # only now: after a power cut everything in the journal must be on disk
        self.journal.add(level, index)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    if os.name != "posix" and path.is_dir():
        # only POSIX opens folders
        return
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
