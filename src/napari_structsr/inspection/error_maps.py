"""Where not to believe a result: maps of structure error of a stack of any size.

It owns the order of things (check, measure, maps tile by tile, scores plane by plane,
what is written) and what happens when the user cancels or something breaks. Which map
is what stands in `core.error_map`, how a tile comes about in `map_tiles`.

With a folder, the same call continues an interrupted inspection: each map keeps a
journal of its tiles, and the scores one of their planes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy.typing as npt

from napari_structsr.core.grid import TileGrid
from napari_structsr.core.record import Record
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
from napari_structsr.engine.tiles import AHEAD, WriteQueue, finish_levels, prefetch
from napari_structsr.inspection.plan import (
    choose_limits,
    crop_regions,
    describe_maps,
    lay_map_tiles,
    make_record,
    plan_maps,
    read_tile,
)
from napari_structsr.inspection.report import write_report
from napari_structsr.inspection.results import Inspection, ScoreTable
from napari_structsr.inspection.score_journal import ScoreJournal
from napari_structsr.inspection.scores import PlaneScores, Scorer
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.inspection.setup import Setup, prepare
from napari_structsr.inspection.worst_places import merge_worst
from napari_structsr.io.ome_zarr.map_store import MapStores
from napari_structsr.io.open import open_source

__all__ = ["error_maps"]


def error_maps(
    result: Any,
    reference: Any = None,
    *,
    source: Any = None,
    out: Path | None = None,
    regions: npt.NDArray[Any] | None = None,
    region_names: Mapping[int, str] | None = None,
    record: Record | None = None,
    settings: InspectSettings | None = None,
    overwrite: bool = False,
    cancel: Cancel | None = None,
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

    Yields
    ------
    Event
        `Started` first, then `Noted`, `Progressed` and `Warned`, and one of `Finished`
        (with an `Inspection`), `Cancelled` or `Failed` last.
    """
    job = _Job(
        result,
        reference,
        source=source,
        out=out,
        regions=regions,
        names=region_names or {},
        record=record,
        settings=settings or InspectSettings(),
        overwrite=overwrite,
        cancel=cancel if cancel is not None else Cancel(),
    )
    yield from yield_failures(job.run(), "the inspection")


class _Job:
    """One inspection."""

    def __init__(
        self,
        result: Any,
        reference: Any,
        *,
        source: Any,
        out: Path | None,
        regions: npt.NDArray[Any] | None,
        names: Mapping[int, str],
        record: Record | None,
        settings: InspectSettings,
        overwrite: bool,
        cancel: Cancel,
    ) -> None:
        self._images = result, reference, source
        self._out = None if out is None else Path(out).absolute()
        self._regions = regions
        self._names = names
        self._record = record
        self._settings = settings
        self._overwrite = overwrite
        self._cancel = cancel

    def run(self) -> Iterator[Event]:
        """Inspect; errors are raised."""
        result, reference, source = (
            None if image is None else open_source(image) for image in self._images
        )
        assert result is not None
        record = self._record or find_record(result)
        setup = prepare(
            result, reference, source, record=record, settings=self._settings
        )
        regions = crop_regions(self._regions, result.spec.axes, setup)
        record = make_record(setup, self._settings, digests=self._out is not None)
        stores = MapStores(
            self._out, describe_maps(setup), record, overwrite=self._overwrite
        )
        computer = setup.computer
        grid = lay_map_tiles(setup, stores)
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(2 * AHEAD))
            stores.open(stack)
            tiles = [n for n in range(len(grid)) if not stores.holds(n)]
            yield Started(len(grid), plan_maps(setup, stores, grid, len(tiles)))
            yield from (Noted(note) for note in setup.notes)
            yield from (Warned(warning) for warning in setup.warnings)
            done = len(grid) - len(tiles)
            yield from self._map(setup, stores, grid, tiles, pool)
            if self._cancel:
                yield Cancelled(done)
                return
            maps = stores.finish()
        planes: list[PlaneScores] = []
        scorer = Scorer(
            setup.matched,
            computer,
            stores.arrays(),
            regions=regions,
            names=self._names,
            worst=self._settings.worst,
            place=self._settings.place,
        )
        with ScoreJournal(self._out, record, regions) as journal:
            wanted = list(setup.matched.result.spec.axes.planes())
            for number, plane in enumerate(wanted, start=1):
                if self._cancel:
                    yield Cancelled(len(grid))
                    return
                planes.append(
                    journal.find(plane) or journal.add(plane, scorer.plane(plane))
                )
                yield Progressed(number, len(wanted), "scoring")
            found = Inspection(
                maps,
                stores.spec,
                ScoreTable(tuple(row for plane in planes for row in plane.rows)),
                merge_worst(
                    (place for plane in planes for place in plane.worst),
                    self._settings.worst,
                ),
                (*setup.notes, *setup.warnings),
                setup.alignment,
                record,
                choose_limits(setup, planes),
                self._out,
            )
            journal.finish(found)
        if self._out is not None:
            try:
                path = self._out / "report.html"
                write_report(path, found, setup.matched, stores.arrays())
            except ImportError:
                yield Warned(
                    "the report was not written: matplotlib is missing; install it "
                    "with pip install 'napari-structsr[report]'"
                )
        yield Finished(found, record)

    def _map(
        self,
        setup: Setup,
        stores: MapStores,
        grid: TileGrid,
        tiles: list[int],
        pool: ThreadPoolExecutor,
    ) -> Iterator[Event]:
        """Compute and write all maps, tile by tile."""
        computer, matched = setup.computer, setup.matched
        total = len(grid)
        done = total - len(tiles)
        behind = WriteQueue(pool)
        for tile, pixels in prefetch(
            lambda tile: read_tile(matched, tile), grid, tiles, pool
        ):
            if self._cancel:
                break
            channel = matched.result.spec.axes.channel_of(tile.plane)
            maps = computer(tile, grid, pixels, plane=tile.plane, channel=channel)
            if computer.blocks.warning:
                yield Warned(computer.blocks.warning)
                computer.blocks.warning = None
            for _ in range(behind.start(stores.write, tile, maps)):
                done += 1
                yield Progressed(done, total, "mapping")
        for _ in range(behind.finish()):
            done += 1
            yield Progressed(done, total, "mapping")
        for writer in stores.writers:
            if not self._cancel:
                yield from finish_levels(writer, pool, self._cancel)
