"""Planes that are read on demand, behind the indexing of an array.

What is shown or scripted wants an array; a source gives rectangles of planes. Only what
an index asks for is read.
"""

from __future__ import annotations

import math
import operator
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from napari_structsr.core.axes import Axes
from napari_structsr.core.types import Array
from napari_structsr.io.source import Source

_SIDE = 512  # pixels of a tile where nothing else is said
_WHOLE = 2048 * 2048  # pixels of a plane that is one chunk of dask
_CHUNK = 1024  # pixels of a chunk along y and x of a larger one, about


class PlaneArray(ABC):
    """An array of planes, axes in the order t, c, z, y, x, s as far as present.

    Indices are numbers, slices and ``...``, as of a numpy array.

    Parameters
    ----------
    axes
        In this order.
    dtype
        Type of the pixels.
    """

    def __init__(self, axes: Axes, dtype: np.dtype) -> None:
        self.axes = axes
        self.dtype = dtype

    @abstractmethod
    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Return a rectangle of a plane, shape (samples, rows, columns)."""

    def peek(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array | None:
        """Return a rectangle that is at hand already, None otherwise; does not wait."""
        return None

    def to_dask(self) -> Any:
        """Return a dask array that reads a chunk at a time, for viewers and scripts."""
        import dask.array as da

        side = dict(zip("yx", self.tile_sides, strict=True))
        chunks = tuple(
            side.get(axis.name, axis.size if axis.name == "s" else 1)
            for axis in self.axes.items
        )
        return da.from_array(self, chunks=chunks, asarray=False, name=False)  # type: ignore[no-untyped-call]

    @property
    def tile_sides(self) -> tuple[int, int]:
        """Rows and columns that are best read together."""
        return _SIDE, _SIDE

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along every axis."""
        return self.axes.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels, were they in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("the pixels are computed for each call; allow a copy")
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        whole = [range(size) for size in self.shape]
        return self.collect(*select_spans(whole, key))

    def collect(self, spans: Sequence[range], dropped: Sequence[bool]) -> Array:
        """Return the pixels of `select_spans`; axes that are dropped have one each."""
        count = len(self.axes.loops)
        rows, columns = spans[count : count + 2]
        parts = [
            self._read_sides(plane, rows, columns) for plane in product(*spans[:count])
        ]
        sides = (
            parts[0].shape if parts else (self.axes.samples, len(rows), len(columns))
        )
        found = np.array(parts, self.dtype).reshape(*map(len, spans[:count]), *sides)
        if "s" in self.axes:
            found = np.moveaxis(found, -3, -1)[..., list(spans[-1])]
        else:
            found = found[..., 0, :, :]
        return found[tuple(0 if gone else slice(None) for gone in dropped)]

    def _read_sides(self, plane: tuple[int, ...], rows: range, columns: range) -> Array:
        if not rows or not columns:
            return np.empty((self.axes.samples, len(rows), len(columns)), self.dtype)
        first = [min(side[0], side[-1]) for side in (rows, columns)]
        last = [max(side[0], side[-1]) for side in (rows, columns)]
        read = self.read(
            plane, slice(first[0], last[0] + 1), slice(first[1], last[1] + 1)
        )
        if rows.step == columns.step == 1:
            return read
        down, right = (
            np.array(side) - start
            for side, start in zip((rows, columns), first, strict=True)
        )
        return read[:, down][:, :, right]


class SourceArray(PlaneArray):
    """A source as an array, each pixel the mean of `binning` times as many.

    Parameters
    ----------
    source
        Image to show.
    dtype
        Type of the pixels.
    binning
        Pixels of the source along y and along x; 1 leaves them as they are.
    """

    def __init__(self, source: Source, dtype: np.dtype, *, binning: int = 1) -> None:
        axes = source.spec.axes.canonical()
        super().__init__(axes.downscale(binning) if binning > 1 else axes, dtype)
        self._source, self._binning = source, binning

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Return a rectangle of a plane, shape (samples, rows, columns)."""
        step = self._binning
        fine = self._source.read(
            plane,
            slice(rows.start * step, rows.stop * step),
            slice(columns.start * step, columns.stop * step),
        )
        if step > 1:
            samples, height, width = fine.shape
            parts = fine.reshape(samples, height // step, step, width // step, step)
            fine = parts.mean(axis=(2, 4), dtype=np.float64)
            if self.dtype.kind in "ui":
                fine = fine.round()
        return fine.astype(self.dtype, copy=False)


def make_dask_array(source: Source) -> Any:
    """Return the pixels of a source as a dask array, axes in the source's order.

    Chunks are a plane, or of a large plane about a thousand pixels along either side,
    in whole chunks of what is stored: neither a strip nor a tile is decoded twice for
    one look, and there are no more chunks than dask can look through while a slider
    moves. Two arrays of one source have different names: a name stands for one opening.
    """
    import dask.array as da

    pixels = SourceArray(source, source.spec.dtype)
    order, axes = pixels.axes.names, source.spec.axes
    # colours are read whole
    chunks = {axis.name: 1 for axis in axes.loops} | {"s": -1}
    for name, side in zip("yx", source.chunks, strict=True):
        wide = side * math.ceil(_CHUNK / side)
        chunks[name] = -1 if math.prod(axes.plane) <= _WHOLE else wide
    lazy: Any = da.from_array(  # type: ignore[no-untyped-call]
        pixels,
        chunks=tuple(chunks[name] for name in order),
        # hashing would read the pixels; the file may change and keep its name
        name=f"structsr-{uuid.uuid4().hex}",
        # readers are safe in several threads without one
        lock=False,
    )
    return lazy.transpose([order.index(name) for name in axes.names])


def select_spans(spans: Sequence[range], key: Any) -> tuple[list[range], list[bool]]:
    """Return which indices of each axis a key selects, and which axes it drops.

    Parameters
    ----------
    spans
        What there is to select from, for each axis.
    key
        Numbers, slices and ``...``, as between the brackets of an array.

    Raises
    ------
    IndexError
        If there are too many, or a number lies outside.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    given = [one for one in keys if one is not Ellipsis]
    if len(given) > len(spans) or len(keys) - len(given) > 1:
        raise IndexError(f"{key!r} has too many indices for {len(spans)} axes")
    place = next((n for n, one in enumerate(keys) if one is Ellipsis), len(keys))
    keys[place : place + 1] = [slice(None)] * (len(spans) - len(given))
    selected, dropped = [], []
    for one, span in zip(keys, spans, strict=True):
        if isinstance(one, slice):
            selected.append(span[one])
        else:
            # as a list does: negative ones count from the end, others are refused
            number = span[operator.index(one)]
            selected.append(range(number, number + 1))
        dropped.append(not isinstance(one, slice))
    return selected, dropped
