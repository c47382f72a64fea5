"""An inspection as workers of a cluster do it: what they are told, and what they open.

A worker prepares the inspection anew, from the same images: what it measures must lead
to the record of the run, or it makes no tile.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_structsr.core.grid import TileGrid
from napari_structsr.core.record import Record
from napari_structsr.engine.batches import (
    ImagePath,
    StorePlace,
    blame_worker,
    name_worker,
)
from napari_structsr.engine.cluster import StoreWriter
from napari_structsr.errors import ClusterError
from napari_structsr.inspection.map_tiles import TileMapper
from napari_structsr.inspection.plan import make_record
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.inspection.setup import Setup, prepare
from napari_structsr.io.source import Source


@dataclass(frozen=True)
class InspectJob:
    """An inspection that workers of a cluster can start; see `TileJob`.

    Parameters
    ----------
    result, reference, source
        The images.
    made
        How the result was made, as far as known.
    settings
        Choices of the user, as they were given.
    grid
        Tiles of the maps.
    record
        What all workers must come to.
    stores
        Where each map goes that is still made.
    maps
        The stores of all maps.
    key
        What tells it from other jobs.
    """

    result: ImagePath
    reference: ImagePath | None
    source: ImagePath | None
    made: Record | None
    settings: InspectSettings
    # the same with absolute paths: workers have folders of their own
    absolute: InspectSettings
    grid: TileGrid
    record: Record
    stores: Mapping[str, StorePlace]
    maps: Mapping[str, Path]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def open(self) -> OpenedInspection:
        """Open the images and prepare the inspection; see `TileJob`."""
        result = self.result.open()
        reference, source = (
            None if image is None else image.open()
            for image in (self.reference, self.source)
        )
        with blame_worker("what the inspection needs"):
            setup = prepare(
                result,
                reference,
                source,
                record=self.made,
                settings=self.absolute,
                watch=True,
            )
            record = make_record(setup, self.settings, digests=True)
        if different := record.find_differences(self.record):
            raise ClusterError(
                f"{name_worker()} would make other maps (it differs in "
                f"{', '.join(different)}); give all workers the same images, "
                "environment and kind of device, or leave such workers out"
            )
        return OpenedInspection(setup, self.grid)


@dataclass(frozen=True)
class OpenedInspection:
    """An inspection as a worker has opened it; called, it makes a computer of tiles."""

    setup: Setup
    grid: TileGrid

    def __call__(self) -> TileMapper:
        """Return a computer of tiles."""
        return TileMapper(self.setup, self.grid)


def make_job(
    result: Source,
    reference: Source | None,
    source: Source | None,
    *,
    made: Record | None,
    settings: InspectSettings,
    grid: TileGrid,
    record: Record,
    writers: Mapping[str, StoreWriter],
    maps: Mapping[str, Path],
) -> InspectJob:
    """Return what workers are told.

    Raises
    ------
    ClusterError
        If an image is no file.
    """
    changes = {
        name: kind(Path(value).absolute())
        for name, value, kind in (
            ("model", settings.model, str),
            ("calibration", settings.calibration, Path),
        )
        # a model may have a name instead
        if value is not None and Path(value).exists()
    }
    return InspectJob(
        ImagePath.of(result),
        None if reference is None else ImagePath.of(reference),
        None if source is None else ImagePath.of(source),
        made,
        settings,
        settings.model_copy(update=changes),
        grid,
        record,
        {
            name: StorePlace(writer.store.root, writer.store.layout)
            for name, writer in writers.items()
        },
        maps,
    )
