"""Codecs of zarr that unpack no more than a chunk holds.

zarr lets its codecs unpack whatever a chunk says it holds, and looks at the size after
that: a few kilobytes can ask for all memory. Here the size is known before.
"""

from __future__ import annotations

import asyncio
import bz2
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import ShardingCodec
from zarr.codecs._v2 import V2Codec
from zarr.core.codec_pipeline import BatchedCodecPipeline

from napari_structsr.io.limits import FREE_PIECE_BYTES, find_excess

_SLACK = 1 << 20  # bytes beyond those of the pixels: checksums, wider numbers
_BLOCK = 1 << 17  # most bytes of a block of zstd
_INDEX = 16  # bytes of a chunk in the index of a shard
# of each kind of stream: what unpacks it up to a number of bytes
_STREAMS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(31),
    "zlib": zlib.decompressobj,
    "bz2": bz2.BZ2Decompressor,
    "lzma": lzma.LZMADecompressor,
}


def bound_codecs(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return an array for reading that refuses chunks of more than their pixels.

    Raises
    ------
    ValueError
        If its shards are divided into more chunks than memory could list.
    """
    given = array.async_array
    if not isinstance(given.codec_pipeline, BatchedCodecPipeline):
        # one that does not call the codecs of Python
        return array
    metadata: Any = array.metadata
    if metadata.zarr_format == 2:
        pixels = _count_bytes(metadata.chunks, array.dtype)
        compressor: Any = metadata.compressor
        if compressor is not None:
            compressor = _BoundedCodec(compressor, pixels)
        # a filter may be a compressor, too
        filters: Any = [_BoundedCodec(one, pixels) for one in metadata.filters or ()]
        codecs: list[Any] = [V2Codec(filters=tuple(filters), compressor=compressor)]
    else:
        codecs = _bound_all(
            metadata.codecs, metadata.chunk_grid.chunk_shape, array.dtype
        )
    # another one: whoever gave the array may write to it
    bounded = zarr.AsyncArray(metadata, given.store_path, given.config)
    pipeline = type(given.codec_pipeline).from_codecs(codecs)
    # it is frozen, and no option of zarr chooses the codecs of one array alone
    object.__setattr__(bounded, "codec_pipeline", pipeline)
    return zarr.Array(bounded)


def _bound_all(codecs: Sequence[Any], shape: Sequence[int], dtype: Any) -> list[Any]:
    found: list[Any] = []
    for codec in codecs:
        if isinstance(codec, ShardingCodec):
            parts = zip(shape, codec.chunk_shape, strict=True)
            count = math.prod(-(-whole // part) for whole, part in parts)
            if count * _INDEX > FREE_PIECE_BYTES:
                raise ValueError(f"its shards are divided into {count} chunks")
            inside = _bound_all(codec.codecs, codec.chunk_shape, dtype)
            found.append(
                ShardingCodec(
                    chunk_shape=codec.chunk_shape,
                    codecs=inside,
                    index_codecs=codec.index_codecs,
                    index_location=codec.index_location,
                )
            )
        elif isinstance(codec, BytesBytesCodec):
            found.append(_BoundedBytesCodec(codec, _count_bytes(shape, dtype)))
        else:
            found.append(codec)
    return found


def _count_bytes(shape: Sequence[int], dtype: Any) -> int:
    return math.prod(shape) * int(dtype.itemsize)


class _BoundedCodec:
    """A codec of zarr 2, which is one of numcodecs."""

    def __init__(self, codec: Any, pixels: int) -> None:
        self._codec, self._pixels = codec, pixels

    def decode(self, data: Any, out: Any = None) -> Any:
        kind = str(self._codec.codec_id)
        found = unpack_bounded(kind, memoryview(data).cast("B"), self._pixels)
        return self._codec.decode(data, out) if found is None else found


@dataclass(frozen=True)
class _BoundedBytesCodec(BytesBytesCodec):
    """A codec of zarr 3."""

    codec: BytesBytesCodec
    pixels: int

    @property
    def is_fixed_size(self) -> bool:  # type: ignore[override]
        return self.codec.is_fixed_size

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        return self.codec.compute_encoded_size(input_byte_length, chunk_spec)

    async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        # gzip, or numcodecs.gzip where zarr takes it from there
        kind = str(self.codec.to_dict()["name"]).rpartition(".")[2]
        data = memoryview(chunk_data.as_numpy_array()).cast("B")
        # in a thread, as zarr does: others are read meanwhile
        found = await asyncio.to_thread(unpack_bounded, kind, data, self.pixels)
        if found is None:
            return await self.codec._decode_single(chunk_data, chunk_spec)
        return chunk_spec.prototype.buffer.from_bytes(found)


def unpack_bounded(kind: str, data: memoryview, pixels: int) -> bytes | None:
    """Unpack a chunk, or return None where its own codec can be trusted to.

    Parameters
    ----------
    kind
        Name of the codec.
    data
        What it is given.
    pixels
        Bytes of the pixels of the chunk.

    Raises
    ------
    ValueError
        If it is damaged, or unpacks to more.
    """
    limit = 2 * pixels + _SLACK
    if kind in _STREAMS:
        _check(len(data), pixels)
        return _unpack_stream(_STREAMS[kind], data, limit)
    size = _find_size(kind, data)
    if size is not None:
        _check(len(data), pixels)
        if size > limit:
            raise ValueError(f"a chunk of {pixels} bytes would unpack to {size}")
    return None


def _check(packed: int, pixels: int) -> None:
    if excess := find_excess(packed, pixels):
        raise ValueError(f"a chunk cannot be unpacked: {excess}")


def _unpack_stream(start: Callable[[], Any], data: memoryview, limit: int) -> bytes:
    """Unpack one stream after another, up to a number of bytes."""
    found, left = bytearray(), bytes(data)
    while left:
        stream = start()
        try:
            found += stream.decompress(left, limit + 1 - len(found))
        except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
            raise ValueError(f"a chunk is damaged: {error}") from error
        if len(found) > limit:
            raise ValueError(f"a chunk would unpack to more than {limit} bytes")
        if not stream.eof:
            raise ValueError("a chunk is damaged: it ends early")
        left = stream.unused_data
    return bytes(found)


def _find_size(kind: str, data: memoryview) -> int | None:
    """Return the bytes that a chunk says it holds; None of other codecs."""
    try:
        match kind:
            case "blosc":
                return int(struct.unpack_from("<I", data, 4)[0])
            case "lz4":
                return int(struct.unpack_from("<I", data)[0])
            case "zstd":
                return sum(_walk_zstd(data))
    except struct.error as error:
        raise ValueError("a chunk is damaged: it ends early") from error
    return None


def _walk_zstd(data: memoryview) -> Iterator[int]:
    """Yield how much each frame of zstd, or each of its blocks, unpacks to at most."""
    place = 0
    while place < len(data):
        (magic,) = struct.unpack_from("<I", data, place)
        if magic != 0xFD2FB528 and not 0x184D2A50 <= magic <= 0x184D2A5F:
            # the codec says what is wrong
            return
        if 0x184D2A50 <= magic <= 0x184D2A5F:
            # a frame to be skipped
            place += 8 + struct.unpack_from("<I", data, place + 4)[0]
            continue
        (flags,) = struct.unpack_from("<B", data, place + 4)
        single = flags >> 5 & 1
        place += 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
        width = (single, 2, 4, 8)[flags >> 6]
        if width:
            size = int.from_bytes(data[place : place + width], "little")
            # numcodecs takes as much memory as the first frame says, and no more
            yield size + (256 if width == 2 else 0)
            return
        place += width
        last = False
        while not last:
            head = int.from_bytes(data[place : place + 3], "little")
            if place + 3 > len(data):
                raise struct.error
            last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
            # one byte that is repeated, or bytes as they are, or packed
            place += 3 + (1 if kind == 1 else size)
            yield size if kind < 2 else _BLOCK
        place += 4 if flags & 4 else 0
