"""What stands before the first tile of an inspection.

Which images there are and how they lie, which maps that allows, which models are run
again, and in which units everything is compared. Samples are read here, no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_structsr.core.axes import check_plane
from napari_structsr.core.error_map import MAPS, Need, default_maps
from napari_structsr.core.intensity import Intensity, check_dtype
from napari_structsr.core.record import Record
from napari_structsr.engine.device import choose_device
from napari_structsr.engine.provenance import find_source
from napari_structsr.errors import ModelError, SettingsError
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.inspection.map_block import ReferenceModels
from napari_structsr.inspection.map_tiles import MapComputer
from napari_structsr.inspection.matching import MatchedImages, match_images
from napari_structsr.inspection.reference_shift import register_reference
from napari_structsr.inspection.scaling import (
    find_dissimilar_images,
    find_unusual_statistics,
    measure_scalings,
    prepare_squirrel_fits,
)
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.io.source import Source
from napari_structsr.models.calibration import read_calibration
from napari_structsr.zoo.catalogue import list_models, load_model

__all__ = ["Setup", "prepare"]

_FAITHFUL, _SHARP = "faithful", "sharp"
_TRUSTED = frozenset({"trust", "interval"})


@dataclass(frozen=True)
class Setup:
    """An inspection that can start.

    Parameters
    ----------
    matched
        The images on one grid.
    computer
        What computes maps, its statistics set.
    notes
        Sentences for the user.
    warnings
        Sentences that the user must not overlook.
    alignment
        See `Inspection`.
    ranges
        Values taken as 0 and 1, by channel.
    model
        Name or path of the model that made the result, where it is known.
    """

    matched: MatchedImages
    computer: MapComputer
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    alignment: dict[str, Any]
    ranges: tuple[Intensity, ...]
    model: str | None


def prepare(
    result: Source,
    reference: Source | None,
    source: Source | None,
    *,
    record: Record | None,
    settings: InspectSettings,
) -> Setup:
    """Check everything and measure what the maps need.

    Raises
    ------
    StructsrError
        What keeps the inspection from starting.
    """
    for image in filter(None, (result, reference, source)):
        check_dtype(image.spec.dtype)
        check_plane(image.spec.axes)
    notes: list[str] = []
    lost = None
    if source is None:
        source, lost = find_source(record)
        if source is not None:
            notes.append(f"the source is the one of the record: {source.origin}")
        elif lost and reference is not None:
            notes.append(f"maps that need the source are left out: {lost}")
    matched = match_images(result, reference, source, match=settings.match)
    notes += matched.notes
    alignment: dict[str, Any] = {}
    if settings.registration:
        matched = register_reference(matched, alignment, notes)
    scalings = measure_scalings(matched, settings, alignment, notes)
    companions = _companions(matched, record, settings, notes)
    keys = _chosen(settings.maps, matched, companions, lost=lost)
    forward = ForwardModel(matched.factor, _psf_sigma(record, companions))
    made_by = companions.own.origin if companions.own else None
    companions = _needed(companions, keys)
    device, warning = choose_device(
        settings.device, settings.precision, load_model("bicubic")
    )
    for model in companions.loaded:
        model.to(device.kind)
    computer = MapComputer(
        keys,
        forward_model=forward,
        companions=companions,
        device=device,
        tile=settings.tile,
    )
    computer.scalings = scalings
    if "squirrel" in keys:
        computer.fits = prepare_squirrel_fits(matched, scalings)
    warnings = [warning] if warning else []
    warnings += find_dissimilar_images(matched, scalings)
    if companions.calibration and matched.source:
        warnings += find_unusual_statistics(
            matched.source, scalings, companions.calibration
        )
    ranges = tuple(scaling.truth for scaling in scalings)
    return Setup(
        matched, computer, tuple(notes), tuple(warnings), alignment, ranges, made_by
    )


def _companions(
    matched: MatchedImages,
    record: Record | None,
    settings: InspectSettings,
    notes: list[str],
) -> ReferenceModels:
    """Find the models that can be run again."""
    if matched.source is None:
        return ReferenceModels()
    factor = matched.factor
    offered = {(card.name, card.factor) for card in list_models()}
    pair = [
        load_model(name, factor=factor) if (name, factor) in offered else None
        for name in (_FAITHFUL, _SHARP)
    ]
    own, calibration = None, None
    if settings.model:
        own = load_model(settings.model, factor=factor)
    elif record is not None and record.task == "upscale":
        made = record.model
        try:
            own = load_model(
                made["name"], factor=factor, sharpness=made.get("sharpness", 1.0)
            )
        except ModelError as error:
            notes.append(f"the model of the result cannot be run again: {error}")
        if own and own.card.sha256 != made["sha256"]:
            notes.append(
                f"the model {made['name']} has changed since the result was made; "
                "maps that need it are left out"
            )
            own = None
    if settings.calibration:
        calibration = read_calibration(settings.calibration)
    elif own:
        calibration = own.card.calibration
    return ReferenceModels(own, pair[0], pair[1], calibration)


def _needed(companions: ReferenceModels, keys: tuple[str, ...]) -> ReferenceModels:
    """Keep only the models that the chosen maps run."""
    artefact = "artefact" in keys
    faithful_made_it = companions.own and companions.own.card.name == _FAITHFUL
    sharp = companions.sharp if artefact and faithful_made_it else None
    return ReferenceModels(
        own=companions.own if "spread" in keys else None,
        faithful=companions.faithful if artefact and sharp is None else None,
        sharp=sharp,
        calibration=companions.calibration if _TRUSTED & set(keys) else None,
    )


def _chosen(
    wanted: tuple[str, ...] | None,
    matched: MatchedImages,
    companions: ReferenceModels,
    *,
    lost: str | None,
) -> tuple[str, ...]:
    """Return the maps to compute, in the order of their list."""
    available: set[Need] = set()
    if matched.reference:
        available.add("reference")
    if matched.source:
        available.add("source")
    if companions.own:
        available.add("model")
    if companions.calibration:
        available.add("calibration")
    if wanted is None:
        keys = default_maps(frozenset(available))
        if companions.faithful is None:
            keys = tuple(key for key in keys if key != "artefact")
        if not keys:
            raise SettingsError(
                "there is nothing to compare the result with: "
                + (
                    lost
                    or "give the true image as reference, or the source that it was "
                    "made from"
                )
            )
        return keys
    for key in wanted:
        if missing := sorted(MAPS[key].needs - available):
            needs = ", ".join(_NEEDS[need] for need in missing)
            remedy = lost if lost and "source" in missing else "give it"
            raise SettingsError(
                f"the map {key} needs {needs}; {remedy}, or leave the map out"
            )
        if key == "artefact" and companions.faithful is None:
            raise SettingsError(
                f"there is no faithful model for the factor {matched.factor} to find "
                "artefacts with; leave the map out"
            )
    return tuple(key for key in MAPS if key in wanted)


_NEEDS: dict[Need, str] = {
    "reference": "a reference",
    "source": "the source that the result was made from",
    "model": "the model that made the result (by its record, or --model)",
    "calibration": "a calibration of that model (in its card, or --calibration)",
}


def _psf_sigma(record: Record | None, companions: ReferenceModels) -> float:
    """Return the width of the point-spread function, in source pixels."""
    if record is not None and "psf_sigma" in record.model:
        return float(record.model["psf_sigma"])
    models = companions.loaded
    return models[0].card.psf_sigma if models else load_model("bicubic").card.psf_sigma
