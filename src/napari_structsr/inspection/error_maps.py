"""Where not to believe a result: maps of structure error of a stack of any size.

It owns the order of things (check, measure, maps tile by tile, scores plane by plane,
what is written) and what happens when the user cancels or something breaks. Which map
is what stands in `core.error_map`, how a tile comes about in `map_tiles`.

With a folder, the same call continues an interrupted inspection: each map keeps a
journal of its tiles, and the scores one of their planes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_structsr.core.part import BOTH_WAYS, RunPart, describe_part
from napari_structsr.core.record import Record
from napari_structsr.core.types import Array
from napari_structsr.engine.cluster import StoreWriter, run_on_cluster
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Noted,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.engine.failures import yield_failures
from napari_structsr.engine.provenance import find_record
from napari_structsr.engine.run_tiles import run_tiles
from napari_structsr.engine.tiles import find_depths, order_tiles
from napari_structsr.errors import BusyError, ClusterError, check_kind
from napari_structsr.inspection.findings import describe_findings
from napari_structsr.inspection.inspect_job import make_job
from napari_structsr.inspection.map_tiles import TileMapper
from napari_structsr.inspection.pages.report import explain_missing_report, write_report
from napari_structsr.inspection.plan import (
    choose_limits,
    crop_regions,
    describe_maps,
    lay_map_tiles,
    make_record,
    plan_maps,
)
from napari_structsr.inspection.results import Inspection, ScoreTable
from napari_structsr.inspection.scoring.plane_scoring import (
    score_here,
    score_on_workers,
)
from napari_structsr.inspection.scoring.score_journal import ScoreJournal
from napari_structsr.inspection.scoring.scores import Scorer
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.inspection.setup import prepare
from napari_structsr.inspection.worst_places import merge_worst
from napari_structsr.io.locks import lock_folder
from napari_structsr.io.ome_zarr.map_store import MapStores, check_map_folder
from napari_structsr.io.open import open_source
from napari_structsr.io.remote.address import check_local

if TYPE_CHECKING:
    from distributed import Client


def iter_inspect(
    result: Any,
    reference: Any = None,
    *,
    source: Any = None,
    out: Path | None = None,
    regions: Array | None = None,
    region_names: Mapping[int, str] | None = None,
    record: Record | None = None,
    settings: InspectSettings | None = None,
    overwrite: bool = False,
    cancel: Cancel | None = None,
    client: Client | None = None,
    part: RunPart | None = None,
) -> Iterator[Event]:
    """Map where the structure of a result is wrong or unsupported.

    Parameters
    ----------
    result
        Super-resolved image: whatever `open_source` takes.
    reference
        The truth, of any pixel size and place, with the same planes; or None.
    source
        The image that the result was made from; None takes that of the record.
    out
        Folder for the maps as OME-Zarr, scores.csv, worst.csv, report.html and
        inspection.json; None keeps everything in memory.
    regions
        Labels on the pixels of the result, shape (y, x) or (t, c, z, y, x) as far as
        present, 0 outside; each region is scored as well.
    region_names
        Names of the labels.
    record
        How the result was made; None reads it from the result's file.
    settings
        Choices of the user.
    overwrite
        Whether maps that are in the way are replaced.
    cancel
        Looked at before each tile and each plane.
    client
        Of a dask cluster whose workers compute and write the maps. They open the
        images by path; a folder `out` is needed, which all of them reach.
    part
        Make the maps of this part of the tiles alone, beside runs of the other parts;
        the last of them to end finishes the inspection, and others return None.

    Yields
    ------
    Event
        `Started` first, then `Noted`, `Progressed` and `Warned`, and one of `Finished`
        (with an `Inspection`), `Cancelled` or `Failed` last.
    """
    if out is not None:
        check_local(out, "maps")
    events = _run(
        result,
        reference,
        source=source,
        out=None if out is None else Path(out).absolute(),
        regions=regions,
        names=region_names or {},
        record=record,
        settings=settings,
        overwrite=overwrite,
        # an unset `Cancel` is false
        cancel=cancel if cancel is not None else Cancel(),
        client=client,
        part=part,
    )
    yield from yield_failures(events, "the inspection")


def _run(
    result: Any,
    reference: Any,
    *,
    source: Any,
    out: Path | None,
    regions: Array | None,
    names: Mapping[int, str],
    record: Record | None,
    settings: InspectSettings | None,
    overwrite: bool,
    cancel: Cancel,
    client: Client | None,
    part: RunPart | None,
) -> Iterator[Event]:
    settings = InspectSettings() if settings is None else settings
    remedy = "give sr.InspectSettings(...)"
    check_kind("settings", settings, InspectSettings, remedy=remedy)
    check_kind("cancel", cancel, Cancel, remedy="give a sr.Cancel()")
    if out is None and (client is not None or part is not None):
        raise ClusterError(
            "workers of a cluster, and parts, cannot write into the memory of this "
            "process; give a folder for the maps"
        )
    if client is not None and part is not None:
        raise ClusterError(BOTH_WAYS)
    inspect = partial(
        _inspect,
        result,
        reference,
        source=source,
        out=out,
        regions=regions,
        names=names,
        record=record,
        settings=settings,
        overwrite=overwrite,
        cancel=cancel,
        client=client,
    )
    with ExitStack() as held:
        if out is not None:
            check_map_folder(out)
            held.enter_context(lock_folder(out, parents=False, part=part))
        missing = yield from inspect(part=part)
    # None after a cancel, which has been said
    if part is None or out is None or missing is None:
        return
    if not missing:
        try:
            with lock_folder(out, parents=False):
                # tiles were counted before
                for event in inspect(part=None):
                    if not isinstance(event, (Started, Noted, Warned)):
                        yield event
            return
        except BusyError:
            pass  # another part that ended at the same time does it
    yield Noted(describe_part(part, missing))
    yield Finished(None)


def _inspect(
    result: Any,
    reference: Any,
    *,
    source: Any,
    out: Path | None,
    regions: Array | None,
    names: Mapping[int, str],
    record: Record | None,
    settings: InspectSettings,
    overwrite: bool,
    cancel: Cancel,
    client: Client | None,
    part: RunPart | None,
) -> Generator[Event, None, int | None]:
    """Inspect, or make a part of the maps; return how many tiles are missing then."""
    result = open_source(result)
    reference, source = (
        None if image is None else open_source(image) for image in (reference, source)
    )
    made = record or find_record(result)
    setup = prepare(
        result,
        reference,
        source,
        record=made,
        settings=settings,
        watch=out is not None,
    )
    regions = crop_regions(regions, result.spec.axes, setup)
    record = make_record(setup, settings, digests=out is not None)
    spec = setup.matched.result.spec
    specs = describe_maps(spec, setup.keys, channels=len(setup.scalings))
    stores = MapStores(out, specs, record, overwrite=overwrite, part=part)
    grid = lay_map_tiles(setup, stores)
    # all stores are open at once: a tile is written to every map
    with ExitStack() as stack:
        stores.open(stack)
        own = part.own(len(grid)) if part else range(len(grid))
        missing = [index for index in own if not stores.holds(index)]
        left = order_tiles(missing, grid, find_depths(setup.matched.present()))
        plan = plan_maps(setup, stores, grid, len(left))
        yield Started(len(own), plan.share(len(own), done=len(own) - len(left)))
        yield from (Noted(note) for note in setup.notes)
        yield from (Warned(warning) for warning in setup.warnings + stores.warnings)
        if client is None:
            done = yield from run_tiles(
                TileMapper(setup, grid),
                left,
                write=stores.write,
                # levels are made from all parts
                writers=[] if part else stores.writers,
                cancel=cancel,
                doing="mapping",
                total=len(own),
            )
        else:
            writers = cast(Mapping[str, StoreWriter], stores.opened)
            job = make_job(
                result,
                reference,
                source,
                made=made,
                settings=settings,
                grid=grid,
                record=record,
                writers=writers,
                maps=stores.paths,
            )
            done = yield from run_on_cluster(
                client,
                job,
                left,
                grid=grid,
                writers=writers,
                cancel=cancel,
                doing="mapping",
            )
        if cancel:
            yield Cancelled(done)
            return None
        maps = {} if part else stores.finish()
    if part:
        return stores.count_missing(len(grid))
    arrays = stores.arrays()
    with ScoreJournal(out, record, regions) as journal:
        planes = list(setup.matched.result.spec.axes.planes())
        # an earlier run may have scored some
        kept = {plane: one for plane in planes if (one := journal.find(plane))}
        unscored = [plane for plane in planes if plane not in kept]
        if client is None:
            scorer = Scorer(
                setup, arrays, regions=regions, names=names, settings=settings
            )
            scoring = score_here(scorer, unscored, cancel=cancel)
        else:
            scoring = score_on_workers(
                client, job, unscored, regions=regions, names=names, cancel=cancel
            )
        for found in scoring:
            if isinstance(found, Event):
                yield found
                continue
            plane, one = found
            kept[plane] = journal.add(plane, one)
            yield Progressed(len(kept), len(planes), "scoring")
        if len(kept) < len(planes):
            yield Cancelled(len(grid))
            return None
        scores = [kept[plane] for plane in planes]
        worst, cut = merge_worst(
            (place for plane in scores for place in plane.worst),
            (plane.usual for plane in scores),
            count=settings.worst,
        )
        inspection = Inspection(
            maps,
            stores.spec,
            ScoreTable(tuple(row for plane in scores for row in plane.rows)),
            worst,
            (*setup.notes, *setup.warnings),
            setup.alignment,
            record,
            choose_limits(setup, scores),
            out,
            cut=cut,
            doubts=setup.doubts,
            matched=setup.matched,
        )
        inspection = replace(inspection, sentence=describe_findings(inspection))
        journal.finish(inspection)
    if out is not None:
        # everything else is written by now: a missing extra costs the report alone
        try:
            write_report(out / "report.html", inspection, setup.matched, arrays)
        except ImportError as error:
            yield Warned(explain_missing_report(error))
    yield Finished(inspection, record)
    return 0
