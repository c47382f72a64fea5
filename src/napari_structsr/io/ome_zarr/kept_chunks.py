"""Reading parts of a zarr array, each chunk once.

A tile reads a margin around itself, so that neighbours share chunks; and where a chunk
holds many planes, all of these need it. Chunks that were read are kept while a run
goes on: as many as one plane lies in, if memory allows it. A run that writes files
keeps them from the moment on from which what is read is checked for changes; each run
reads anew.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from napari_structsr.core.types import Array
from napari_structsr.io.fingerprint import Index
from napari_structsr.io.limits import CACHE_BYTES
from napari_structsr.io.ome_zarr.chunk_packing import ChunkPacker, number_chunks

Place = tuple[int, ...]

# of single planes, the rows of chunks that the next row of tiles reads again suffice
_SHALLOW_BYTES = 1 << 26
_COLOURS = 4
# chunks that are not kept; of more, zarr unpacks several at once
_FEW = 4
_MANY = 1 << 14  # chunks: what is noted of each takes a thousand bytes


class ChunkReader:
    """Reads an array by its chunks; from several threads.

    Parameters
    ----------
    array
        Of zarr.
    bounded
        The same array, as zarr should read it.
    folder
        Of the array; None where it lies elsewhere.
    plane
        Which dimensions are y and x.
    """

    def __init__(
        self,
        array: Any,
        bounded: Any,
        folder: Path | None,
        plane: tuple[int, int],
    ) -> None:
        self._array, self._bounded = array, bounded
        self._packer = None if folder is None else ChunkPacker.of(array)
        self._folder = folder
        self._keeps = False
        self._lock = threading.Lock()
        self._chunks: OrderedDict[Place, Future[Array]] = OrderedDict()
        grid = [
            -(-array.shape[axis] // array.chunks[axis])  # rounded up
            for axis in plane
        ]
        nbytes = math.prod(array.chunks) * array.dtype.itemsize
        deep = math.prod(array.chunks) > _COLOURS * math.prod(
            array.chunks[axis] for axis in plane
        )
        # a chunk may be a whole plane, which all of its tiles need
        room = CACHE_BYTES if deep or nbytes > _SHALLOW_BYTES else _SHALLOW_BYTES
        self._most = min(math.prod(grid), room // nbytes, _MANY)

    def keep(self) -> None:
        """Keep chunks from now on; those kept for an earlier run are dropped."""
        with self._lock:
            self._chunks.clear()
        # of one that is larger than all that is kept, zarr reads the part
        self._keeps = self._most > 0

    def read(self, index: Index, check: Callable[[Index], None]) -> Array | None:
        """Return a part of the array; None where zarr reads it as well itself.

        Parameters
        ----------
        index
            Numbers, and slices without a step.
        check
            Refuses a part whose files are not as they were; called of what was read,
            before it is kept.
        """
        spans = [
            slice(*part.indices(size)[:2])
            if isinstance(part, slice)
            else slice(part, part + 1)
            for part, size in zip(index, self._array.shape, strict=True)
        ]
        if any(part.stop <= part.start for part in spans):
            return None
        places = list(number_chunks(spans, self._array.chunks))
        if self._keeps and len(places) <= _MANY:
            chunks = self._find(places, check)
        elif len(places) <= _FEW:
            chunks = {}
            for place in places:
                if (found := self._unpack(place)) is None:
                    return None
                chunks[place] = found
            check(index)
        else:
            return None
        pixels = self._join(spans, chunks)
        dropped = (slice(None) if isinstance(part, slice) else 0 for part in index)
        return pixels[tuple(dropped)]

    def _find(
        self, places: Sequence[Place], check: Callable[[Index], None]
    ) -> dict[Place, Array]:
        """Return chunks, of which those are read that no thread has or reads."""
        mine: dict[Place, Future[Array]] = {}
        with self._lock:
            for place in places:
                if place not in self._chunks:
                    self._chunks[place] = mine[place] = Future()
                self._chunks.move_to_end(place)
            wanted = {place: self._chunks[place] for place in places}
        if mine:
            try:
                for box in _cut_boxes(list(mine)):
                    chunks = self._load(box)
                    check(self._locate(box))
                    for place, chunk in chunks.items():
                        mine[place].set_result(chunk)
            except BaseException as error:
                with self._lock:
                    for place, future in mine.items():
                        self._chunks.pop(place, None)
                        # nobody is to wait for what does not come
                        if not future.done():
                            future.set_exception(error)
                raise
            with self._lock:
                while len(self._chunks) > max(len(places), self._most):
                    self._chunks.popitem(last=False)
        return {place: future.result() for place, future in wanted.items()}

    def _load(self, places: Sequence[Place]) -> dict[Place, Array]:
        chunks = {}
        missing = []
        for place in places:
            if (chunk := self._unpack(place)) is None:
                missing.append(place)
            else:
                chunks[place] = chunk
        for box in _cut_boxes(missing):
            # in one call, since zarr reads the chunks of a call side by side
            where = self._locate(box)
            pixels = np.asarray(self._bounded[where])
            for place in box:
                inside = tuple(
                    slice(n * size - part.start, (n + 1) * size - part.start)
                    for n, size, part in zip(
                        place, self._array.chunks, where, strict=True
                    )
                )
                # a copy: a view would hold the whole box
                chunks[place] = pixels[inside].copy()
        return chunks

    def _locate(self, box: Sequence[Place]) -> tuple[slice, ...]:
        """Return the part of the array that a box of chunks covers."""
        return tuple(
            slice(first * size, min((last + 1) * size, whole))
            for first, last, size, whole in zip(
                *_find_corners(box), self._array.chunks, self._array.shape, strict=True
            )
        )

    def _unpack(self, place: Place) -> Array | None:
        if self._packer is None or self._folder is None:
            return None
        return self._packer.unpack(self._folder, place)

    def _join(self, spans: Sequence[slice], chunks: dict[Place, Array]) -> Array:
        """Return a part of the array from the chunks that it lies in."""
        sizes = self._array.chunks
        shape = [part.stop - part.start for part in spans]
        pixels = np.empty(shape, self._array.dtype)
        for place, chunk in chunks.items():
            here, there = [], []
            for part, number, size in zip(spans, place, sizes, strict=True):
                first = number * size
                start, stop = max(part.start, first), min(part.stop, first + size)
                here.append(slice(start - part.start, stop - part.start))
                there.append(slice(start - first, stop - first))
            pixels[tuple(here)] = chunk[tuple(there)]
        return pixels


def _cut_boxes(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    """Divide chunks into boxes that hold no others."""
    if not places:
        return
    low, high = _find_corners(places)
    if math.prod(b - a + 1 for a, b in zip(low, high, strict=True)) == len(places):
        yield places
        return
    axis = next(n for n, (a, b) in enumerate(zip(low, high, strict=True)) if a < b)
    for number in range(low[axis], high[axis] + 1):
        yield from _cut_boxes([place for place in places if place[axis] == number])


def _find_corners(places: Sequence[Place]) -> tuple[list[int], list[int]]:
    numbers = list(zip(*places, strict=True))
    return [min(one) for one in numbers], [max(one) for one in numbers]
