"""Upscaling as workers of a cluster do it: what they are told, and what they open.

A worker is told everything that was measured, so that all tiles share it. It opens the
image and the model by their paths and names, and makes sure that they are the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from napari_structsr.core.record import find_versions
from napari_structsr.engine.batches import (
    ImagePath,
    MakeComputer,
    StorePlace,
    blame_worker,
    check_alike,
    name_worker,
)
from napari_structsr.engine.device import choose_device
from napari_structsr.engine.events import Cancel
from napari_structsr.engine.provenance import take_fingerprint
from napari_structsr.errors import ClusterError, ModelError, SourceError
from napari_structsr.io.ome_zarr.chunk_store import ChunkStore
from napari_structsr.io.remote.remote_sink import RemoteOmeZarrSink
from napari_structsr.io.sink import MemorySink, Sink
from napari_structsr.io.source import Source
from napari_structsr.models.model import SRModel
from napari_structsr.upscaling.prepare import Prepared, prepare
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.tile_upscaler import IMAGE, TileUpscaler
from napari_structsr.zoo.catalogue import load_model


@dataclass(frozen=True)
class ImageAndModel:
    """What is upscaled and by what, as any machine opens it."""

    image: ImagePath
    name: str
    factor: int
    sharpness: float | None
    sha256: str | None

    @classmethod
    def of(cls, source: Source, model: SRModel) -> ImageAndModel:
        """Return what tells a source and a model.

        Raises
        ------
        ClusterError
            If the source is no file that others could open.
        """
        card = model.card
        return cls(
            ImagePath.of(source),
            model.origin,
            model.factor,
            card.sharpness,
            card.sha256,
        )

    def open(self) -> tuple[Source, SRModel]:
        """Open both.

        Raises
        ------
        ClusterError
            If this machine does not see them, or sees another model of that name.
        """
        source = self.image.open()
        with blame_worker(f"the model {self.name}"):
            sharpness = 1.0 if self.sharpness is None else self.sharpness
            model = load_model(self.name, factor=self.factor, sharpness=sharpness)
            if model.card.sha256 != self.sha256:
                raise ModelError("it has another model of that name")
        return source, model


@dataclass(frozen=True)
class UpscaleJob:
    """A run that workers of a cluster can start; see `TileJob`.

    Parameters
    ----------
    given
        Image and model.
    prepared
        Everything that was measured; without image and models, which are opened anew.
    stores
        Where the result goes.
    key
        What tells it from other jobs.
    """

    given: ImageAndModel
    prepared: Prepared
    stores: Mapping[str, StorePlace] = field(default_factory=dict)
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def record(self) -> Any:
        """Everything that decides the result."""
        return self.prepared.record

    def fill(self, store: ChunkStore) -> UpscaleJob:
        """Return the job with the store that it fills."""
        return replace(self, stores={IMAGE: StorePlace(store.root, store.layout)})

    def open(self) -> MakeComputer:
        """Open image and model; see `TileJob`."""
        source, model = self.given.open()
        then = self.prepared
        device, _ = choose_device(then.device.kind, then.device.precision, model)  # type: ignore[arg-type]
        check_alike(
            {**find_versions(*model.packages), "device": device.label},
            {**then.record.versions, "device": then.device.label},
        )
        if take_fingerprint(source) != then.record.fingerprint["source"]:
            raise SourceError(
                f"{name_worker()} sees another image as {source.origin}, or it has "
                "changed since the run began; give the image on a disk that all "
                "machines share, and start a changed one anew with --overwrite"
            )
        models = (model,) * len(then.intensities)
        if optics := then.record.model.get("optics"):
            models = tuple(
                model.with_optics(psf_sigma=one["psf_sigma"], noise=one["noise"])
                for one in optics
            )
        prepared = replace(then, source=source, models=models, device=device)
        return lambda: TileUpscaler(prepared)


def check_reachable(sink: Sink) -> None:
    """Refuse a sink that workers of a cluster cannot fill.

    Raises
    ------
    ClusterError
        Saying what to write instead.
    """
    if isinstance(sink, MemorySink) or sink.path is None:
        raise ClusterError(
            "workers of a cluster cannot write into the memory of this process; write "
            "to OME-Zarr or TIFF"
        )
    if isinstance(sink, RemoteOmeZarrSink):
        raise ClusterError(
            f"workers of a cluster write into one folder, and {sink.address} is none; "
            "write to a disk that they share and copy the result, or leave the cluster "
            "out"
        )


def prepare_job(
    given: ImageAndModel, sink: Sink, settings: UpscaleSettings
) -> UpscaleJob:
    """Prepare a run on a worker, whose device all workers have.

    Raises
    ------
    StructsrError
        What keeps the run from starting.
    """
    source, model = given.open()
    if sink.path is not None and not sink.path.parent.is_dir():
        raise ClusterError(
            f"{name_worker()} cannot see the folder {sink.path.parent}; write to one "
            "that all machines share, under the same path"
        )
    prepared = prepare(source, model, sink, settings, cancel=Cancel())
    # opened anew by whoever works on it
    return UpscaleJob(given, replace(prepared, source=None, models=()))  # type: ignore[arg-type]
