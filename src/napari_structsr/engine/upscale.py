"""Upscaling a stack of any size: the loop over tiles.

It owns the order of things (check, measure, tiles, pyramid), the overlap of reading,
computing and writing, and what happens when the user cancels or something breaks. What
stands before the first tile is in `preparation`, how one tile is computed in `pixels`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy.typing as npt

from napari_structsr.core.grid import Tile, TileGrid
from napari_structsr.engine.device import choose_device
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Plan,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.engine.failures import guarded
from napari_structsr.engine.pixels import TileComputer
from napari_structsr.engine.preparation import (
    AHEAD,
    checked_spec,
    planned,
    record_of,
    tile_grid,
    with_windows,
)
from napari_structsr.engine.settings import UpscaleSettings
from napari_structsr.engine.statistics import finite_samples, measure_intensity
from napari_structsr.io.sink import Sink, Writer
from napari_structsr.io.source import Source
from napari_structsr.models.model import SRModel

__all__ = ["plan", "upscale"]

_SEAM = 0.01  # share of the range from which on a difference of tiles is told


def plan(
    source: Source,
    model: SRModel,
    sink: Sink,
    *,
    settings: UpscaleSettings | None = None,
) -> Plan:
    """Say what `upscale` would do; reads no pixel and writes nothing.

    Raises
    ------
    StructsrError
        What would keep the run from starting.
    """
    settings = settings or UpscaleSettings()
    device, _ = choose_device(settings.device, settings.precision, model)
    computer = TileComputer(source, model, device, settings)
    spec = checked_spec(source, computer, sink)
    return planned(spec, computer, tile_grid(spec, computer, sink), done=0)


def upscale(
    source: Source,
    model: SRModel,
    sink: Sink,
    *,
    settings: UpscaleSettings | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Event]:
    """Upscale every plane of a source into a sink.

    Parameters
    ----------
    source
        Image to upscale.
    model
        What upscales it.
    sink
        Where the result goes. An unfinished result of the same run is continued.
    settings
        Choices of the user.
    cancel
        Looked at before each tile.

    Yields
    ------
    Event
        `Started` first, then `Progressed` and `Warned`, and one of `Finished`,
        `Cancelled` or `Failed` last. If nothing was started, the last one alone.
    """
    cancel = cancel if cancel is not None else Cancel()
    events = _run(source, model, sink, settings or UpscaleSettings(), cancel)
    yield from guarded(events, "upscaling")


def _run(
    source: Source,
    model: SRModel,
    sink: Sink,
    settings: UpscaleSettings,
    cancel: Cancel,
) -> Iterator[Event]:
    """Upscale; errors are raised."""
    device, warning = choose_device(settings.device, settings.precision, model)
    computer = TileComputer(source, model, device, settings)
    spec = checked_spec(source, computer, sink)
    computer.intensities = measure_intensity(source)
    if settings.agreement == "noise":
        computer.calibrate(finite_samples(source), cancel)
    if cancel:
        yield Cancelled(0)
        return
    spec = with_windows(spec, computer.intensities)
    grid = tile_grid(spec, computer, sink)
    record = record_of(source, computer)
    with sink.open(spec, record) as writer, ThreadPoolExecutor(2 * AHEAD) as pool:
        tiles = [index for index in range(len(grid)) if index not in writer.done]
        total = len(grid)
        yield Started(total, planned(spec, computer, grid, total - len(tiles)))
        if warning:
            yield Warned(warning)
        if model.seam > _SEAM and computer.block < max(source.spec.axes.plane):
            yield Warned(
                f"{model.card.name} sees farther than {model.radius} pixels: tiles "
                f"may differ by up to {model.seam:.1%} of the range where they meet; "
                "a larger tile has fewer seams"
            )
        done = total - len(tiles)
        written: deque[Future[Any]] = deque()
        for tile, pixels in _read_ahead(source, grid, tiles, pool):
            if cancel:
                break
            result = computer(tile.window, grid, pixels, computer.channel_of(tile))
            if computer.warning:
                yield Warned(computer.warning)
                computer.warning = None
            written.append(pool.submit(writer.write, tile, result))
            while len(written) > AHEAD or (written and written[0].done()):
                written.popleft().result()
                done += 1
                yield Progressed(done, total)
        while written:
            written.popleft().result()
            done += 1
            yield Progressed(done, total)
        if not cancel:
            yield from _finish_levels(writer, pool, cancel)
        if cancel:
            yield Cancelled(done)
            return
        output = writer.finish()
    yield Finished(output, record)


def _read_ahead(
    source: Source, grid: TileGrid, tiles: Sequence[int], pool: ThreadPoolExecutor
) -> Iterator[tuple[Tile, npt.NDArray[Any]]]:
    """Yield tiles with their pixels, while the next ones are being read."""
    waiting: deque[tuple[Tile, Future[npt.NDArray[Any]]]] = deque()
    rest = iter(tiles)
    try:
        while True:
            for index in islice(rest, AHEAD - len(waiting)):
                tile = grid[index]
                waiting.append(
                    (tile, pool.submit(source.read, tile.plane, *tile.window.read))
                )
            if not waiting:
                return
            tile, pixels = waiting.popleft()
            yield tile, pixels.result()
    finally:
        for _, pixels in waiting:
            pixels.cancel()


def _finish_levels(
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
