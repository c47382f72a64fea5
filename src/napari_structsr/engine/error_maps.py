"""Where not to believe a result: maps of structure error of a stack of any size.

It owns the order of things (check, measure, maps tile by tile, scores plane by plane,
what is written) and what happens when the user cancels or something breaks. Which map
is what stands in `core.error_map`, how a tile comes about in `map_tiles`.

With a folder, the same call continues an interrupted inspection: each map keeps a
journal of its tiles, and the scores one of their planes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_structsr.core.axes import Axes, Channel, ImageSpec
from napari_structsr.core.error_map import MAPS
from napari_structsr.core.grid import Tile, TileGrid
from napari_structsr.core.record import Record
from napari_structsr.engine.device import free_memory
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
from napari_structsr.engine.failures import guarded, shortage
from napari_structsr.engine.inspect_setup import Setup, prepare
from napari_structsr.engine.inspection import Inspection, InspectSettings, ScoreTable
from napari_structsr.engine.map_block import Pixels
from napari_structsr.engine.map_tiles import map_dtype
from napari_structsr.engine.matching import Matched, find_record
from napari_structsr.engine.report import write_report
from napari_structsr.engine.score_journal import ScoreJournal
from napari_structsr.engine.scores import PlaneScores, Scorer, worst_of
from napari_structsr.engine.tiles import AHEAD, Behind, finish_levels, read_ahead
from napari_structsr.engine.versions import versions
from napari_structsr.errors import SettingsError
from napari_structsr.io.map_store import MapStores
from napari_structsr.io.source import open_source

__all__ = ["error_maps"]

_MARGIN = 0.9  # share of the free memory that maps in memory may take
_SHOWN = (0.5, 99.5)  # percentiles of a map that are shown
_PARTS = (0.1, 0.25, 0.5, 1.0)  # of the scale of a similarity, if it is hardly left


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
    yield from guarded(job.run(), "the inspection")


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
        regions = self._fitting_regions(result.spec.axes, setup)
        record = self._record_of(setup, record)
        stores = MapStores(self._out, _specs(setup), record, overwrite=self._overwrite)
        computer = setup.computer
        grid = _grid(setup, stores)
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(2 * AHEAD))
            stores.open(stack)
            tiles = [n for n in range(len(grid)) if not stores.holds(n)]
            yield Started(len(grid), _plan(setup, stores, grid, len(tiles)))
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
                worst_of(planes, self._settings.worst),
                (*setup.notes, *setup.warnings),
                setup.alignment,
                record,
                _limits(setup, planes),
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
        behind = Behind(pool)
        for tile, pixels in read_ahead(
            lambda tile: _read(matched, tile), grid, tiles, pool
        ):
            if self._cancel:
                break
            channel = matched.result.spec.axes.channel_of(tile.plane)
            maps = computer(
                tile.window, grid, pixels, plane=tile.plane, channel=channel
            )
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

    def _record_of(self, setup: Setup, made: Record | None) -> Record:
        """Write down everything that decides the maps."""
        matched, computer, settings = setup.matched, setup.computer, self._settings
        spec = matched.result.spec
        own = computer.companions.own
        models = computer.companions.loaded
        calibration = computer.companions.calibration
        return Record(
            source={
                "origin": matched.result.origin,
                "name": spec.name,
                "axes": spec.axes.names,
                "shape": list(spec.axes.shape),
                "dtype": str(spec.dtype),
                "options": dict(matched.result.options),
            },
            model={
                "name": own.origin if own else None,
                "factor": matched.factor,
                "sha256": [model.card.sha256 for model in models],
                "calibration": calibration
                and hashlib.sha256(calibration.model_dump_json().encode()).hexdigest(),
                "psf_sigma": computer.forward_model.psf_sigma,
            },
            settings={
                "reference": matched.reference and matched.reference.origin,
                "source": matched.source and matched.source.origin,
                **settings.model_dump(mode="json", exclude={"worst", "place"}),
                "maps": list(computer.keys),
                "device": computer.device.kind,
                "tile": computer.blocks.side,
            },
            intensity=setup.ranges,
            least_shares=(),
            device=computer.device.label,
            versions=versions(*(name for model in models for name in model.packages)),
            task="inspect",
        )

    def _fitting_regions(self, axes: Axes, setup: Setup) -> npt.NDArray[Any] | None:
        """Check the regions, and cut them as the result was cut."""
        if self._regions is None:
            return None
        regions = np.asarray(self._regions)
        loops = tuple(axis.size for axis in axes.loops)
        if regions.shape not in (axes.plane, (*loops, *axes.plane)):
            raise SettingsError(
                f"the regions have the shape {regions.shape}, the result has planes of "
                f"{axes.plane} pixels; give labels on the pixels of the result"
            )
        if regions.dtype.kind not in "uib":
            raise SettingsError(
                f"the regions are {regions.dtype}; give labels, which are integers"
            )
        rows, columns = _kept(axes, setup.matched.result.spec.axes)
        regions = regions[..., rows, columns]
        if not regions.any() or (regions < 0).any():
            raise SettingsError(
                "the regions hold no object, or negative labels; draw at least one "
                "region on the part of the result that is compared"
            )
        return regions


def _kept(whole: Axes, part: Axes) -> tuple[slice, slice]:
    """Return the rows and columns of an image that a part of it covers."""
    found = []
    for name in "yx":
        start = round(
            (part[name].translate - whole[name].translate) / whole[name].scale
        )
        found.append(slice(start, start + part[name].size))
    return found[0], found[1]


def _specs(setup: Setup) -> dict[str, ImageSpec]:
    """Say what each map is as an image."""
    spec = setup.matched.result.spec
    found = {}
    for key in setup.computer.keys:
        entry = MAPS[key]
        known = spec.channels or (Channel(),) * len(setup.computer.scalings)
        low_high = entry.limits and (min(entry.limits), max(entry.limits))
        found[key] = replace(
            spec,
            name=f"{spec.name} {entry.title}",
            axes=spec.axes.canonical(),
            dtype=map_dtype(key),
            channels=tuple(replace(one, color=None, window=low_high) for one in known),
        )
    return found


def _grid(setup: Setup, stores: MapStores) -> TileGrid:
    """Lay tiles over the write units of the maps, about as large as is computed."""
    computer = setup.computer
    factor = computer.factor
    axes = stores.spec.axes
    wanted = computer.blocks.side * factor
    rows, columns = (unit * max(1, round(wanted / unit)) for unit in stores.unit)
    height, width = axes.plane
    return TileGrid(
        loops=tuple(axis.size for axis in axes.loops),
        shape=(height // factor, width // factor),
        factor=factor,
        unit=(rows, columns),
        halo=computer.halo,
        align=computer.align,
    )


def _plan(setup: Setup, stores: MapStores, grid: TileGrid, left: int) -> Plan:
    """Estimate the run; refuse maps that do not fit into memory."""
    computer = setup.computer
    free = free_memory()
    if stores.in_memory and free and stores.nbytes > _MARGIN * free:
        raise shortage(
            f"the maps take {stores.nbytes / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
        )
    rows, columns = (
        min(u, s) for u, s in zip(grid.unit, stores.spec.axes.plane, strict=True)
    )
    in_flight = 2 * AHEAD * rows * columns * 4 * (2 + len(computer.keys))
    return Plan(
        tiles=len(grid),
        done=len(grid) - left,
        output_bytes=stores.nbytes,
        memory_bytes=in_flight + computer.block_bytes,
        device=computer.device.label,
        precision=computer.device.precision,
    )


def _read(matched: Matched, tile: Tile) -> Pixels:
    """Read what a tile needs, with halo."""
    coarse = tile.window.read
    factor = matched.factor
    rows, columns = (slice(s.start * factor, s.stop * factor) for s in coarse)
    reference, source = matched.reference, matched.source
    return Pixels(
        matched.result.read(tile.plane, rows, columns),
        None if reference is None else reference.read(tile.plane, rows, columns),
        None if source is None else source.read(tile.plane, *coarse),
    )


def _limits(setup: Setup, planes: list[PlaneScores]) -> dict[str, tuple[float, float]]:
    """Choose the values to show of each map, from the best to the worst."""
    found = {}
    for key in setup.computer.keys:
        entry = MAPS[key]
        values = [v for plane in planes for v in plane.samples.get(key, ())]
        low, high = np.percentile(values, _SHOWN) if values else (0.0, 1.0)
        if entry.limits is None:
            found[key] = (0.0, max(float(high), 1e-12))
        elif entry.worse == "low":
            best, worst = entry.limits
            reached = [best + share * (worst - best) for share in _PARTS]
            found[key] = (best, next((v for v in reached if v <= low), worst))
        else:
            found[key] = entry.limits
    return found
