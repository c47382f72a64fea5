"""A run: faults are planted into results of a model, and searched in every map.

The run is a generator of events, as every long job. Planes are spread over the images
of each source and cut to the part that holds most structure; each is measured,
upscaled, and inspected once as it is and once with each fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from benchmarks.faults.detection import Detections, Found
from benchmarks.faults.planting import FAULTS
from benchmarks.faults.search import InspectedPlane
from benchmarks.faults.tables import FaultExample, write_detections
from napari_structsr.benchmark.figures import check_matplotlib
from napari_structsr.benchmark.images import list_built_in_images
from napari_structsr.benchmark.measures import find_busiest_window
from napari_structsr.benchmark.tracks import TRACKS, Track, make_truth
from napari_structsr.core.types import Array, Float32Array
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.engine.failures import yield_failures
from napari_structsr.errors import SettingsError, SourceError
from napari_structsr.io.formats.image_folders import ImageFile, find_images
from napari_structsr.zoo.catalogue import load_model

__all__ = ["FaultSettings", "find_faults"]

_SIDE = 512  # pixels of the truth
_LEAST_SIDE = 128
_EXAMPLES = (
    ("erased filament", True),
    ("rotated patch", True),
    ("textured patch", False),
)


class FaultSettings(BaseModel):
    """What a user can choose about planted faults.

    Parameters
    ----------
    data
        Folder that holds one folder of images a source; None takes the images that
        come with the program.
    model
        Name of the model whose results get the faults.
    track
        Name of the conditions of the measurement.
    kinds
        Faults among `FAULTS`; None takes all.
    planes
        Planes of each source, spread over its images.
    device
        As in `UpscaleSettings`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    data: Path | None = None
    model: str = "sharp"
    track: str = "x2-mild"
    kinds: tuple[str, ...] | None = None
    planes: int = Field(default=2, ge=1)
    device: str = "auto"


@dataclass(frozen=True)
class _Plan:
    images: int
    settings: FaultSettings

    @property
    def done(self) -> int:
        """Units done before: none, as a run cannot be resumed."""
        return 0

    def __str__(self) -> str:
        faults = 2 * len(_check_kinds(self.settings))  # visible and invisible
        return (
            f"{self.images} planes, {faults} faults each, "
            f"results of {self.settings.model}, {self.settings.track}"
        )


def find_faults(
    out: Path, *, settings: FaultSettings | None = None, cancel: Cancel | None = None
) -> Iterator[Event]:
    """Plant faults and measure which maps find them.

    Parameters
    ----------
    out
        Folder for faults.md, faults.csv and a figure of each source.
    settings
        Choices of the user.
    cancel
        Looked at before each inspection; nothing is written then.

    Yields
    ------
    Event
        `Started` first, then `Progressed` for each plane and `Warned` for each that is
        left out, and one of `Finished`, whose output is `out` and whose record are the
        `Detections`, `Cancelled` or `Failed` last.
    """
    cancel = cancel if cancel is not None else Cancel()
    yield from yield_failures(
        _run(out, settings or FaultSettings(), cancel), "the search"
    )


def _run(out: Path, settings: FaultSettings, cancel: Cancel) -> Iterator[Event]:
    check_matplotlib()
    if settings.track not in TRACKS:
        raise SettingsError(
            f"there is no track named {settings.track!r}; choose among "
            f"{', '.join(TRACKS)}"
        )
    track, kinds = TRACKS[settings.track], _check_kinds(settings)
    every = (
        list_built_in_images() if settings.data is None else find_images(settings.data)
    )
    images = _spread_evenly(every, settings.planes)
    load_model(settings.model, factor=track.factor)  # or say why not, at once
    out.mkdir(parents=True, exist_ok=True)
    yield Started(len(images), _Plan(len(images), settings))
    outcome = Detections()
    examples: dict[str, list[FaultExample]] = {}
    for number, image in enumerate(images):
        try:
            name, pixels = _read_middle_plane(image)
            truth = _cut_truth(pixels, track)
        except SourceError as error:
            outcome.left_out.append(f"{image.source}/{image.name}: {error}")
            yield Warned(f"{image.source}/{image.name} is left out: {error}")
            continue
        plane = InspectedPlane(
            truth, track, model=settings.model, device=settings.device
        )
        drawn: list[FaultExample] = []
        for fault in kinds:
            for visible in (True, False):
                if cancel:
                    yield Cancelled(number)
                    return
                found = plane.search(fault, visible=visible, seed=number)
                outcome.rows += [
                    Found(image.source, name, fault, visible, key, *pair)
                    for key, pair in found.pairs.items()
                ]
                if (fault, visible) in _EXAMPLES:
                    title = fault if visible else f"{fault},\ninvisible"
                    drawn.append(plane.example(title, found))
        if drawn:
            examples.setdefault(image.source, drawn)
        yield Progressed(number + 1, len(images), image.source)
    if not outcome.rows:
        raise SourceError("no plane could be used: " + "; ".join(outcome.left_out))
    plan = str(_Plan(len(images), settings))
    write_detections(outcome, examples, out, conditions=f"{plan}.")
    yield Finished(out, outcome)


def _check_kinds(settings: FaultSettings) -> tuple[str, ...]:
    unknown = [fault for fault in settings.kinds or () if fault not in FAULTS]
    if unknown:
        raise SettingsError(
            f"there is no fault named {unknown[0]!r}; choose among {', '.join(FAULTS)}"
        )
    return settings.kinds or FAULTS


def _spread_evenly(images: list[ImageFile], planes: int) -> list[ImageFile]:
    """Choose so many images of each source, evenly among those there are."""
    sources: dict[str, list[ImageFile]] = {}
    for image in images:
        sources.setdefault(image.source, []).append(image)
    found = []
    for listed in sources.values():
        steps = (np.arange(planes) + 0.5) * len(listed) / planes
        found += [listed[index] for index in sorted(set(steps.astype(int)))]
    return found


def _read_middle_plane(image: ImageFile) -> tuple[str, Array]:
    """Return the plane in the middle of an image, which may be a stack."""
    planes = list(image.planes(1))
    return planes[len(planes) // 2]


def _cut_truth(plane: Array, track: Track) -> Float32Array:
    """Cut a plane to the part that holds most structure, as truth."""
    if min(plane.shape) < _LEAST_SIDE or not np.isfinite(plane).all():
        raise SourceError(
            f"a plane of {plane.shape} pixels is too small for faults, or holds values "
            f"that are no numbers; {_LEAST_SIDE} pixels along a side are needed"
        )
    if plane.min() == plane.max():
        raise SourceError("all pixels of a plane are equal")
    truth = make_truth(plane, track.factor)
    return truth[find_busiest_window(truth, _SIDE)].copy()
