"""A source as a dask array: what viewers slice, read tile by tile when it is looked at.

Chunks are a plane, or of a large plane about a thousand pixels along either side, in
whole chunks of what is stored: neither a strip nor a tile is decoded twice for one
look, and there are no more chunks than dask can look through while a slider moves.
"""

from __future__ import annotations

import itertools
import math
import uuid
from typing import Any

import dask.array as da
import numpy as np

from napari_structsr.core.types import Array
from napari_structsr.io.source import Source

_WHOLE = 2048 * 2048  # pixels of a plane that is one chunk
_SIDE = 1024  # pixels of a chunk along y and x of a larger one, about


def make_dask_array(source: Source) -> da.Array:
    """Return the pixels of a source as a lazy array, axes in the source's order.

    Two arrays of one source have different names: a name stands for one opening.
    """
    axes = source.spec.axes
    chunks = {axis.name: 1 for axis in axes.loops}
    for name, side in zip("yx", source.chunks, strict=True):
        wide = side * math.ceil(_SIDE / side)
        chunks[name] = -1 if math.prod(axes.plane) <= _WHOLE else wide
    # hashing would read the pixels; the file may change and keep its name
    name = f"structsr-{uuid.uuid4().hex}"
    pixels = _Pixels(source)
    # colours are read whole; readers are safe in several threads without a lock
    sizes = tuple(chunks.get(name, -1) for name in axes.names)
    array: da.Array = da.from_array(  # type: ignore[no-untyped-call]
        pixels, chunks=sizes, name=name, lock=False
    )
    return array


class _Pixels:
    """What dask wants of an array: shape, dtype, and basic slices."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.shape = source.spec.axes.shape
        self.dtype = source.spec.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, index: tuple[slice | int, ...]) -> Array:
        axes = self._source.spec.axes
        # dask hands on the indices of whoever slices its array
        whole = [slice(n, n + 1) if isinstance(n, int) else n for n in index]
        where: dict[str, Any] = {
            axis.name: range(axis.size)[part]
            for axis, part in zip(axes.items, whole, strict=True)
        }
        rows, columns = (slice(where[n].start, where[n].stop) for n in "yx")
        loops = [where[axis.name] for axis in axes.loops]
        sizes = len(where["y"]), len(where["x"])
        out = np.empty((*map(len, loops), axes.samples, *sizes), self.dtype)
        places = itertools.product(*(range(len(loop)) for loop in loops))
        for place, plane in zip(places, itertools.product(*loops), strict=True):
            out[place] = self._source.read(plane, rows, columns)
        stored = [*(axis.name for axis in axes.loops), "s", "y", "x"]
        if "s" in axes:
            # the colours of a pixel are read whole
            out = out[..., slice(where["s"].start, where["s"].stop), :, :]
        else:
            out = out.reshape(*map(len, loops), *sizes)
            stored.remove("s")
        out = out.transpose([stored.index(name) for name in axes.names])
        return out[tuple(0 if isinstance(n, int) else slice(None) for n in index)]
