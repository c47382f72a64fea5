"""The loop over tiles that every job shares: read, compute, write, report, cancel.

While one tile computes, the next ones are read and the last ones are written in
threads. What is read and what becomes of it is the affair of a `TileComputer`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import Protocol, TypeVar

from napari_structsr.core.grid import Tile, TileGrid
from napari_structsr.engine.events import Cancel, Event, Progressed, Warned
from napari_structsr.engine.memory import return_pages
from napari_structsr.errors import CancelError
from napari_structsr.io.sink import Writer

AHEAD = 2
"""Tiles read before they are needed, and written while the next ones compute."""

_Pixels = TypeVar("_Pixels")
_Result = TypeVar("_Result")
_Result_co = TypeVar("_Result_co", covariant=True)


class TileComputer(Protocol[_Pixels, _Result_co]):
    """Reads and computes the tiles of one grid."""

    @property
    def grid(self) -> TileGrid:
        """All tiles."""

    def read(self, tile: Tile) -> _Pixels:
        """Read what a tile needs, with halo; called in a thread."""

    def compute(self, tile: Tile, pixels: _Pixels) -> _Result_co:
        """Compute what is written of a tile."""

    def take_warning(self) -> str | None:
        """Return, once, what the user should hear about the last tile."""


def run_tiles(
    computer: TileComputer[_Pixels, _Result],
    tiles: Sequence[int],
    *,
    write: Callable[[Tile, _Result], None],
    writers: Sequence[Writer],
    cancel: Cancel,
    doing: str,
    total: int | None = None,
) -> Generator[Event, None, int]:
    """Read, compute and write tiles, then what the writers have left to do.

    It yields `Progressed` and `Warned`, and returns how many tiles are written.

    Parameters
    ----------
    computer
        What reads and computes them.
    tiles
        Indices of the tiles that no earlier run has written, in order.
    write
        Writes what was computed of a tile; called in a thread.
    writers
        Opened sinks, whose pyramids are built after the last tile.
    cancel
        Looked at before each tile, and before each step of a pyramid. A computer may
        raise CancelError in the middle of a tile.
    doing
        What the progress is called.
    total
        Tiles that count as all of them; those of the grid where it is left out.
    """
    total = len(computer.grid) if total is None else total
    done = total - len(tiles)
    writing: deque[Future[None]] = deque()
    with ExitStack() as stack:
        # a viewer stays when the run is over: what it kept for its layers goes back
        stack.callback(return_pages)
        pool = stack.enter_context(ThreadPoolExecutor(2 * AHEAD))
        for tile, pixels in prefetch(computer.read, computer.grid, tiles, pool):
            if cancel:
                break
            # torch computes here, in the thread of the caller
            try:
                result = computer.compute(tile, pixels)
            except CancelError:  # in the middle of the tile, which is lost
                break
            if warning := computer.take_warning():
                yield Warned(warning)
            writing.append(pool.submit(write, tile, result))
            for _ in range(_collect(writing, allowed=AHEAD)):
                done += 1
                yield Progressed(done, total, doing)
        # a tile that is computed is written, even after a cancel: it is not lost
        for _ in range(_collect(writing, allowed=0)):
            done += 1
            yield Progressed(done, total, doing)
        for writer in writers:
            yield from finish_levels(writer, pool, cancel)
    return done


def prefetch(
    read: Callable[[Tile], _Pixels],
    grid: TileGrid,
    tiles: Sequence[int],
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[Tile, _Pixels]]:
    """Yield tiles with what was read for them, while the next ones are being read."""
    waiting: deque[tuple[Tile, Future[_Pixels]]] = deque()
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
        # after a cancel nobody waits for reads that have not begun
        for _, found in waiting:
            found.cancel()


def _collect(running: deque[Future[None]], *, allowed: int) -> int:
    """Drop what is written, in order, until few enough are left; return how many."""
    done = 0
    # waiting here bounds the memory that results take
    while running and (len(running) > allowed or running[0].done()):
        # raises what went wrong in the thread
        running.popleft().result()
        done += 1
    return done


def finish_levels(
    writer: Writer, pool: ThreadPoolExecutor, cancel: Cancel
) -> Iterator[Event]:
    """Do what a writer has left to do, such as the levels of a pyramid."""
    for calls in () if cancel else writer.passes():
        running: deque[Future[None]] = deque()
        for done, call in enumerate(calls, start=1):
            if cancel:
                break
            running.append(pool.submit(call))
            if len(running) == AHEAD:
                running.popleft().result()
            yield Progressed(done, len(calls), "building the pyramid")
        # each level is computed from the one before, which must be whole
        _collect(running, allowed=0)
        if cancel:
            return
