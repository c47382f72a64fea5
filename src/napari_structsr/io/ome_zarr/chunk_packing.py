"""Packing and unpacking single chunks as zarr does, without its event loop.

zarr hands every chunk through a loop and several threads, which costs more than a
chunk of a small plane itself. The bytes are the same: the codecs are those that zarr
calls. Codecs that no result of ours has, and all that is missing or damaged are left to
zarr.
"""

from __future__ import annotations

import itertools
import math
import os
import struct
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import Blosc
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec

from napari_structsr.core.types import Array
from napari_structsr.io.limits import find_excess

_SUM_BYTES = 4  # of a CRC-32C
_HEADER = 16  # bytes of a chunk of Blosc that say what it holds

# where a chunk of a shard is not there, as zarr writes it
_NOWHERE = 2**64 - 1

Place = tuple[slice, ...]


@dataclass(frozen=True)
class ChunkPacker:
    """Cuts pixels into the chunks of an array, and packs each.

    Parameters
    ----------
    array
        Of zarr.
    compressor
        Packs the bytes of a chunk.
    summed
        Whether their CRC-32C follows.
    """

    array: Any
    compressor: Blosc
    summed: bool

    @classmethod
    def of(cls, array: Any) -> ChunkPacker | None:
        """Return what packs the chunks of an array; None where zarr must do it."""
        metadata = array.metadata
        # results are written in the order of this machine, and read on all
        if sys.byteorder != "little" or array.dtype.byteorder == ">":
            return None
        if metadata.zarr_format == 2:
            compressor = metadata.compressor
            plain = not metadata.filters and metadata.order == "C"
            if plain and isinstance(compressor, Blosc):
                return cls(array, compressor, summed=False)
            return None
        codecs = metadata.codecs
        match codecs:
            case (ShardingCodec(index_codecs=(BytesCodec(), Crc32cCodec())) as shard,):
                where = shard.index_location
                if getattr(where, "value", where) != "end":
                    return None
                codecs = shard.codecs
        match codecs:
            case (BytesCodec(), BloscCodec() as codec, *rest):
                pass
            case _:
                return None
        summed = len(rest) == 1 and isinstance(rest[0], Crc32cCodec)
        # the size of a number is told to the compressor by what it is given
        if (rest and not summed) or codec.typesize != array.dtype.itemsize:
            return None
        shuffles = {
            "noshuffle": Blosc.NOSHUFFLE,
            "shuffle": Blosc.SHUFFLE,
            "bitshuffle": Blosc.BITSHUFFLE,
        }
        # in older zarr these were members of enumerations
        cname, shuffle = (
            getattr(name, "value", name) for name in (codec.cname, codec.shuffle)
        )
        if shuffle not in shuffles:
            return None
        compressor = Blosc(
            cname=cname,
            clevel=codec.clevel,
            shuffle=shuffles[shuffle],
            blocksize=codec.blocksize,
        )
        return cls(array, compressor, summed)

    def fits(self, place: Place) -> bool:
        """Tell whether a place holds whole files alone."""
        return all(
            part.start % size == 0 and (part.stop % size == 0 or part.stop == whole)
            for part, size, whole in zip(
                place,
                self.array.shards or self.array.chunks,
                self.array.shape,
                strict=True,
            )
        )

    def pack(self, place: Place, pixels: Array) -> Iterator[bytes]:
        """Yield the files of a place, in the order of `list_chunks`."""
        shards = self.array.shards
        sizes = shards or self.array.chunks
        starts = (
            range(part.start, part.stop, size)
            for part, size in zip(place, sizes, strict=True)
        )
        for corner in itertools.product(*starts):
            inside = tuple(
                slice(start - part.start, min(start + size, part.stop) - part.start)
                for start, size, part in zip(corner, sizes, place, strict=True)
            )
            pack = self._pack_shard if shards else self._pack_chunk
            yield pack(pixels[inside])

    def _pack_shard(self, pixels: Array) -> bytes:
        """Return chunks, and behind them where each lies; at a border some are not."""
        sizes, grid = self.array.chunks, self._count_in_shard()
        places = np.full((*grid, 2), _NOWHERE, "<u8")
        chunks: list[bytes] = []
        end = 0
        for number in np.ndindex(*grid):
            part = pixels[
                tuple(
                    slice(n * size, (n + 1) * size)
                    for n, size in zip(number, sizes, strict=True)
                )
            ]
            if part.size:  # not beyond the image
                chunks.append(self._pack_chunk(part))
                places[number] = end, len(chunks[-1])
                end += len(chunks[-1])
        table = places.tobytes()
        return b"".join([*chunks, table, _sum(table)])

    def _pack_chunk(self, pixels: Array) -> bytes:
        if pixels.shape != self.array.chunks:
            # the last chunk of an axis is whole, too
            whole = np.full(self.array.chunks, self.array.fill_value, self.array.dtype)
            whole[tuple(map(slice, pixels.shape))] = pixels
            pixels = whole
        pixels = np.ascontiguousarray(pixels, self.array.dtype)
        packed: bytes = self.compressor.encode(pixels)
        return packed + _sum(packed) if self.summed else packed

    def _count_in_shard(self) -> list[int]:
        """Return the chunks of a shard along each dimension."""
        array = self.array
        return [n // size for n, size in zip(array.shards, array.chunks, strict=True)]

    def unpack(self, folder: Path, place: Sequence[int]) -> Array | None:
        """Return the pixels of a chunk; None where zarr must say what is wrong.

        Parameters
        ----------
        folder
            Of the array.
        place
            Number of the chunk along each dimension.
        """
        encode = self.array.metadata.encode_chunk_key
        data: bytes | None
        try:
            if self.array.shards is None:
                data = (folder / encode(tuple(place))).read_bytes()
            else:
                grid = self._count_in_shard()
                shard, inside = zip(*map(divmod, place, grid), strict=True)
                data = _read_part(folder / encode(shard), grid, inside)
        except OSError:
            return None
        if self.summed and data is not None:
            data = _drop_sum(data)
        if data is None:
            return None
        shape, dtype = self.array.chunks, self.array.dtype
        wanted = math.prod(shape) * dtype.itemsize
        # a few bytes may ask for all memory
        if len(data) < _HEADER or struct.unpack_from("<I", data, 4)[0] != wanted:
            return None
        # even where that is what such a chunk has
        if find_excess(len(data), wanted):
            return None
        try:
            pixels = np.frombuffer(self.compressor.decode(data), dtype)
        except (RuntimeError, ValueError):
            return None
        return pixels.reshape(shape) if pixels.nbytes == wanted else None


def _sum(data: bytes) -> bytes:
    total: int = google_crc32c.value(data)
    return total.to_bytes(_SUM_BYTES, "little")


def _drop_sum(data: bytes) -> bytes | None:
    """Return what a sum follows; None where it is not that of the bytes."""
    body = data[:-_SUM_BYTES]
    return body if data[-_SUM_BYTES:] == _sum(body) else None


def _read_part(file: Path, grid: Sequence[int], place: Sequence[int]) -> bytes | None:
    """Read one chunk of a shard; None where it has none, or is damaged."""
    size = 16 * math.prod(grid) + _SUM_BYTES
    with file.open("rb") as opened:
        opened.seek(-size, os.SEEK_END)
        table = _drop_sum(opened.read(size))
        if table is None:
            return None
        places = np.frombuffer(table, "<u8").reshape(*grid, 2)
        start, count = map(int, places[tuple(place)])
        # a few bytes may ask for all memory
        if start + count > opened.tell() - size:
            return None
        opened.seek(start)
        return opened.read(count)


def list_chunks(array: Any, place: Place) -> list[str]:
    """Return the names of the files of an array that a place lies in."""
    key = array.metadata.encode_chunk_key
    return [key(n) for n in number_chunks(place, array.shards or array.chunks)]


def number_chunks(
    place: Sequence[slice], sizes: Sequence[int]
) -> Iterator[tuple[int, ...]]:
    """Yield the numbers of the chunks of some size that a place lies in, in order."""
    spans = (
        range(part.start // size, -(-part.stop // size))
        for part, size in zip(place, sizes, strict=True)
    )
    return itertools.product(*spans)


def put_file(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there, with the folders around it."""
    # the name that zarr gives to what it is writing: a resumed run removes both
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        try:
            part.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
