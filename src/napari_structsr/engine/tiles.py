"""Overlapping reading, computing and writing, for every job that goes tile by tile.

It owns the order in which tiles are read ahead and written behind, and the rounds of
work after the last one. What is read and what a tile becomes is the job's affair.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

from napari_structsr.core.axes import Axes
from napari_structsr.core.grid import Tile, TileGrid
from napari_structsr.engine.events import Cancel, Event, Progressed
from napari_structsr.io.sink import Writer

__all__ = ["AHEAD", "WriteQueue", "finish_levels", "lay_tiles", "prefetch"]

AHEAD = 2
"""Tiles read before they are needed, and written while the next ones compute."""

_Read = TypeVar("_Read")


def lay_tiles(
    axes: Axes,
    unit: tuple[int, int],
    *,
    side: int,
    factor: int,
    halo: int,
    align: int,
) -> TileGrid:
    """Lay tiles over the write units of a sink, about as large as is computed.

    Parameters
    ----------
    axes
        Of what is written.
    unit
        Rows and columns that must be written together.
    side
        Pixels of what is read that are computed at once, along a side.
    factor, halo, align
        As in `TileGrid`.
    """
    height, width = axes.plane
    rows, columns = (part * max(1, round(side * factor / part)) for part in unit)
    return TileGrid(
        loops=tuple(axis.size for axis in axes.loops),
        shape=(height // factor, width // factor),
        factor=factor,
        unit=(rows, columns),
        halo=halo,
        align=align,
    )


def prefetch(
    read: Callable[[Tile], _Read],
    grid: TileGrid,
    tiles: Sequence[int],
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[Tile, _Read]]:
    """Yield tiles with what was read for them, while the next ones are being read.

    Parameters
    ----------
    read
        Called in a thread of the pool.
    grid, tiles
        Indices of the tiles of a grid that are wanted, in order.
    pool
        Where reading happens.
    """
    waiting: deque[tuple[Tile, Future[_Read]]] = deque()
    rest = iter(tiles)
    try:
        while True:
            for index in islice(rest, AHEAD - len(waiting)):
                tile = grid[index]
                waiting.append((tile, pool.submit(read, tile)))
            if not waiting:
                return
            tile, found = waiting.popleft()
            yield tile, found.result()
    finally:
        for _, found in waiting:
            found.cancel()


class WriteQueue:
    """Tiles that are being written while the next ones compute.

    Parameters
    ----------
    pool
        Where writing happens.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._running: deque[Future[Any]] = deque()

    def start(self, call: Callable[..., Any], *arguments: Any) -> int:
        """Write a tile; return how many tiles are written since the last call."""
        self._running.append(self._pool.submit(call, *arguments))
        return self._finished(wait_beyond=AHEAD)

    def finish(self) -> int:
        """Wait for the last tiles; return how many these are."""
        return self._finished(wait_beyond=0)

    def _finished(self, *, wait_beyond: int) -> int:
        """Drop what is written, in order; errors are raised."""
        done = 0
        while self._running and (
            len(self._running) > wait_beyond or self._running[0].done()
        ):
            self._running.popleft().result()
            done += 1
        return done


def finish_levels(
    writer: Writer, pool: ThreadPoolExecutor, cancel: Cancel
) -> Iterator[Event]:
    """Do what the writer has left to do, such as a pyramid."""
    for calls in writer.passes():
        running: deque[Future[None]] = deque()
        for done, call in enumerate(_until(calls, cancel), start=1):
            running.append(pool.submit(call))
            if len(running) == AHEAD:
                running.popleft().result()
            yield Progressed(done, len(calls), "building the pyramid")
        while running:
            running.popleft().result()
        if cancel:
            return


def _until(
    calls: Sequence[Callable[[], None]], cancel: Cancel
) -> Iterator[Callable[[], None]]:
    """Yield calls until the user cancels."""
    for call in calls:
        if cancel:
            return
        yield call
