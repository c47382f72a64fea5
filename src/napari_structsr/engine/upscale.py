"""Upscaling a stack of any size: the loop over tiles.

It owns the order of things (check, measure, plan, tiles, pyramid), the overlap of
reading, computing and writing, and what happens when memory is short, when the user
cancels, or when something breaks. How one tile is computed stands in `pixels`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from napari_structsr.core.axes import Channel, ImageSpec, check_plane
from napari_structsr.core.grid import Tile, TileGrid
from napari_structsr.core.intensity import Intensity, check_dtype
from napari_structsr.core.record import Record
from napari_structsr.engine.device import (
    Device,
    Precision,
    choose_device,
    free_memory,
)
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Failed,
    Finished,
    Plan,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.engine.failures import explained, shortage
from napari_structsr.engine.pixels import TileComputer
from napari_structsr.engine.statistics import finite_samples, measure_intensity
from napari_structsr.engine.versions import versions
from napari_structsr.errors import (
    SettingsError,
    SinkError,
    StructsrError,
)
from napari_structsr.imaging.agreement import Agreement
from napari_structsr.io.sink import MemorySink, Sink, Writer
from napari_structsr.io.source import Source
from napari_structsr.models.model import SRModel

__all__ = ["UpscaleSettings", "plan", "upscale"]

logger = logging.getLogger(__name__)

_AHEAD = 2  # tiles read before they are needed, and written while the next computes
_MARGIN = 0.9  # share of the free memory that a result in memory may take


class UpscaleSettings(BaseModel):
    """What a user can choose about a run.

    Parameters
    ----------
    agreement
        Agreement with the measurement: "off" leaves the result of the model,
        "noise" corrects what the noise of the image cannot explain, "exact" makes
        the result measure as the input exactly.
    device
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    precision
        Number format of the model: "auto", "float32", "bfloat16" or "float16".
    tile
        Input pixels along the side of what is computed at once; None chooses.
    color
        RGB images: "channels" upscales each sample, "luminance" the luminance
        alone, with interpolated colours.
    dtype
        "same" as the input, or "float32".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    agreement: Agreement = "off"
    device: str = "auto"
    precision: Precision = "auto"
    tile: int | None = Field(default=None, ge=16, le=16384)
    color: Literal["channels", "luminance"] = "channels"
    dtype: Literal["same", "float32"] = "same"


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
    spec = _check(source, computer, sink)
    return _plan(spec, computer, _grid(spec, computer, sink), device, done=0)


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
    try:
        yield from _run(source, model, sink, settings or UpscaleSettings(), cancel)
    except StructsrError as error:
        yield Failed(error)
    except Exception as error:
        logger.exception("upscaling %s broke", source.spec.name)
        yield Failed(explained(error))


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
    spec = _check(source, computer, sink)
    computer.intensities = measure_intensity(source)
    if settings.agreement == "noise":
        computer.calibrate(finite_samples(source), cancel)
    if cancel:
        yield Cancelled(0)
        return
    spec = _with_windows(spec, computer.intensities)
    grid = _grid(spec, computer, sink)
    record = _record(source, model, device, computer, settings)
    with sink.open(spec, record) as writer, ThreadPoolExecutor(2 * _AHEAD) as pool:
        tiles = [index for index in range(len(grid)) if index not in writer.done]
        total = len(grid)
        yield Started(total, _plan(spec, computer, grid, device, total - len(tiles)))
        if warning:
            yield Warned(warning)
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
            while len(written) > _AHEAD or (written and written[0].done()):
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
            for index in islice(rest, _AHEAD - len(waiting)):
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
            if len(running) == _AHEAD:
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


def _check(source: Source, computer: TileComputer, sink: Sink) -> ImageSpec:
    """Refuse what cannot be upscaled or written; return the spec of the result."""
    spec = source.spec
    check_dtype(spec.dtype)
    check_plane(spec.axes)
    if computer.settings.color == "luminance" and spec.axes.samples < 3:
        raise SettingsError(
            "luminance was asked for, but the image has no colour samples "
            f"(axes {spec.axes.names!r}); use --color channels"
        )
    if sink.path and _overlap(sink.path, Path(source.origin)):
        raise SinkError(
            f"the result {sink.path} would lie over the input {source.origin}; "
            "choose another name"
        )
    result = replace(spec.upscaled(computer.model.factor), dtype=computer.dtype)
    sink.check(result)
    free = free_memory()
    if isinstance(sink, MemorySink) and free and result.nbytes > _MARGIN * free:
        raise shortage(
            f"the result takes {result.nbytes / 1e9:.3g} GB, {free / 1e9:.3g} GB are "
            "free"
        )
    return result


def _overlap(one: Path, other: Path) -> bool:
    """Tell whether two paths are the same or one lies inside the other."""
    one, other = one.resolve(), other.resolve()
    return one == other or one in other.parents or other in one.parents


def _with_windows(spec: ImageSpec, intensities: Sequence[Intensity]) -> ImageSpec:
    """Give channels without contrast limits those of the statistics."""
    known = spec.channels or (Channel(),) * len(intensities)
    return replace(
        spec,
        channels=tuple(
            channel
            if channel.window
            else replace(channel, window=(found.low, found.high))
            for channel, found in zip(known, intensities, strict=True)
        ),
    )


def _grid(spec: ImageSpec, computer: TileComputer, sink: Sink) -> TileGrid:
    """Lay tiles over the write units of the sink, about as large as is computed."""
    factor = computer.model.factor
    height, width = spec.axes.plane
    wanted = computer.block * factor
    rows, columns = (unit * max(1, round(wanted / unit)) for unit in sink.unit(spec))
    return TileGrid(
        loops=tuple(axis.size for axis in spec.axes.loops),
        shape=(height // factor, width // factor),
        factor=factor,
        unit=(rows, columns),
        halo=computer.halo,
    )


def _plan(
    spec: ImageSpec, computer: TileComputer, grid: TileGrid, device: Device, done: int
) -> Plan:
    """Estimate a run."""
    rows, columns = (min(u, s) for u, s in zip(grid.unit, spec.axes.plane, strict=True))
    tile = rows * columns * spec.axes.samples
    in_flight = 2 * _AHEAD * tile * spec.dtype.itemsize
    return Plan(
        tiles=len(grid),
        done=done,
        output_bytes=spec.nbytes,
        memory_bytes=in_flight + computer.block_bytes,
        device=device.label,
        precision=device.precision,
    )


def _record(
    source: Source,
    model: SRModel,
    device: Device,
    computer: TileComputer,
    settings: UpscaleSettings,
) -> Record:
    """Write down everything that decides the result."""
    spec = source.spec
    return Record(
        source={
            "origin": source.origin,
            "name": spec.name,
            "axes": spec.axes.names,
            "shape": list(spec.axes.shape),
            "dtype": str(spec.dtype),
            "options": dict(source.options),
        },
        model={
            "name": model.origin,
            "factor": model.factor,
            "sha256": model.card.sha256,
            "psf_sigma": model.card.psf_sigma,
        },
        settings={
            **settings.model_dump(),
            "device": device.kind,
            "precision": device.precision,
            "tile": computer.block,
        },
        intensity=computer.intensities,
        least_shares=computer.least_shares,
        device=device.label,
        versions=versions(),
    )
