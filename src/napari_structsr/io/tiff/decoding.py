"""Strips and tiles of a compressed TIFF: checked before they are unpacked, once each.

tifffile hands them to codecs written in C. Those trust what they are given, so damage
that would end the program, or take all memory, is found here first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from napari_structsr.core.types import Array
from napari_structsr.io.limits import CACHE_BYTES, find_excess
from napari_structsr.io.tiff.codec_trial import CodecTrial
from napari_structsr.io.tiff.image_sizes import find_image_pixels
from napari_structsr.io.tiff.lzw import find_lzw_fault

_LZW = 5
# JPEG XR ended the program, or never came to an end, for 6 of 9700 damaged tiles
_UNTRUSTED = {22610: "jpegxr_decode", 34934: "jpegxr_decode"}


def open_compressed(
    series: tifffile.TiffPageSeries, keyframes: set[tifffile.TiffPage]
) -> tuple[zarr.Array[Any], Callable[[], None]]:
    """Return the pixels of a series as an array that is decoded as it is read.

    Parameters
    ----------
    series
        One level of an image.
    keyframes
        Those of all its pages.

    Returns
    -------
    Array
        What to read from; readable from several threads.
    callable
        Call it when reading is over.
    """
    trial = CodecTrial()
    for keyframe in keyframes:
        _check_before_decoding(keyframe, trial)
    store = _KeepingStore(series.aszarr(multiscales=False))

    def close() -> None:
        store.close()
        trial.close()

    return zarr.open_array(store, mode="r"), close


def read_whole(path: Path) -> Array:
    """Return all pixels of the first image of a TIFF, as tifffile gives them.

    Raises
    ------
    ValueError
        If a strip or tile is damaged, and whatever else tifffile raises.
    """
    trial = CodecTrial()
    with closing(trial), tifffile.TiffFile(path) as file:
        series = file.series[0]
        for page in series.pages:
            if page is not None and page.keyframe is not None:
                _check_before_decoding(page.keyframe, trial)
        return np.asarray(series.asarray())


class _KeepingStore(WrapperStore[Any]):
    """Keeps what was unpacked last: neighbouring tiles read the same strips."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._bytes = 0
        # in order of their last use; a piece is there from when it is asked for, so
        # that no two readers unpack it
        self._pieces: dict[str, asyncio.Future[Buffer | None]] = {}

    async def get(
        self,
        key: str,
        prototype: BufferPrototype,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        if byte_range is not None or key.rpartition("/")[2].startswith((".", "zarr")):
            plain: Buffer | None = await self._store.get(key, prototype, byte_range)
            return plain
        # all calls come in one thread, that of zarr's event loop
        piece = self._pieces.pop(key, None)
        if piece is not None:
            self._pieces[key] = piece
            return await asyncio.shield(piece)
        piece = asyncio.ensure_future(self._store.get(key, prototype))
        self._pieces[key] = piece
        try:
            found: Buffer | None = await asyncio.shield(piece)
        except BaseException:
            self._pieces.pop(key, None)
            raise
        if key in self._pieces:
            self._bytes += _count_bytes(piece)
        # the last one stays, however large: the next tile needs it
        while self._bytes > CACHE_BYTES and len(self._pieces) > 1:
            oldest = next(iter(self._pieces))
            self._bytes -= _count_bytes(self._pieces.pop(oldest))
        return found


def _count_bytes(piece: asyncio.Future[Buffer | None]) -> int:
    """Return the bytes of a piece; none before it is unpacked."""
    if not piece.done() or piece.cancelled() or piece.exception():
        return 0
    found = piece.result()
    return 0 if found is None else len(found)


def _check_before_decoding(keyframe: tifffile.TiffPage, trial: CodecTrial) -> None:
    """Let a page look at each strip or tile before it is decoded."""
    decode = keyframe.decode
    if getattr(decode, "checks", False):
        return
    dtype = keyframe.dtype
    if dtype is None:
        return
    pixels = int(np.prod(keyframe.chunks, dtype=object))
    unpacked = pixels * dtype.itemsize
    compression, is_reversed = int(keyframe.compression), keyframe.fillorder == 2

    def decode_checked(data: bytes | None, index: int, /, **options: Any) -> Any:
        if data is not None and (
            fault := find_piece_fault(
                data,
                compression,
                pixels=pixels,
                unpacked=unpacked,
                trial=trial,
                is_reversed=is_reversed,
            )
        ):
            raise ValueError(f"strip or tile {index} cannot be unpacked: {fault}")
        return decode(data, index, **options)

    decode_checked.checks = True  # type: ignore[attr-defined]
    # pages that are read from the file again find it there
    keyframe.parent.root._decoders[keyframe.hash] = decode_checked
    keyframe.decode = decode_checked


def find_piece_fault(
    data: bytes,
    compression: int,
    *,
    pixels: int,
    unpacked: int,
    trial: CodecTrial,
    is_reversed: bool = False,
) -> str | None:
    """Say why a piece of an image must not be given to its decoder; None if it may be.

    Parameters
    ----------
    data
        The strip, tile or block.
    compression
        As TIFF numbers them.
    pixels, unpacked
        Pixels that it is to hold, and their bytes.
    trial
        Of the file.
    is_reversed
        Whether the bits of its bytes are in reverse order.
    """
    return (
        find_excess(len(data), unpacked)
        or _find_large_image(compression, data, pixels)
        or _find_fault(data, compression, is_reversed, trial)
    )


def _find_large_image(compression: int, data: bytes, pixels: int) -> str | None:
    found = find_image_pixels(compression, data)
    # tiles are padded at most to whole blocks of a codec
    if found is None or found <= 2 * pixels + 4096:
        return None
    return f"an image of {found} pixels lies in the place of {pixels}"


def _find_fault(
    data: bytes, compression: int, is_reversed: bool, trial: CodecTrial
) -> str | None:
    if compression == _LZW:
        if is_reversed:
            import imagecodecs

            data = bytes(imagecodecs.bitorder_decode(data))
        return find_lzw_fault(data)
    codec = _UNTRUSTED.get(compression)
    return trial.find_fault(codec, data) if codec else None
