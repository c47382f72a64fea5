"""Plates: every field upscaled, and a plate written of the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from napari_structsr.engine.events import Cancel, Event
from napari_structsr.errors import SinkError
from napari_structsr.io.ome_zarr.plate import (
    Plate,
    PlateFolder,
    Version,
    open_plate_folder,
)
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.io.open import open_source
from napari_structsr.scripting.batch import Outcome
from napari_structsr.scripting.upscale_images import UpscaleRequest

Follow = Callable[[Callable[..., Iterator[Event]]], Any]


@dataclass(frozen=True)
class PlateRun:
    """A plate that is being upscaled.

    Parameters
    ----------
    request
        What all fields have in common.
    plate
        What is upscaled.
    folder
        Where the result goes.
    """

    request: UpscaleRequest
    plate: Plate
    folder: PlateFolder

    def upscale_field(self, field: str, follow: Follow) -> Outcome:
        """Upscale one field, unless an earlier run has done so.

        Parameters
        ----------
        field
            Its path in the plate.
        follow
            Called with what starts the run, given ``cancel=``; runs it to its end.
        """
        source = open_source(self.plate.origin, series=field, **self.request.reading)
        place = self.folder.place(field)
        # the same result is kept, whatever else is replaced
        if replace(self.request, overwrite=False).is_done(source, place):
            return Outcome(field, "there", place)
        sink = OmeZarrSink(
            place,
            overwrite=self.request.overwrite,
            version=cast(Version, self.request.ome_version),
        )

        def start(*, cancel: Cancel) -> Iterator[Event]:
            return self.request.start(source, sink, cancel=cancel)

        follow(start)
        return Outcome(field, "written", place)

    def finish(self) -> Path:
        """Make it a plate, once every field is there."""
        return self.folder.finish()


@contextmanager
def open_plate_run(
    plate: Plate, out: str | Path, request: UpscaleRequest
) -> Iterator[PlateRun]:
    """Begin to upscale a plate, or go on with it.

    Raises
    ------
    SinkError
        If the result is no OME-Zarr, or something is in the way.
    """
    if Path(out).suffix.lower() != ".zarr":
        raise SinkError(
            f"{plate.origin} is a plate of {len(plate.fields)} fields, which is "
            "written as OME-Zarr alone; name the result, such as plate.zarr, or take "
            f"one field with --series {plate.fields[0]}"
        )
    version = cast(Version, request.ome_version)
    with open_plate_folder(
        out, plate, version=version, overwrite=request.overwrite
    ) as folder:
        yield PlateRun(request, plate, folder)
