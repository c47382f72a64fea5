"""Everything that is settled before the first tile of an inspection.

Which images there are and how they lie, which maps that allows, which models are run
again, and in which units everything is compared. Only samples are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from napari_structsr.core.axes import check_plane
from napari_structsr.core.error_map import MAPS, Need, list_default_maps
from napari_structsr.core.intensity import check_dtype
from napari_structsr.core.record import Record
from napari_structsr.engine.device import Device, Precision, choose_device
from napari_structsr.engine.provenance import find_source, take_fingerprint
from napari_structsr.errors import SettingsError
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.squirrel import SquirrelFit
from napari_structsr.inspection.matching import MatchedImages, match_images
from napari_structsr.inspection.reference_models import (
    ReferenceModels,
    choose_companion,
    find_models,
    keep_needed,
)
from napari_structsr.inspection.reference_shift import register_reference
from napari_structsr.inspection.scaling import (
    Scaling,
    find_dissimilar_images,
    find_unusual_statistics,
    make_squirrel_fit,
    measure_scalings,
    measure_statistics,
)
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.inspection.told_optics import (
    describe_channels,
    find_told,
    find_widths,
    tell_optics,
)
from napari_structsr.io.source import Source, keep_chunks
from napari_structsr.models.model import SRModel
from napari_structsr.zoo.catalogue import load_model


@dataclass(frozen=True)
class Setup:
    """An inspection that can start."""

    matched: MatchedImages
    keys: tuple[str, ...]  # of the maps to compute
    models: ReferenceModels
    # how the result is measured, by channel; the factor is 1 without a source
    forward_models: tuple[ForwardModel, ...]
    # what a calibration is told of each channel as a whole; nothing without a source
    images: tuple[tuple[float, ...], ...]
    # the model that made the result, told the optics of each channel; none where it was
    # told nothing or is not run again
    told_models: tuple[SRModel, ...]
    # so the model that finds artefacts
    told_companions: tuple[SRModel, ...]
    device: Device
    # the same in the number format of the model that finds artefacts
    companion: Device
    # source pixels along the side of what is computed at once, and about of a tile
    block_side: int
    tile_side: int
    scalings: tuple[Scaling, ...]  # of each channel
    # by plane, if that map is computed
    squirrel_fit: Callable[[tuple[int, ...]], SquirrelFit] | None
    alignment: dict[str, Any]  # of `Inspection`
    made_by: str | None  # name or path of the model, where it is known
    notes: tuple[str, ...]
    warnings: tuple[str, ...]  # not to be overlooked
    # those of them that make a map doubtful, by its key
    doubts: dict[str, tuple[str, ...]]
    fingerprint: dict[str, Any]  # of `Record`

    def find_channel(self, plane: tuple[int, ...]) -> int:
        """Return the index along c of a plane."""
        return self.matched.result.spec.axes.channel_of(plane)


def prepare(
    result: Source,
    reference: Source | None,
    source: Source | None,
    *,
    record: Record | None,
    settings: InspectSettings,
    watch: bool = False,
) -> Setup:
    """Check everything and measure what the maps need.

    With `watch` the images are refused from now on once they change on disk.

    Raises
    ------
    StructsrError
        What keeps the inspection from starting.
    """
    for image in filter(None, (result, reference, source)):
        check_dtype(image.spec.dtype)
        check_plane(image.spec.axes)
    notes: list[str] = []
    reason = None
    if source is None:
        source, reason = find_source(record)
        if source is not None:
            notes.append(f"the source is the one of the record: {source.origin}")
        elif reason and reference is not None:
            notes.append(f"maps that need the source are left out: {reason}")
    fingerprint = {}
    if watch:
        # before a pixel is read
        roles = {"result": result, "reference": reference, "source": source}
        fingerprint = {
            role: take_fingerprint(image) for role, image in roles.items() if image
        }
    for image in filter(None, (result, reference, source)):
        keep_chunks(image)
    matched = match_images(result, reference, source, match=settings.match)
    alignment: dict[str, Any] = {}
    if settings.registration:
        matched, alignment = register_reference(matched)
    notes += matched.notes
    scalings = measure_scalings(matched, settings)
    if reference is not None:
        if settings.fit_intensity:
            alignment["gain"] = [scaling.gain for scaling in scalings]
            alignment["offset"] = [scaling.offset for scaling in scalings]
            notes += [
                f"result = {one.gain:.4g} x reference + {one.offset:.4g}, fitted and "
                "undone before comparing"
                for one in scalings
            ]
        alignment["range"] = [[one.truth.low, one.truth.high] for one in scalings]
    told = find_told(record, count=len(scalings))
    models, more = find_models(matched, record, settings, told=told)
    notes += more
    keys = _choose_maps(settings.maps, matched, models, reason=reason)
    widths = find_widths(record, models.loaded, count=len(scalings))
    # the record names the model even where no map runs it
    made_by = models.own.origin if models.own else None
    models = keep_needed(models, keys)
    told_models = tell_optics(models.own, told)
    told_companions = tell_optics(models.artefact, told)
    # most maps run no network, so that the device is tried on bicubic
    precise: Precision = (
        "float32" if settings.precision == "auto" else settings.precision
    )
    device, warning = choose_device(settings.device, precise, load_model("bicubic"))
    companion = choose_companion(device, settings.precision, models)
    for model in (*models.loaded, *told_models, *told_companions):
        model.to(device.kind)
    # counted in source pixels, while memory goes by the finer ones of the maps
    side = device.block * (1 if device.kind == "cpu" else 2)
    block_side = max(64, side // matched.factor)
    warnings = [warning] if warning else []
    doubts = find_dissimilar_images(matched, scalings)
    statistics: tuple[dict[str, float], ...] = ()
    if models.calibration and matched.source:
        statistics = measure_statistics(matched.source, scalings)
        unusual = find_unusual_statistics(statistics, models.calibration)
        doubts += [("calibration", sentence) for sentence in unusual]
    warnings += [sentence for _, sentence in doubts]
    return Setup(
        matched,
        keys,
        models,
        tuple(ForwardModel(matched.factor, width) for width in widths),
        describe_channels(record, widths, scalings, statistics) if statistics else (),
        told_models,
        told_companions,
        device,
        companion,
        block_side,
        settings.tile or block_side,
        scalings,
        make_squirrel_fit(matched, scalings) if "squirrel" in keys else None,
        alignment,
        made_by,
        tuple(notes),
        tuple(warnings),
        _sort_doubts(keys, doubts),
        fingerprint,
    )


def _sort_doubts(
    keys: Sequence[str], doubts: Sequence[tuple[Need, str]]
) -> dict[str, tuple[str, ...]]:
    """Return the sentences that make each map doubtful, if any do."""
    found = {
        key: tuple(sentence for need, sentence in doubts if need in MAPS[key].needs)
        for key in keys
    }
    return {key: sentences for key, sentences in found.items() if sentences}


def _choose_maps(
    wanted: tuple[str, ...] | None,
    matched: MatchedImages,
    models: ReferenceModels,
    *,
    reason: str | None,
) -> tuple[str, ...]:
    """Return the maps to compute, in the order of their list."""
    available: set[Need] = set()
    if matched.reference:
        available.add("reference")
    if matched.source:
        available.add("source")
    if models.own:
        available.add("model")
    if models.calibration:
        available.add("calibration")
    if wanted is None:
        keys = list_default_maps(frozenset(available))
        # artefacts need a source alone by their list, and a shipped model besides
        if models.faithful is None:
            keys = tuple(key for key in keys if key != "artefact")
        if not keys:
            raise SettingsError(
                "there is nothing to compare the result with: "
                + (
                    reason
                    or "give the true image as reference, or the source that it was "
                    "made from"
                )
            )
        return keys
    for key in wanted:
        if missing := sorted(MAPS[key].needs - available):
            needs = ", ".join(_NEEDS[need] for need in missing)
            remedy = reason if reason and "source" in missing else "give it"
            raise SettingsError(
                f"the map {key} needs {needs}; {remedy}, or leave the map out"
            )
        if key == "artefact" and models.faithful is None:
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
