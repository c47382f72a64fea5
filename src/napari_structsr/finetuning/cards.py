"""What stands on the card of a fine-tuned model, and its calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePath

from napari_structsr.calibration.fit import calibrate
from napari_structsr.calibration.samples import CalibrationPair, sample_pairs
from napari_structsr.core.intensity import Intensity
from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.pair_optics import describe_pair_optics
from napari_structsr.finetuning.region_geometry import Block
from napari_structsr.finetuning.session import TuningSession
from napari_structsr.finetuning.split import Split
from napari_structsr.finetuning.verdict import Verdict
from napari_structsr.models.calibration import TrustCalibration
from napari_structsr.models.card import (
    DataSource,
    FineTuning,
    ModelCard,
    PairRegion,
    TrainingPair,
)
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.image_pair import ImagePair


def make_tuned_card(session: TuningSession, verdict: Verdict) -> ModelCard:
    """Return the card of the model that was made."""
    config, parent = session.config, session.parent.card
    psf_sigma = session.sampler.forward_model.psf_sigma
    if session.parent.conditional:
        # What it is told unless the user says otherwise: the width of the pairs.
        psf_sigma = session.parent.nearest_width(psf_sigma)
    megapixels = session.step * session.batch * session.sampler.patch**2 / 1e6
    count, patch = len(session.pairs), session.sampler.patch
    how = (
        f"fine-tuned from {parent.name}: {session.step} steps of {session.batch} "
        f"patches of {patch} x {patch} measured pixels, "
        f"{config.replay:.0%} of them of the parent's own kind, "
        f"{session.seconds / 60:.1f} minutes on {session.device.label} in "
        f"{session.device.precision}; point-spread sigma {psf_sigma:g} measured pixels"
    )
    if told := describe_pair_optics(session.pairs, session.parent):
        how += f"; {told}"
    own = DataSource(
        name=f"{count} {'pair' if count == 1 else 'pairs'} of the user",
        licence="not stated",
        attribution="not stated",
    )
    # Cards travel, folders do not.
    portable = config.model_copy(
        update={"parent": PurePath(config.parent).name, "pairs": (), "out": None}
    )
    return parent.model_copy(
        update={
            "name": config.name,
            "description": f"Made of {parent.name} by {own.name}. {verdict.sentence}",
            "psf_sigma": psf_sigma,
            "training": how,
            "data": [own, *parent.data],
            "recipe": portable.model_dump_json(exclude_defaults=True),
            "seed": config.seed,
            # That of the parent does not fit these weights; writing the file sets it.
            "sha256": None,
            # A parent from the benchmark gives a model to work with.
            "purpose": "use",
            "seen_megapixels": round((parent.seen_megapixels or 0.0) + megapixels, 1),
            # Weights of the parent's partner lie on no line with these.
            "blend_with": None,
            "sharpness": None,
            "parents": [parent.sha256] if parent.sha256 else [],
            "fine_tuning": _make_record(session, verdict),
        }
    )


def _make_record(session: TuningSession, verdict: Verdict) -> FineTuning:
    """Return from which pairs the model was made, and how it was scored."""

    def blocks(part: Sequence[Block]) -> list[PairRegion]:
        return [PairRegion(**asdict(block)) for block in part]

    pairs = [
        TrainingPair(
            name=pair.name,
            sha256=pair.fingerprint,
            shape=(pair.measured.shape[0], pair.measured.shape[1]),
            psf_sigma=pair.psf_sigma,
            noise=pair.noise,
        )
        for pair in session.pairs
    ]
    # Rows between scores hold losses alone, which mean nothing to a user.
    curves = [row for row in session.curves.rows if "adapted psnr" in row]
    return FineTuning(
        parent=session.parent.card.name,
        pairs=pairs,
        training=blocks(session.split.training),
        validation=blocks(session.split.validation),
        gap=session.split.gap,
        scores={name: dict(values) for name, values in verdict.scores.items()},
        drift=verdict.drift,
        recommended=verdict.recommended,
        sentence=verdict.sentence,
        curves=curves,
    )


def calibrate_tuned(
    model: SRModel,
    pairs: Sequence[ImagePair],
    split: Split,
    *,
    parent: TrustCalibration | None,
) -> tuple[TrustCalibration | None, str]:
    """Calibrate the expected error of a fine-tuned model on its validation regions.

    The network that predicts errors stays that of the parent; what is found anew are
    its factors, by conformal risk control. The same regions have chosen the best
    weights, so that the intervals are a little narrow.

    Parameters
    ----------
    model
        The fine-tuned model, on the CPU.
    pairs, split
        What it was trained and validated on.
    parent
        Calibration of the model that it was made of.

    Returns
    -------
    TrustCalibration or None
        None where the parent has none, or the regions hold too few patches.
    str
        A sentence that says what was done, or why nothing was.
    """
    if parent is None:
        return None, "the parent predicts no errors, and so does this model not"
    regions = []
    for block in split.validation:
        pair = pairs[block.pair]
        # Of the values in 0..1 that a pair holds, hence the identity as intensity.
        gain, floor = pair.noise
        regions.append(
            CalibrationPair(
                block.measured(pair),
                block.truth(pair),
                source="pairs of the user",
                image=str(block.pair),
                intensity=Intensity(0.0, 1.0, gain, floor),
                psf_sigma=pair.psf_sigma,
            )
        )
    # Few or flat regions are no fault of the user: the model is written without.
    try:
        samples = sample_pairs(regions, model)
        found = calibrate(
            samples, model, start=parent, refit=False, conditions="pairs of the user"
        )
    except TrainingError as error:
        return None, f"the expected error of results is not offered: {error}"
    return (
        found,
        f"the expected error of results was calibrated on {found.patches} patches of "
        "the regions held out",
    )
