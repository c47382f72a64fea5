"""How an image lies on disk: chunks, shards, and levels that halve y and x.

What a group says about itself as an image is written by `writer`, its pixels by
`chunk_store`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from napari_structsr.core.axes import Axes
from napari_structsr.core.grid import TileGrid
from napari_structsr.io.atomic import replace_whole

# chunks from which shards are worth while
_MANY = 256
# along y and along x
_CHUNKS_PER_SHARD = 4
# of compression: on shuffled bits it takes two fifths of the time that level 3 takes on
# shuffled bytes, images are 5% larger, and maps as small
_LEVEL = 1
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
                BloscCodec(cname="zstd", clevel=_LEVEL, shuffle="bitshuffle"),
                Crc32cCodec(),
            ],
            "dimension_names": list(axes.names),
            "shards": (*flat, *unit) if unit != chunk else None,
        }
        if layout.zarr_format == 2:
            # zarr 2 has codecs of its own, and OME-Zarr 0.4 wants nested folders
            from numcodecs import Blosc

            options = {
                "compressors": Blosc(
                    cname="zstd", clevel=_LEVEL, shuffle=Blosc.BITSHUFFLE
                ),
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
    for name, content in encode_attributes(zarr_format, attributes).items():
        with replace_whole(root / name) as part:
            part.write_bytes(content)


def encode_attributes(
    zarr_format: Literal[2, 3], attributes: dict[str, Any]
) -> dict[str, bytes]:
    """Return the files of a group with these attributes; the last one holds them."""
    files: dict[str, Any] = {}
    zarr.create_group(
        MemoryStore(files), zarr_format=zarr_format, attributes=attributes
    )
    return {name: files[name].to_bytes() for name in sorted(files, reverse=True)}


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
