"""Scores plane by plane: in this process, or by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from napari_structsr.core.types import Array
from napari_structsr.engine.batches import (
    blame_worker,
    cut_batches,
    describe_folder,
    open_job,
)
from napari_structsr.engine.cluster import choose_batch_size, spread
from napari_structsr.engine.events import Cancel, Event
from napari_structsr.errors import ClusterError
from napari_structsr.inspection.inspect_job import InspectJob, OpenedInspection
from napari_structsr.inspection.scoring.region_sums import choose_regions, find_labels
from napari_structsr.inspection.scoring.scores import PlaneScores, Scorer
from napari_structsr.io.ome_zarr.map_store import StoredMap
from napari_structsr.io.records import read_zarr_record

if TYPE_CHECKING:
    from distributed import Client

Plane = tuple[int, ...]
Scored = tuple[Plane, PlaneScores]

_MOST = 16  # planes of a batch: small ones take less time than sending them


def score_here(
    scorer: Scorer, planes: Sequence[Plane], *, cancel: Cancel
) -> Iterator[Scored | Event]:
    """Yield planes with their scores, until a cancel."""
    for plane in planes:
        if cancel:
            return
        yield plane, scorer.score_plane(plane)


def score_on_workers(
    client: Client,
    job: InspectJob,
    planes: Sequence[Plane],
    *,
    regions: Array | None,
    names: Mapping[int, str],
    cancel: Cancel,
) -> Iterator[Scored | Event]:
    """Let workers score planes, whose maps are finished; otherwise as `score_here`.

    Planes come as they are done, with what the cluster has to say between them.
    """
    labels = find_labels(regions)
    # regions that differ by plane travel with their own plane alone
    most = _MOST if regions is None or regions.ndim == 2 else 1
    size = choose_batch_size(client, len(planes), most=most)
    calls = (
        (job, batch, choose_regions(regions, batch[0]), labels, names)
        for batch in cut_batches(planes, size)
    )
    for found in spread(client, score_batch, calls, cancel=cancel):
        if isinstance(found, Event):
            yield found
        else:
            yield from found


def score_batch(
    job: InspectJob,
    planes: Sequence[Plane],
    regions: Array | None,
    labels: Array,
    names: Mapping[int, str],
) -> list[Scored]:
    """Score planes on a worker, which must see the maps of the run."""
    opened = open_job(job)
    assert isinstance(opened, OpenedInspection)
    maps = {}
    for key, path in job.maps.items():
        with blame_worker(f"the map {path}"):
            status, found = read_zarr_record(path)
            maps[key] = StoredMap(path)
        if status != "finished" or not found or job.record.find_differences(found):
            raise ClusterError(describe_folder(f"sees other maps in {path}"))
    scorer = Scorer(
        opened.setup,
        maps,
        regions=regions,
        names=names,
        settings=job.settings,
        labels=labels,
    )
    return [(plane, scorer.score_plane(plane)) for plane in planes]
