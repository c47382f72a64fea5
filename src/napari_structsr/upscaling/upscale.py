"""Upscaling a stack of any size: the loop over tiles.

It owns the order of things (check, measure, tiles, pyramid) and what happens when the
user cancels or something breaks. What stands before the first tile is in `preparation`,
how one tile is computed in `pixels`, the overlap of reading and writing in `tiles`.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

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
from napari_structsr.engine.failures import yield_failures
from napari_structsr.engine.statistics import measure_intensity, read_finite_samples
from napari_structsr.engine.tiles import AHEAD, WriteQueue, finish_levels, prefetch
from napari_structsr.io.sink import Sink
from napari_structsr.io.source import Source
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.prepare import (
    checked_spec,
    make_record,
    planned,
    tile_grid,
    with_windows,
)
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.tile_upscaler import TileUpscaler

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
    computer = TileUpscaler(source, model, device, settings)
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
    yield from yield_failures(events, "upscaling")


def _run(
    source: Source,
    model: SRModel,
    sink: Sink,
    settings: UpscaleSettings,
    cancel: Cancel,
) -> Iterator[Event]:
    """Upscale; errors are raised."""
    device, warning = choose_device(settings.device, settings.precision, model)
    computer = TileUpscaler(source, model, device, settings)
    spec = checked_spec(source, computer, sink)
    computer.intensities = measure_intensity(source)
    if settings.agreement == "noise":
        computer.calibrate(read_finite_samples(source), cancel)
    if cancel:
        yield Cancelled(0)
        return
    spec = with_windows(spec, computer.intensities)
    grid = tile_grid(spec, computer, sink)
    record = make_record(source, computer)
    with sink.open(spec, record) as writer, ThreadPoolExecutor(2 * AHEAD) as pool:
        tiles = [index for index in range(len(grid)) if index not in writer.done]
        total = len(grid)
        yield Started(total, planned(spec, computer, grid, total - len(tiles)))
        if warning:
            yield Warned(warning)
        if model.seam > _SEAM and computer.blocks.side < max(source.spec.axes.plane):
            yield Warned(
                f"{model.card.name} sees farther than {model.radius} pixels: tiles "
                f"may differ by up to {model.seam:.1%} of the range where they meet; "
                "a larger tile has fewer seams"
            )
        done = total - len(tiles)
        behind = WriteQueue(pool)
        for tile, pixels in prefetch(
            lambda tile: source.read(tile.plane, *tile.read), grid, tiles, pool
        ):
            if cancel:
                break
            result = computer(tile, grid, pixels, computer.channel_of(tile))
            if computer.blocks.warning:
                yield Warned(computer.blocks.warning)
                computer.blocks.warning = None
            for _ in range(behind.start(writer.write, tile, result)):
                done += 1
                yield Progressed(done, total)
        for _ in range(behind.finish()):
            done += 1
            yield Progressed(done, total)
        if not cancel:
            yield from finish_levels(writer, pool, cancel)
        if cancel:
            yield Cancelled(done)
            return
        output = writer.finish()
    yield Finished(output, record)
