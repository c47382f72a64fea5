"""Upscaling a stack of any size.

It owns the order of things (prepare, tiles, pyramid) and what happens when the user
cancels or something breaks.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_structsr.core.part import BOTH_WAYS, RunPart, describe_part
from napari_structsr.engine.cluster import StoreWriter, ask_worker, run_on_cluster
from napari_structsr.engine.device import choose_device
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Noted,
    Plan,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.engine.failures import yield_failures
from napari_structsr.engine.interrupt import interruptible
from napari_structsr.engine.run_tiles import run_tiles
from napari_structsr.engine.tiles import order_tiles
from napari_structsr.errors import CancelError, ClusterError, SinkError, check_kind
from napari_structsr.io.locks import is_locked
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import SharedSink, Sink, Writer
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.prepare import Prepared, plan_tiles, prepare
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.tile_upscaler import IMAGE, TileUpscaler
from napari_structsr.upscaling.upscale_job import (
    ImageAndModel,
    UpscaleJob,
    check_reachable,
    prepare_job,
)

if TYPE_CHECKING:
    from distributed import Client


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
    client: Client | None = None,
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
    client
        Of a dask cluster whose workers compute and write the tiles. They open image,
        model and result by path, so that these must be files that all of them reach.

    Yields
    ------
    Event
        `Started` first, then `Progressed` and `Warned`, and one of `Finished`,
        `Cancelled` or `Failed` last. If nothing was started, the last one alone.
    """
    cancel = cancel if cancel is not None else Cancel()
    if client is None:
        events = _run(source, model, sink, settings, cancel)
    else:
        events = _run_on_cluster(source, model, sink, settings, cancel, client=client)
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
    try:
        prepared = prepare(source, model, sink, settings, cancel=cancel)
    except CancelError:
        yield Cancelled(0)
        return
    if cancel:
        yield Cancelled(0)
        return
    part = sink.part if isinstance(sink, SharedSink) else None
    ended = yield from _fill(prepared, sink, cancel, part=part)
    if not ended.cancelled and part is not None and isinstance(sink, SharedSink):
        ended = yield from _join(prepared, sink, cancel)
    if not ended.cancelled:
        yield Finished(ended.output, prepared.record)


@dataclass(frozen=True)
class _Ended:
    """How a run ended: what it has finished, or that it was cancelled, and said so."""

    output: Any = None
    cancelled: bool = False


def _fill(
    prepared: Prepared, sink: Sink, cancel: Cancel, *, part: RunPart | None
) -> Generator[Event, None, _Ended]:
    """Upscale all tiles, or those of a part; return what became whole."""
    with (
        sink.open(prepared.spec, prepared.record) as writer,
        interruptible((model.network for model in prepared.models), cancel),
    ):
        left, total = yield from _start(prepared, writer, part)
        done = yield from run_tiles(
            TileUpscaler(prepared),
            left,
            write=lambda tile, images: writer.write(tile, images[IMAGE]),
            # levels are made from all parts
            writers=[] if part else [writer],
            cancel=cancel,
            doing="upscaling",
            total=total,
        )
        # looked at once: a result that is being finished is cancelled no more
        if cancel:
            yield Cancelled(done)
            return _Ended(cancelled=True)
        return _Ended(None if part else writer.finish())


def _join(
    prepared: Prepared, sink: SharedSink, cancel: Cancel
) -> Generator[Event, None, _Ended]:
    """Finish the result if all parts are there; None if that is left to another."""
    missing = len(prepared.grid) - sink.count_noted()
    if not missing:
        try:
            events = _fill(prepared, sink.whole, cancel, part=None)
            return (yield from _drop_start(events))
        except SinkError:
            # another part that ended at the same time does it, or has done it
            if not (sink.is_finished or is_locked(cast(Path, sink.path))):
                raise
    if sink.is_finished:
        return _Ended(sink.path)
    yield Noted(describe_part(cast(RunPart, sink.part), missing))
    return _Ended()


def _drop_start(
    events: Generator[Event, None, _Ended],
) -> Generator[Event, None, _Ended]:
    """Yield events of a job that has started already; return what it returns."""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            ended: _Ended = end.value
            return ended
        # tiles were counted before, and what was said need not be said again
        if isinstance(event, (Progressed, Cancelled)):
            yield event


def _run_on_cluster(
    source: Any,
    model: SRModel,
    sink: Sink,
    settings: UpscaleSettings | None,
    cancel: Cancel,
    *,
    client: Client,
) -> Iterator[Event]:
    check_kind("cancel", cancel, Cancel, remedy="give a sr.Cancel()")
    source = open_source(source)
    settings = _check_kinds(model, sink, settings)
    check_reachable(sink)
    if isinstance(sink, SharedSink) and sink.part:
        raise ClusterError(BOTH_WAYS)
    given = ImageAndModel.of(source, model)
    # this machine may have no device at all: a worker measures what all share
    job: UpscaleJob | None = yield from ask_worker(
        client, prepare_job, given, sink, settings, cancel=cancel
    )
    if cancel or job is None:
        yield Cancelled(0)
        return
    prepared = job.prepared
    with sink.open(prepared.spec, prepared.record) as opened:
        writer = cast(StoreWriter, opened)
        left, _ = yield from _start(prepared, writer, None)
        done = yield from run_on_cluster(
            client,
            job.fill(writer.store),
            left,
            grid=prepared.grid,
            writers={IMAGE: writer},
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


def _start(
    prepared: Prepared, writer: Writer, part: RunPart | None
) -> Generator[Event, None, tuple[Sequence[int], int]]:
    """Say what will be done; return the tiles that are left, and how many there are."""
    total = len(prepared.grid)
    own = part.own(total) if part else range(total)
    # an unfinished result of the same run is continued
    left = [index for index in own if index not in writer.done]
    done = len(own) - len(left)
    yield Started(len(own), prepared.plan.share(len(own), done=done))
    notes = (*prepared.notes, *getattr(writer, "notes", ()))
    yield from (Noted(note) for note in notes)
    yield from (Warned(warning) for warning in prepared.warnings + writer.warnings)
    return order_tiles(left, prepared.grid, prepared.depths), len(own)
