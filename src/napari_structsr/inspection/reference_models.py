"""Which models an inspection runs again on the source, and on which device.

The one that made the result, and one of a shipped pair that it is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_structsr.core.record import Record
from napari_structsr.engine.device import Device, Precision, choose_device
from napari_structsr.errors import DeviceError, ModelError
from napari_structsr.inspection.matching import MatchedImages
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.models.calibration import TrustCalibration, read_calibration
from napari_structsr.models.model import SRModel
from napari_structsr.zoo.catalogue import list_models, load_model

# the shipped pairs, the cautious model of each first: for results that were told the
# optics, the one that is told the same
_PAIR, _TOLD_PAIR = ("faithful", "sharp"), ("conditional", "sharp-conditional")
_TRUSTED = frozenset({"trust", "interval"})


@dataclass(frozen=True)
class ReferenceModels:
    """Models that are run again on the source."""

    own: SRModel | None = None  # the one that made the result
    # the one of a shipped pair of the same factor that the result is compared with: the
    # cautious one, or the sharp one for a result of the cautious one
    faithful: SRModel | None = None
    sharp: SRModel | None = None
    calibration: TrustCalibration | None = None  # how far the own is usually off

    @property
    def artefact(self) -> SRModel | None:
        """The one of the shipped pair that the result is compared with."""
        return self.sharp or self.faithful

    @property
    def loaded(self) -> list[SRModel]:
        """All models that there are."""
        models = (self.own, self.faithful, self.sharp)
        return [model for model in models if model is not None]


def find_models(
    matched: MatchedImages,
    record: Record | None,
    settings: InspectSettings,
    *,
    told: Sequence[tuple[float, float]],
) -> tuple[ReferenceModels, list[str]]:
    """Find the models that can be run again; also return notes for the user."""
    if matched.source is None:
        return ReferenceModels(), []
    factor, notes = matched.factor, []
    # faithful undoes no optics, so that all that was undone would be an artefact
    names = _TOLD_PAIR if told else _PAIR
    # the shipped pairs do not exist for every factor
    offered = {(card.name, card.factor) for card in list_models()}
    pair = [
        load_model(name, factor=factor) if (name, factor) in offered else None
        for name in names
    ]
    own, calibration = None, None
    cautious = pair[0]
    if cautious and any(width != cautious.nearest_width(width) for width, _ in told):
        pair = [None, None]
        notes.append(
            f"more blur was undone than {cautious.card.name} knows: artefacts between "
            "models are left out"
        )
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
        # a model of the same name that was trained again did not make this result
        if own and own.card.sha256 != made.get("sha256"):
            notes.append(
                f"the model {made['name']} has changed since the result was made; "
                "maps that need it are left out"
            )
            own = None
    if settings.calibration:
        calibration = read_calibration(settings.calibration)
    elif own:
        calibration = own.card.calibration
    return ReferenceModels(own, pair[0], pair[1], calibration), notes


def choose_companion(
    device: Device, precision: Precision, models: ReferenceModels
) -> Device:
    """Return the device in the number format that finds artefacts."""
    if models.artefact is None:
        return device
    try:
        return choose_device(device.kind, precision, models.artefact)[0]
    except DeviceError:
        # it has just computed right in the other format
        return device


def keep_needed(models: ReferenceModels, keys: tuple[str, ...]) -> ReferenceModels:
    """Keep only the models that the chosen maps run."""
    artefact = "artefact" in keys
    # a result is compared with the other model of the pair
    cautious = models.own and models.own.card.name in (_PAIR[0], _TOLD_PAIR[0])
    sharp = models.sharp if artefact and cautious else None
    return ReferenceModels(
        own=models.own if "spread" in keys else None,
        faithful=models.faithful if artefact and sharp is None else None,
        sharp=sharp,
        calibration=models.calibration if _TRUSTED & set(keys) else None,
    )
