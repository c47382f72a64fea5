"""Opening a TIFF: a local file, or one at an address of which parts are asked for."""

from __future__ import annotations

import io
import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_structsr.core.types import Array
from napari_structsr.io.fingerprint import WatchedFiles
from napari_structsr.io.remote.place import RemotePlace
from napari_structsr.io.remote.watch import WatchedObject

# bytes that are asked for where less is wanted: directories lie beside each other
_BLOCK = 1 << 16
_KEPT = 256  # blocks


def open_tiff(path: Path | RemotePlace) -> tifffile.TiffFile:
    """Open a TIFF; it is a context manager."""
    if isinstance(path, Path):
        return tifffile.TiffFile(path)
    file: Any = RemoteFile(path)
    return tifffile.TiffFile(file, name=path.name)


def watch_tiff(path: Path | RemotePlace) -> WatchedFiles | WatchedObject:
    """Return what notices that a TIFF changes from now on."""
    return WatchedFiles([path]) if isinstance(path, Path) else WatchedObject(path)


class RemoteFile(io.RawIOBase):
    """A file at an address, read by parts: small ones by blocks that are kept.

    Parameters
    ----------
    place
        Where it is.
    """

    def __init__(self, place: RemotePlace) -> None:
        super().__init__()
        self._place = place
        self._size = place.read_state()[0]
        self._where = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def seekable(self) -> bool:
        """Return True; see `io.IOBase`."""
        return True

    def readable(self) -> bool:
        """Return True; see `io.IOBase`."""
        return True

    def tell(self) -> int:
        """Return the place in the file."""
        return self._where

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the file; see `io.IOBase`."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._where, io.SEEK_END: self._size}
        self._where = max(start[whence] + offset, 0)
        return self._where

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from here on, as far as the file goes."""
        view = memoryview(buffer).cast("B")
        stop = min(self._where + len(view), self._size)
        data = self._fetch(self._where, stop) if stop > self._where else b""
        view[: len(data)] = data
        self._where += len(data)
        return len(data)

    def _fetch(self, start: int, stop: int) -> bytes:
        if stop - start >= _BLOCK:
            return self._place.read_range(start, stop)
        first, last = start // _BLOCK, (stop - 1) // _BLOCK
        joined = b"".join(self._find_block(n) for n in range(first, last + 1))
        return joined[start - first * _BLOCK : stop - first * _BLOCK]

    def _find_block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * _BLOCK
            stop = min(start + _BLOCK, self._size)
            self._blocks[number] = self._place.read_range(start, stop)
            if len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]


class RangedArray:
    """An array that lies uncompressed in a file at an address, read by its parts."""

    def __init__(
        self, series: tifffile.TiffPageSeries, offset: int, place: RemotePlace
    ) -> None:
        self.shape = series.shape
        self.dtype = series.dtype.newbyteorder(series.keyframe.parent.byteorder)
        self._offset = offset
        self._place = place

    def __getitem__(self, index: tuple[int | slice, ...]) -> Array:
        # as a rule planes are numbers; what is whole behind a slice lies in one piece
        spans: list[Any] = [
            range(size)[part] for size, part in zip(self.shape, index, strict=True)
        ]
        cut = next((n for n, one in enumerate(index) if isinstance(one, slice)), None)
        if cut is None:
            spans, cut = [*spans, range(1)], len(spans)
        inner = self.shape[cut + 1 :]
        start = 0
        for size, place in zip(self.shape, spans[:cut], strict=False):
            start = start * size + place
        start = start * (*self.shape, 1)[cut] + spans[cut].start
        width = math.prod(inner) * self.dtype.itemsize
        first, count = self._offset + start * width, len(spans[cut]) * width
        data = self._place.read_range(first, first + count)
        if len(data) != count:
            raise OSError(f"{len(data)} bytes came where {count} were asked for")
        found = np.frombuffer(data, self.dtype).reshape(len(spans[cut]), *inner)
        return np.array(found[(slice(None), *index[cut + 1 :])])
