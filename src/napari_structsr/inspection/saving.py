"""Writing an inspection that was kept in memory, as a run with a folder would have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Progressed,
    Warned,
)
from napari_structsr.engine.failures import yield_failures
from napari_structsr.engine.tiles import lay_tiles
from napari_structsr.errors import SettingsError
from napari_structsr.inspection.pages.report import explain_missing_report, write_report
from napari_structsr.inspection.plan import describe_maps
from napari_structsr.inspection.results import Inspection
from napari_structsr.inspection.scoring.score_journal import write_tables
from napari_structsr.io.locks import lock_folder
from napari_structsr.io.ome_zarr.map_store import MapStores

_SIDE = 1024  # pixels along a side that are written at once


def save_inspection(
    found: Inspection,
    folder: Path,
    *,
    overwrite: bool = False,
    cancel: Cancel | None = None,
) -> Iterator[Event]:
    """Write maps, scores, worst places and report of an inspection into a folder.

    Parameters
    ----------
    found
        What `iter_inspect` found without a folder.
    folder
        Where everything goes, as in `iter_inspect`; made if only it is missing.
    overwrite
        Whether maps that are in the way are replaced.
    cancel
        Looked at before each tile.

    Yields
    ------
    Event
        `Progressed` and `Warned`, and one of `Finished` (with an `Inspection` whose
        maps are the paths of stores), `Cancelled` or `Failed` last.
    """
    cancel = cancel if cancel is not None else Cancel()
    events = _save(found, Path(folder).absolute(), overwrite=overwrite, cancel=cancel)
    yield from yield_failures(events, "saving")


def _save(
    found: Inspection, folder: Path, *, overwrite: bool, cancel: Cancel
) -> Iterator[Event]:
    if found.folder is not None or found.matched is None:
        raise SettingsError(
            f"this inspection lies in {found.folder} already; copy that folder"
            if found.folder is not None
            else "this inspection holds no images for a report; inspect again"
        )
    spec = found.matched.result.spec
    channels = next((axis.size for axis in spec.axes.loops if axis.name == "c"), 1)
    specs = describe_maps(spec, found.maps, channels=channels)
    with lock_folder(folder, parents=False), ExitStack() as stack:
        stores = MapStores(folder, specs, found.record, overwrite=overwrite)
        stores.open(stack)
        side = (_SIDE, _SIDE)
        grid = lay_tiles(
            stores.spec.axes, stores.unit, side=side, factor=1, halo=0, align=1
        )
        for number, tile in enumerate(grid, start=1):
            if cancel:
                yield Cancelled(number - 1)
                return
            # a tile has a first axis of one plane
            pixels = {
                key: np.asarray(one)[tile.plane][tile.write][None]
                for key, one in found.maps.items()
            }
            stores.write(tile, pixels)
            yield Progressed(number, len(grid), "saving")
        saved = replace(found, maps=stores.finish(), folder=folder)
        arrays = stores.arrays()
        write_tables(folder, saved)
        try:
            write_report(folder / "report.html", saved, found.matched, arrays)
        except ImportError as error:
            yield Warned(explain_missing_report(error))
    yield Finished(saved, found.record)
