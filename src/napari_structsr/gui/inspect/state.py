"""From what the user wants to inspect to what the dock shows: no Qt, no napari.

Layers are named by keys that stay when a layer gets another name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_structsr.core.error_map import MAPS, ErrorMap, Need
from napari_structsr.gui.inspect.roles import (
    ImageFacts,
    find_factor,
    find_roles,
    find_source,
)
from napari_structsr.gui.viewer.cluster_words import (
    describe_memory,
    find_reading_obstacle,
)

_SHIPPED = (2, 4)  # factors of faithful
_UNSUPPORTED = (
    "Without a reference the maps say where the result is unsupported, not where it is "
    "wrong."
)
_MISSING: dict[Need, str] = {
    "reference": "It needs a reference: choose the ground truth above.",
    "source": "It needs the source: choose the image the result was made from above.",
    "model": "It needs the model that made the result: this layer holds no record of "
    "a run whose model can be run again.",
    "calibration": "It needs a calibration: the model that made the result has none. "
    "Choose a file of structsr calibrate.",
}


@dataclass(frozen=True)
class InspectChoice:
    """What the user wants; settings of the engine are as in `InspectSettings`."""

    # keys of image layers
    result: str | None = None
    reference: str | None = None
    source: str | None = None
    # key of a Shapes or Labels layer; None for whole planes
    regions: str | None = None
    # whether shapes drawn on one plane count on all planes
    everywhere: bool = True
    # keys of the maps that are ticked
    maps: frozenset[str] = frozenset(key for key in MAPS if MAPS[key].default)
    register: bool = False
    fit_intensity: bool = False
    # None keeps results in memory
    folder: Path | None = None
    device: str = "auto"
    # address of a dask scheduler whose workers do it; empty for this computer
    scheduler: str = ""
    # a file of the user, in place of the calibration of the model
    calibration: Path | None = None


@dataclass(frozen=True)
class ErrorDockState:
    """What the form shows."""

    # as far as it can be granted
    choice: InspectChoice
    # why each map cannot be computed
    obstacles: Mapping[str, str | None]
    # those to compute, in their order
    maps: tuple[str, ...]
    # what cannot be chosen, or what would allow more, or ""
    hint: str
    # why the button cannot work
    run: str | None
    swap: str | None


def suggest(
    images: Sequence[ImageFacts],
    selected: Sequence[str],
    *,
    choice: InspectChoice | None = None,
) -> InspectChoice:
    """Fill in result, reference and source from the selection, see `find_roles`."""
    roles = find_roles(images, selected)
    result, reference, source = (None if role is None else role.key for role in roles)
    return replace(
        choice or InspectChoice(), result=result, reference=reference, source=source
    )


def swap_roles(choice: InspectChoice, images: Sequence[ImageFacts]) -> InspectChoice:
    """Let result and reference change places."""
    by_key = {image.key: image for image in images}
    result = by_key.get(choice.reference or "")
    source = find_source(result, images) if result else None
    return replace(
        choice,
        result=choice.reference,
        reference=choice.result,
        source=source.key if source else None,
    )


def resolve_inspection(
    choice: InspectChoice,
    images: Sequence[ImageFacts],
    *,
    regions: Collection[str] = (),
    match_obstacle: str | None = None,
    selection_obstacle: str = "",
    busy: bool = False,
    has_dask: bool = True,
) -> ErrorDockState:
    """Decide what the dock shows, from the form and what there is.

    `regions` are keys of layers that can hold some; the obstacles say why the layers do
    not fit each other, and why selected ones cannot be chosen; `busy` is a dock whose
    inspection has not ended, and `has_dask` whether what talks to a cluster is there.
    """
    by_key = {image.key: image for image in images}
    # layers may have gone since they were chosen
    choice = replace(
        choice,
        result=choice.result if choice.result in by_key else None,
        reference=choice.reference if choice.reference in by_key else None,
        source=choice.source if choice.source in by_key else None,
        regions=choice.regions if choice.regions in regions else None,
    )
    result, source = (by_key.get(key or "") for key in (choice.result, choice.source))
    factor = find_factor(result, source) if result and source else None
    obstacles = {
        key: _find_map_obstacle(entry, choice, result, factor)
        for key, entry in MAPS.items()
    }
    unsupported = result and choice.source and not choice.reference
    maps = tuple(key for key in MAPS if key in choice.maps and not obstacles[key])
    return ErrorDockState(
        choice=choice,
        obstacles=obstacles,
        maps=maps,
        hint=selection_obstacle or (_UNSUPPORTED if unsupported else ""),
        run=_find_run_obstacle(
            choice,
            by_key,
            maps,
            match_obstacle=match_obstacle,
            busy=busy,
            has_dask=has_dask,
        ),
        swap=None if choice.reference else "There is no reference to swap with.",
    )


def describe_map(entry: ErrorMap, obstacle: str | None = None) -> str:
    """Say what a map is called, means and cannot see, and why it cannot be computed."""
    title = f"{entry.title[:1].upper()}{entry.title[1:]}"
    text = f"{title}: {entry.meaning}\n\nCannot see: {entry.blind}"
    return f"{obstacle}\n\n{text}" if obstacle else text


def _find_run_obstacle(
    choice: InspectChoice,
    images: Mapping[str, ImageFacts],
    maps: Sequence[str],
    *,
    match_obstacle: str | None,
    busy: bool,
    has_dask: bool,
) -> str | None:
    if not images:
        return "There is no image layer: open a result to inspect."
    if choice.result is None:
        return "Choose the result to inspect."
    if busy:
        return "An inspection is under way: wait for it, or cancel it."
    if choice.reference is None and choice.source is None:
        made = images[choice.result].made_from
        return (
            "Choose a reference, which is the ground truth, or the source that the "
            f"result was made from{f'; it was {made}' if made else ''}."
        )
    for role in ("reference", "source"):
        if getattr(choice, role) == choice.result:
            return f"The result and its {role} are the same layer; choose another."
    if choice.reference == choice.source:
        return "Reference and source are the same layer; choose another."
    if match_obstacle:
        return match_obstacle
    if choice.calibration is not None and not choice.calibration.is_file():
        return f"There is no file {choice.calibration}; choose a calibration, or none."
    if choice.folder == Path():
        return "Choose the folder for the maps."
    if choice.folder is not None and not choice.folder.is_dir():
        return f"The folder {choice.folder} does not exist."
    if choice.scheduler:
        roles = (choice.result, choice.reference, choice.source)
        chosen = [images[key] for key in roles if key is not None]
        memory = [image.name for image in chosen if not image.in_file]
        if obstacle := find_reading_obstacle(memory, has_dask=has_dask):
            return obstacle
        if choice.folder is None:
            return describe_memory("Folder")
    return None if maps else "Tick at least one map."


def _find_map_obstacle(
    entry: ErrorMap,
    choice: InspectChoice,
    result: ImageFacts | None,
    factor: int | None,
) -> str | None:
    # the model runs again on the source, which must have its factor
    fits = result is not None and factor == result.factor
    there: dict[Need, bool] = {
        "reference": choice.reference is not None,
        "source": choice.source is not None,
        "model": result is not None and result.repeatable and fits,
        "calibration": choice.calibration is not None
        or (result is not None and result.calibrated and fits),
    }
    for need, sentence in _MISSING.items():
        if need in entry.needs and not there[need]:
            return sentence
    # it compares with what a faithful model makes of the same source
    if entry.key == "artefact" and factor not in _SHIPPED:
        return "It needs a factor of 2 or 4, for which there is a faithful model."
    return None
