"""A pyramid of chunked zarr arrays that is filled tile by tile and can be resumed.

It owns the layout on disk (chunks, shards, levels that halve y and x). Which tiles are
there stands in the `journal`; what the group says about itself as an image is written
by `writer`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from napari_structsr.core.axes import Axes
from napari_structsr.core.grid import Tile, TileGrid
from napari_structsr.core.intensity import to_dtype
from napari_structsr.core.types import Array
from napari_structsr.errors import SinkError
from napari_structsr.io.atomic import remove, replace_whole
from napari_structsr.io.ome_zarr.journal import Journal

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

    def share_of(self, files: int) -> float:
        """Return about which share of an image, with its levels, so many files hold."""
        grids = (make_write_grid(axes, self.unit_of(axes)) for axes in self.levels)
        return min(files / sum(map(len, grids)), 1.0)


def create_arrays(root: Path, layout: Layout, attributes: dict[str, Any]) -> None:
    """Create a group with one array a level, named 0, 1, 2 and so on."""
    group = zarr.create_group(
        root, zarr_format=layout.zarr_format, attributes=attributes
    )
    for number, axes in enumerate(layout.levels):
        flat = (1,) * (len(axes.items) - 2)
        chunk, unit = layout.chunk_of(axes), layout.unit_of(axes)
        options: dict[str, Any] = {
            # the sum is that of the compressed bytes: damage is told before unpacking
            "compressors": [
                BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
                Crc32cCodec(),
            ],
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
            # every chunk gets a file, zeros too: the journal has a sum of each
            config={"write_empty_chunks": True},
            **options,
        )


def write_attributes(
    root: Path, zarr_format: Literal[2, 3], attributes: dict[str, Any]
) -> None:
    """Replace the attributes of a group; no reader, and no power cut, meets half."""
    files: dict[str, Any] = {}
    zarr.create_group(
        MemoryStore(files), zarr_format=zarr_format, attributes=attributes
    )
    for name, content in files.items():
        with replace_whole(root / name) as part:
            part.write_bytes(content.to_bytes())


def has_layout(root: Path, layout: Layout) -> bool:
    """Tell whether a group has the arrays that `create_arrays` would make."""
    for number, axes in enumerate(layout.levels):
        try:
            array: Any = zarr.open_array(root / str(number), mode="r")
        except Exception:
            # whatever a store of somebody else lets zarr raise: it is not this one
            return False
        flat = (1,) * (len(axes.items) - 2)
        unit = (*flat, *layout.unit_of(axes))
        found = (array.shape, array.dtype, array.shards or array.chunks)
        chunks = (*flat, *layout.chunk_of(axes))
        if found != (axes.shape, layout.dtype, unit) or array.chunks != chunks:
            return False
        if array.metadata.zarr_format != layout.zarr_format:
            return False
    return True


def has_all_files(root: Path, layout: Layout) -> bool:
    """Tell whether every chunk of a group has its file; what is missing reads as zeros.

    The group must have that layout, see `has_layout`.
    """
    for number in range(len(layout.levels)):
        array: Any = zarr.open_array(root / str(number), mode="r")
        sizes = zip(array.shape, array.shards or array.chunks, strict=True)
        key = array.metadata.encode_chunk_key
        for place in np.ndindex(*(-(-size // part) for size, part in sizes)):
            if not (root / str(number) / key(place)).is_file():
                return False
    return True


def make_write_grid(axes: Axes, unit: tuple[int, int]) -> TileGrid:
    """Return the tiles that write an image of `axes` once, `unit` by `unit`."""
    loops = tuple(axis.size for axis in axes.loops)
    return TileGrid(loops, axes.plane, factor=1, unit=unit, halo=0)


class ChunkStore:
    """The open arrays of one result, in the folder of its group.

    Tiles that an earlier run has noted are looked at: what is damaged or gone is not
    in the journal any more.
    """

    def __init__(self, root: Path, layout: Layout) -> None:
        self.root = root
        self.layout = layout
        # zarr and we write a file beside its place and rename it: a kill leaves these
        for torn in [*root.rglob("*.partial"), *root.rglob(".*.part")]:
            remove(torn)
        with zarr.config.set({"array.write_empty_chunks": True}):
            self.arrays: list[Any] = [
                zarr.open_array(root / str(number), mode="r+")
                for number in range(len(layout.levels))
            ]
        self.journal = Journal(root)
        self._drop_damaged()

    def write(self, tile: Tile, pixels: Array) -> None:
        """Write one tile of the finest level; shape (samples, rows, columns)."""
        place = [slice(index, index + 1) for index in tile.plane]
        if len(place) + 2 < len(self.layout.axes.items):
            # colour samples lie along c, which no plane counts
            place.insert(self.layout.axes.names.index("c"), slice(0, len(pixels)))
        self._write_pixels(0, tile.index, (*place, *tile.write), pixels)

    def passes(self) -> Iterator[Sequence[Callable[[], None]]]:
        """Yield the work of each coarser level, then a look at all that was written."""
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
        self.journal.sync()
        yield [
            partial(self._check, (level, index))
            for level in range(len(self.arrays))
            for index in sorted(self.journal.finished(level))
        ]

    def check_there(self) -> None:
        """Raise SinkError if the folder is not there any more."""
        if not self.journal.is_there:
            raise SinkError(
                f"{self.root} has been deleted or moved while it was being written; "
                "start the same command again"
            )

    def check_files(self) -> None:
        """Raise SinkError if something that was written is gone, or cut short."""
        self.check_there()
        if key := self.journal.find_missing():
            raise SinkError(self._describe_damage(key[0]))

    def _drop_damaged(self) -> None:
        for level in range(len(self.arrays)):
            damaged = list(self.journal.check([level]))
            if damaged:
                # coarser levels were made from it, maybe since it was damaged
                coarser = range(level + 1, len(self.arrays))
                above = [
                    (number, index)
                    for number in coarser
                    for index in self.journal.finished(number)
                ]
                self.journal.drop([*damaged, *above])

    def _check(self, key: tuple[int, int]) -> None:
        if not self.journal.holds(key):
            self.check_there()
            raise SinkError(self._describe_damage(key[0]))

    def _describe_damage(self, level: int) -> str:
        return (
            f"a part of {self.root / str(level)} has been damaged or deleted since it "
            "was written; start the same command again, which computes it again"
        )

    def _coarsen(self, level: int, grid: TileGrid, tile: Tile) -> None:
        plane = [slice(index, index + 1) for index in tile.plane]
        size = (part.stop - part.start for part in (*plane, *tile.write))
        pixels = np.empty(tuple(size), self.layout.dtype)
        # chunk by chunk: of a whole shard four times the pixels would be in memory
        for part in grid.split(tile, self.layout.chunk):
            finer = [slice(2 * span.start, 2 * span.stop) for span in part.write]
            place = (..., *part.relative_to(tile).write)
            pixels[place] = halve(self.read(level - 1, (*plane, *finer)))
        self._write_pixels(level, tile.index, (*plane, *tile.write), pixels)

    def read(self, level: int, place: tuple[Any, ...]) -> Array:
        """Read back pixels of a level.

        Raises
        ------
        SinkError
            If they are damaged; what is missing reads as zeros.
        """
        try:
            return np.asarray(self.arrays[level][place])
        # of the codecs: a sum that differs, bytes that do not unpack
        except (ValueError, RuntimeError) as error:
            raise SinkError(self._describe_damage(level)) from error

    def _write_pixels(
        self, level: int, index: int, place: tuple[slice, ...], pixels: Array
    ) -> None:
        array = self.arrays[level]
        # zarr makes folders that are missing, and would leave a part of a result
        self.check_there()
        array[place] = pixels.reshape([part.stop - part.start for part in place])
        spans = (
            range(part.start // size, -(-part.stop // size))
            for part, size in zip(place, array.shards or array.chunks, strict=True)
        )
        key = array.metadata.encode_chunk_key
        names = [key(position) for position in itertools.product(*spans)]
        try:
            self.check_there()
            self.journal.add(level, index, names)
        except (SinkError, FileNotFoundError):
            # what was deleted while this was written does not come back in parts
            self._remove(self.root / str(level) / name for name in names)
            self.check_there()
            raise

    def _remove(self, files: Iterator[Path]) -> None:
        for file in files:
            if self.journal.is_there:
                return
            with suppress(OSError):
                file.unlink(missing_ok=True)
                for folder in file.parents:
                    # as far as the root, and no folder that holds anything
                    folder.rmdir()
                    if folder == self.root:
                        break
