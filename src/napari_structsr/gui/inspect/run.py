"""Inspecting a layer of a viewer: from the click to the maps above the result.

It owns what is known of a layer, too: whether a record says how it was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer, Shapes
from napari.viewer import Viewer

from napari_structsr.core.record import Record
from napari_structsr.engine.events import Cancel, Event, Finished
from napari_structsr.errors import StructsrError
from napari_structsr.gui.inspect.map_layers import (
    ShownInspection,
    add_map_layer,
    map_of,
)
from napari_structsr.gui.inspect.regions import Regions, merge_scores, read_regions
from napari_structsr.gui.inspect.roles import ImageFacts
from napari_structsr.gui.inspect.state import ErrorDockState, InspectChoice
from napari_structsr.gui.viewer.alignment import open_source_on
from napari_structsr.gui.viewer.cluster_run import open_file, run_on_workers
from napari_structsr.gui.viewer.file_opening import has_file
from napari_structsr.gui.viewer.jobs import Job, submit
from napari_structsr.gui.viewer.layers import KEY, key_of, layer_obstacle
from napari_structsr.inspection.matching import match_images
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source
from napari_structsr.zoo.catalogue import find_card

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class InspectionRequest:
    """What an inspection reads, taken from layers as they are.

    The record says how the result was made, if its layer does; `maps` are keys, `out`
    is a folder for everything, and the rest is as in `InspectSettings`.
    """

    result: Source
    reference: Source | None
    source: Source | None
    record: Record | None
    regions: Regions | None
    maps: tuple[str, ...]
    register: bool
    fit_intensity: bool
    device: str
    calibration: Path | None
    out: Path | None


def list_image_facts(viewer: Viewer) -> list[ImageFacts]:
    """Say what is known of the images that can be inspected."""
    found = []
    for layer in viewer.layers:
        if map_of(layer) is not None or layer_obstacle(layer) is not None:
            continue
        record = _find_record(layer)
        card = None if record is None else _check_card(*_describe_model(record))
        entry = layer.metadata.get(KEY)
        made = entry.get("source") if isinstance(entry, dict) else None
        if record is not None and made is None:
            made = record.source.get("name")  # of a file
        found.append(
            ImageFacts(
                key=key_of(layer),
                name=layer.name,
                plane=open_source(layer).spec.axes.plane,
                made_from=made if record is not None else None,
                recorded=record is not None,
                repeatable=card is not None and card[0],
                calibrated=card is not None and card[1],
                factor=None if record is None else record.model["factor"],
                in_file=has_file(layer),
            )
        )
    return found


def selection_obstacle(viewer: Viewer) -> str:
    """Say why selected images cannot be inspected; an empty text if they can."""
    return " ".join(
        f"{layer.name} cannot be chosen: {obstacle}."
        for layer in viewer.layers
        if layer in viewer.layers.selection
        and isinstance(layer, Image)
        and map_of(layer) is None
        and (obstacle := layer_obstacle(layer)) is not None
    )


def list_region_layers(viewer: Viewer) -> list[Layer]:
    """Return the layers that can hold regions."""
    return [
        layer
        for layer in viewer.layers
        if isinstance(layer, (Labels, Shapes)) and layer.metadata.get(KEY) is None
    ]


def match_obstacle(viewer: Viewer, choice: InspectChoice) -> str | None:
    """Say why the chosen layers do not belong together; None if they do."""
    # axes alone are read, no pixels: it is asked with each change of the form
    layers: dict[str | None, Any] = {key_of(one): one for one in viewer.layers}
    result, *others = (
        layers.get(key) for key in (choice.result, choice.reference, choice.source)
    )
    if result is None or result in others or not any(others):
        return None
    try:
        match_images(
            open_source(result),
            *(one and open_source_on(result, one) for one in others),
        )
    except StructsrError as error:
        return str(error)
    return None


def inspect_layer(viewer: Viewer, state: ErrorDockState) -> Job:
    """Compute maps in the background, after the jobs that were asked for before.

    The state has no obstacle for `run`. The job has been submitted; connect to its
    signals to follow it.
    """
    choice = state.choice
    layers: dict[str | None, Any] = {key_of(one): one for one in viewer.layers}
    result: Image = layers[choice.result]
    reference = layers.get(choice.reference)
    source = layers.get(choice.source)
    drawn = layers.get(choice.regions)
    axes = open_source(result).spec.axes
    regions = drawn and read_regions(drawn, result, axes, everywhere=choice.everywhere)
    request = InspectionRequest(
        result=open_source(result),
        reference=reference and open_source_on(result, reference),
        source=source and open_source_on(result, source),
        record=_find_record(result),
        regions=regions,
        maps=state.maps,
        register=choice.register and reference is not None,
        fit_intensity=choice.fit_intensity and reference is not None,
        device=choice.device,
        calibration=choice.calibration,
        out=choice.folder and _find_free_folder(choice.folder, result.name),
    )
    # filled by the worker, and read once it has finished
    names: dict[int, str] = {}

    def run(cancel: Cancel) -> Iterator[Event]:
        if not choice.scheduler:
            yield from run_inspection(request, names, cancel=cancel)
            return
        # pixels may be compared, which takes time
        stored = _open_files(request, result, reference, source)
        yield from run_on_workers(
            choice.scheduler,
            lambda client: run_inspection(stored, names, cancel=cancel, client=client),
            cancel=cancel,
        )

    job = Job(f"Inspecting {result.name}", run)

    def show(event: Finished) -> None:
        inspection = event.output
        add_map_layer(viewer, result, axes, inspection)
        if drawn is not None and drawn in viewer.layers:
            drawn.features = merge_scores(drawn, inspection.scores, names)

    job.finished.connect(show)
    submit(job)
    return job


def _open_files(
    request: InspectionRequest,
    result: Image,
    reference: Image | None,
    source: Image | None,
) -> InspectionRequest:
    """Let an inspection read files, which workers can open, in place of the layers."""

    def open_one(layer: Image, shown: Source) -> Source:
        file = open_file(layer, shown, moved=True)
        # where it lies in the viewer
        file.spec = shown.spec
        return file

    def open_other(layer: Image | None, shown: Source | None) -> Source | None:
        return open_one(layer, shown) if layer is not None and shown else None

    return replace(
        request,
        result=open_one(result, request.result),
        reference=open_other(reference, request.reference),
        source=open_other(source, request.source),
    )


def run_inspection(
    request: InspectionRequest,
    names: dict[int, str],
    *,
    cancel: Cancel,
    client: Client | None = None,
) -> Iterator[Event]:
    """Run the engine; fill in the names of regions by label."""
    # torch is imported here, in the worker
    from napari_structsr.inspection.error_maps import iter_inspect
    from napari_structsr.inspection.settings import InspectSettings

    labels = None
    if request.regions is not None:
        labels, found = request.regions.label_result()
        names.update(found)
    yield from iter_inspect(
        request.result,
        request.reference,
        source=request.source,
        out=request.out,
        regions=labels,
        region_names=names or None,
        record=request.record,
        settings=InspectSettings(
            maps=request.maps,
            registration=request.register,
            fit_intensity=request.fit_intensity,
            device=request.device,
            calibration=request.calibration,
        ),
        cancel=cancel,
        client=client,
    )


def _find_record(layer: Layer) -> Record | None:
    entry = layer.metadata.get(KEY)
    if not isinstance(entry, dict) or "record" not in entry:
        path = layer.source.path
        return _read_stored_record(str(path)) if path else None
    try:
        record = Record.from_json(entry["record"])
    except StructsrError:
        # written by another version; the result can still be inspected
        return None
    return record if record.task == "upscale" else None


# asked for with each change of the selection
@lru_cache(maxsize=64)
def _read_stored_record(path: str) -> Record | None:
    from napari_structsr.io.records import read_record

    try:
        record = read_record(path)[1]
    except (StructsrError, OSError):
        return None
    return record if record is not None and record.task == "upscale" else None


def _describe_model(record: Record) -> tuple[str, int, float, str | None]:
    # what can be hashed, for the cache of `_check_card`
    model: Any = record.model
    sharpness = model.get("sharpness")
    sharpness = 1.0 if sharpness is None else float(sharpness)
    return str(model["name"]), int(model["factor"]), sharpness, model.get("sha256")


@lru_cache(maxsize=64)
def _check_card(
    name: str, factor: int, sharpness: float, sha256: str | None
) -> tuple[bool, bool]:
    # whether the model can be run again, and whether it is calibrated
    try:
        card = find_card(name, factor=factor, sharpness=sharpness)
    except StructsrError:
        return False, False
    same = card.sha256 == sha256
    return same, same and card.calibration is not None


def save_layer(shown: ShownInspection, parent: Path) -> Job:
    """Write everything that was found into a new folder, in the background.

    The job has been submitted; the output of its `finished` is the `Inspection` as it
    lies in the folder.
    """
    folder = _find_free_folder(parent, shown.result)

    def run(cancel: Cancel) -> Iterator[Event]:
        from napari_structsr.inspection.saving import save_inspection

        yield from save_inspection(shown.inspection, folder, cancel=cancel)

    job = Job(f"Saving the maps of {shown.result}", run)
    submit(job)
    return job


def _find_free_folder(parent: Path, name: str) -> Path:
    # one that is unfinished is gone on with
    stem = re.sub(r"[^\w()+\-]+", "_", name.replace("×", "x")).strip("_") or "result"
    number, folder = 1, parent / f"{stem}_structure_error"
    # the engine writes it last
    while (folder / "inspection.json").exists():
        number += 1
        folder = parent / f"{stem}_structure_error_{number}"
    return folder
