"""Arrays whose frames or blocks are read when they are asked for.

Libraries for files of instruments return a frame, a plane of one or all channels, or a
block of a mosaic. Here that becomes an array that can be sliced, as `ArraySource`
wants it, and which keeps a few of them.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from napari_structsr.core.types import Array
from napari_structsr.errors import MemoryShortageError, SourceError
from napari_structsr.io.limits import CACHE_BYTES, PIECE_BYTES

Index = tuple[int | slice, ...]


class PieceCache:
    """Frames or blocks that were read last, up to `CACHE_BYTES` of them.

    One thread reads at a time, since few libraries promise more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: OrderedDict[Hashable, Array] = OrderedDict()
        self._nbytes = 0

    def get(self, key: Hashable, read: Callable[[], Array]) -> Array:
        """Return a piece, which is read if it is not kept."""
        with self._lock:
            if key in self._pieces:
                self._pieces.move_to_end(key)
                return self._pieces[key]
            try:
                piece = read()
            except MemoryError as error:
                # smaller tiles would not help: it is read whole
                raise MemoryShortageError(
                    "it asks for more memory than there is; close other programs"
                ) from error
            self._pieces[key] = piece
            self._nbytes += piece.nbytes
            # the piece that was just read is kept, whatever its size
            while self._nbytes > CACHE_BYTES and len(self._pieces) > 1:
                self._nbytes -= self._pieces.popitem(last=False)[1].nbytes
            return piece


class FrameArray:
    """An array that is read frame by frame.

    Parameters
    ----------
    loops, frame
        Sizes of the dimensions that count frames, and of those in a frame.
    dtype
        Type of the pixels.
    read_frame
        Returns the frame at an index along `loops`, in the shape of `frame`.
    origin
        The file, for messages.

    Raises
    ------
    SourceError
        If a frame is larger than any that is read.
    """

    def __init__(
        self,
        loops: Sequence[int],
        frame: Sequence[int],
        dtype: Any,
        read_frame: Callable[[tuple[int, ...]], Array],
        *,
        origin: str,
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = (*loops, *frame)
        self._loops = len(loops)
        self._frame = tuple(frame)
        self._read = read_frame
        self._cache = PieceCache()
        check_piece(frame, self.dtype, origin=origin)

    def __getitem__(self, index: Index) -> Array:
        outer, inner = index[: self._loops], index[self._loops :]
        counts = [
            range(size)[part] if isinstance(part, slice) else [part]
            for part, size in zip(outer, self.shape, strict=False)
        ]
        found = [self._get_frame(place)[inner] for place in itertools.product(*counts)]
        kept = [
            len(count)
            for part, count in zip(outer, counts, strict=True)
            if isinstance(part, slice)
        ]
        return np.stack(found).reshape(*kept, *found[0].shape)

    def _get_frame(self, place: tuple[int, ...]) -> Array:
        def read() -> Array:
            frame = np.asarray(self._read(place))
            if frame.shape != self._frame:
                raise ValueError(
                    f"a frame has the shape {frame.shape} instead of {self._frame}"
                )
            return frame

        return self._cache.get(place, read)


def check_piece(shape: Sequence[int], dtype: np.dtype, *, origin: str) -> None:
    """Refuse a frame or block that takes more memory than any that is read.

    Raises
    ------
    SourceError
        If it does.
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes > PIECE_BYTES:
        raise SourceError(
            f"{origin} has frames of {nbytes} bytes, and up to {PIECE_BYTES} are read; "
            "write the image as OME-Zarr or tiled OME-TIFF in the program of the "
            "microscope"
        )
