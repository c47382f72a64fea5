"""Upscaling a stack of any size.

It owns the order of things (prepare, tiles, pyramid) and what happens when the user
cancels or something breaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from napari_structsr.engine.device import choose_device
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Noted,
    Plan,
    Started,
    Warned,
)
from napari_structsr.engine.failures import yield_failures
from napari_structsr.engine.run_tiles import run_tiles
from napari_structsr.errors import check_kind
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import Sink
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.prepare import plan_tiles, prepare
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.tile_upscaler import IMAGE, TileUpscaler


def plan(
    source: Any,
    model: SRModel,
    sink: Sink,
    *,
    settings: UpscaleSettings | None = None,
) -> Plan:
    """Say what `iter_upscale` would do; reads no pixel and writes nothing.

    Raises
    ------
    StructsrError
        What would keep the run from starting.
    """
    source = open_source(source)
    settings = _check_kinds(model, sink, settings)
    device, _ = choose_device(settings.device, settings.precision, model)
    return plan_tiles(source, model, sink, settings, device=device)[2]


def iter_upscale(
    source: Any,
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
        Image to upscale: what `open_source` returns or takes.
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
    events = _run(source, model, sink, settings, cancel)
    yield from yield_failures(events, "upscaling")


def _run(
    source: Any,
    model: SRModel,
    sink: Sink,
    settings: UpscaleSettings | None,
    cancel: Cancel,
) -> Iterator[Event]:
    check_kind("cancel", cancel, Cancel, remedy="give a sr.Cancel()")
    source = open_source(source)
    settings = _check_kinds(model, sink, settings)
    prepared = prepare(source, model, sink, settings, cancel=cancel)
    if cancel:
        yield Cancelled(0)
        return
    upscaler = TileUpscaler(prepared)
    total = len(prepared.grid)
    with sink.open(prepared.spec, prepared.record) as writer:
        # an unfinished result of the same run is continued
        left = [index for index in range(total) if index not in writer.done]
        yield Started(total, replace(prepared.plan, done=total - len(left)))
        yield from (Noted(note) for note in prepared.notes)
        yield from (Warned(warning) for warning in prepared.warnings + writer.warnings)
        done = yield from run_tiles(
            upscaler,
            left,
            write=lambda tile, images: writer.write(tile, images[IMAGE]),
            writers=[writer],
            cancel=cancel,
            doing="upscaling",
        )
        if cancel:
            yield Cancelled(done)
            return
        output = writer.finish()
    yield Finished(output, prepared.record)


def _check_kinds(
    model: object, sink: object, settings: UpscaleSettings | None
) -> UpscaleSettings:
    """Refuse what was given in the wrong place; return settings."""
    remedy = "give what sr.load_model returns, or use sr.upscale, which takes names"
    check_kind("model", model, SRModel, remedy=remedy)
    remedy = "give a sr.MemorySink(), sr.OmeZarrSink(path) or sr.TiffSink(path)"
    check_kind("sink", sink, Sink, remedy=remedy)
    if settings is None:
        return UpscaleSettings()
    remedy = "give sr.UpscaleSettings(...)"
    check_kind("settings", settings, UpscaleSettings, remedy=remedy)
    return settings
