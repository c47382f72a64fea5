"""Plates: every field upscaled, and a plate written of the results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from napari_structsr.core.names import expand_home
from napari_structsr.engine.events import Cancel, Event
from napari_structsr.errors import SettingsError, SinkError
from napari_structsr.io.ome_zarr.metadata import Folder
from napari_structsr.io.ome_zarr.plate import Plate, is_plate, read_plate
from napari_structsr.io.ome_zarr.plate_folder import (
    PlateFolder,
    Version,
    open_plate_folder,
)
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.io.open import open_source
from napari_structsr.io.remote.address import is_remote
from napari_structsr.io.remote.remote_sink import RemoteOmeZarrSink
from napari_structsr.scripting.batch import BatchError, Outcome, run_batch
from napari_structsr.scripting.output import is_output_folder
from napari_structsr.scripting.progress import choose_display, run_to_end
from napari_structsr.scripting.upscale_request import UpscaleRequest

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
        source = open_source(self.plate.path, series=field, **self.request.reading)
        place = self.folder.place(field)
        # the same result is kept, whatever else is replaced
        if replace(self.request, overwrite=False).is_done(source, place):
            return Outcome(field, "there", place)
        # here or at an address; a field need not end as the name of a result does
        make_sink: Any = RemoteOmeZarrSink if isinstance(place, str) else OmeZarrSink
        sink = make_sink(
            place,
            overwrite=self.request.overwrite,
            version=cast(Version, self.request.ome_version),
        )

        def start(*, cancel: Cancel) -> Iterator[Event]:
            return self.request.start(source, sink, cancel=cancel)

        follow(start)
        return Outcome(field, "written", place)

    def finish(self) -> Folder:
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


def is_whole_plate(image: Any, reading: Mapping[str, Any]) -> bool:
    """Say whether an image is a plate of which no single field was asked for."""
    if not isinstance(image, (str, os.PathLike)) or reading.get("series") is not None:
        return False
    return is_plate(image)


def refuse_plate(image: Any, reading: Mapping[str, Any]) -> None:
    """Raise SettingsError for a plate in the place of a single image."""
    if is_whole_plate(image, reading) and len(fields := read_plate(image).fields) > 1:
        raise SettingsError(
            f"{os.fsdecode(image)} is a plate of {len(fields)} fields among single "
            "images; upscale the plate by itself"
        )


def upscale_plate(
    image: str | os.PathLike[str],
    out: Any,
    request: UpscaleRequest,
    *,
    progress: bool | None,
    cancel: Cancel,
) -> Path | str:
    """Upscale every field of a plate into a plate; return its path or address.

    Raises
    ------
    SettingsError
        If there is no place for a plate.
    BatchError
        If some fields failed; the others are done, and the same call goes on.
    """
    plate = read_plate(image)
    if not isinstance(out, (str, os.PathLike)):
        raise SettingsError(
            f"{plate.origin} is a plate of {len(plate.fields)} fields, whose results "
            "are a plate too; name it, such as out='plate-x2.ome.zarr', or take one "
            f"field with series={plate.fields[0]!r}"
        )
    remote = is_remote(os.fsdecode(out))
    place = os.fsdecode(out) if remote else expand_home(out).absolute()
    if is_output_folder(out) and isinstance(place, Path):
        place.mkdir(parents=True, exist_ok=True)
        [place] = request.name_outputs([image], out)
    with open_plate_run(plate, place, request) as run:

        def follow(start: Callable[..., Iterator[Event]]) -> Any:
            return run_to_end(start(cancel=cancel), choose_display(progress)).output

        def work(_: int, field: str) -> Outcome:
            return run.upscale_field(field, follow)

        outcomes = list(run_batch([(one, one) for one in plate.fields], work))
        if any(one.error for one in outcomes):
            raise BatchError(outcomes)
        whole = run.finish()
        return whole if isinstance(whole, Path) else str(whole)
