"""Where results go: one protocol for memory, OME-Zarr and TIFF.

A `Sink` is a place; nothing is created before `Sink.open`. What that returns is a
`Writer`, a context manager. An unfinished writer that left anything is marked, keeps
a journal of its finished tiles, and can be opened again by the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.grid import Tile
from napari_structsr.core.part import RunPart
from napari_structsr.core.record import Record
from napari_structsr.core.types import Array

# squares that let a preview appear bit by bit
_MEMORY_UNIT = 1024, 1024


class Writer(Protocol):
    """An opened sink."""

    done: Container[int]
    """Indices of the tiles that an earlier run has finished."""

    warnings: tuple[str, ...]
    """Sentences for the user about what an earlier run has left."""

    def write(self, tile: Tile, pixels: Array) -> None:
        """Write one tile, shape (samples, rows, columns); from any thread."""
        ...

    def passes(self) -> Iterator[Sequence[Callable[[], None]]]:
        """Yield rounds of work left after the last tile, such as pyramid levels.

        The calls of one round may run in any order and in several threads; a round
        is complete before the next one is asked for.
        """
        ...

    def finish(self) -> Any:
        """Mark the result as complete and return it: an array or a path."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: Any) -> None: ...


class Destination(Protocol):
    """What tiles must know of the place where they go."""

    @property
    def path(self) -> Path | None:
        """Where on disk, if anywhere."""
        ...

    def unit(self, spec: ImageSpec) -> tuple[int, int]:
        """Rows and columns that must be written together."""
        ...

    def check(self, spec: ImageSpec) -> None:
        """Refuse early what cannot be written; leave no trace.

        Raises
        ------
        SinkError
            If a finished result is in the way, space or permission is short, or
            the format cannot hold the image.
        """
        ...


@runtime_checkable
class Sink(Destination, Protocol):
    """A place for one result."""

    def open(self, spec: ImageSpec, record: Record) -> Writer:
        """Create or resume the result.

        Raises
        ------
        SinkError
            As `check`; or if an unfinished result of another run is in the way.
        """
        ...


@runtime_checkable
class SharedSink(Sink, Protocol):
    """A place that several runs may fill together, part by part."""

    @property
    def part(self) -> RunPart | None:
        """Which part a run fills; None is the whole."""
        ...

    @property
    def whole(self) -> SharedSink:
        """The same place for a run that finishes what all parts have made."""
        ...

    def count_noted(self) -> int:
        """Return how many tiles runs have finished, of whichever part."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether a finished result is there."""
        ...


class MemorySink:
    """Keeps the result as one numpy array, axes in canonical order."""

    path: Path | None = None

    def unit(self, spec: ImageSpec) -> tuple[int, int]:
        """Return squares that keep a preview lively."""
        return _MEMORY_UNIT

    def check(self, spec: ImageSpec) -> None:
        """Accept every image; memory is checked before the run starts."""

    def open(self, spec: ImageSpec, record: Record) -> _MemoryWriter:
        """Reserve the array."""
        return _MemoryWriter(spec)


class _MemoryWriter:
    def __init__(self, spec: ImageSpec) -> None:
        self._coloured = "s" in spec.axes
        self._pixels = np.zeros(spec.axes.shape, spec.dtype)
        self.done: Container[int] = frozenset()
        self.warnings: tuple[str, ...] = ()

    def write(self, tile: Tile, pixels: Array) -> None:
        # samples of colour come first in a tile and last in an image
        image = np.moveaxis(pixels, 0, -1) if self._coloured else pixels[0]
        place: tuple[Any, ...] = (*tile.plane, *tile.write)
        self._pixels[place] = image

    def passes(self) -> Iterator[Sequence[Callable[[], None]]]:
        return iter(())

    def finish(self) -> Array:
        return self._pixels

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
