"""What the card of a fine-tuned model says: from which pairs, how, and how it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePath

from napari_structsr.finetuning.session import TuningSession
from napari_structsr.finetuning.split import Block
from napari_structsr.finetuning.verdict import Verdict
from napari_structsr.models.card import (
    DataSource,
    FineTuning,
    ModelCard,
    PairRegion,
    TrainingPair,
)

__all__ = ["make_tuned_card"]


def make_tuned_card(session: TuningSession, verdict: Verdict) -> ModelCard:
    """Describe the model that was made."""
    config, parent = session.config, session.parent.card
    psf_sigma = session.pool.forward_model.psf_sigma
    megapixels = session.step * session.batch * session.pool.patch**2 / 1e6
    count = len(session.pairs)
    how = (
        f"fine-tuned from {parent.name}: {session.step} steps of {session.batch} "
        f"patches of {session.pool.patch} x {session.pool.patch} measured pixels, "
        f"{config.replay:.0%} of them of the parent's own kind, "
        f"{session.seconds / 60:.1f} minutes on {session.device.label} in "
        f"{session.device.precision}; point-spread sigma {psf_sigma:g} measured pixels"
    )
    own = DataSource(
        name=f"{count} {'pair' if count == 1 else 'pairs'} of the user",
        licence="not stated",
        attribution="not stated",
    )
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
            "sha256": None,
            "purpose": "use",
            "seen_megapixels": round((parent.seen_megapixels or 0.0) + megapixels, 1),
            "blend_with": None,
            "sharpness": None,
            "parents": [parent.sha256] if parent.sha256 else [],
            "fine_tuning": _record(session, verdict),
        }
    )


def _record(session: TuningSession, verdict: Verdict) -> FineTuning:
    """Say from which pairs the model was made, and how it was judged."""

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
    curves = [row for row in session.curves.rows if "adapted psnr" in row]
    return FineTuning(
        parent=session.parent.card.name,
        pairs=pairs,
        training=blocks(session.split.training),
        validation=blocks(session.split.validation),
        guard=session.split.gap,
        scores={name: dict(values) for name, values in verdict.scores.items()},
        drift=verdict.drift,
        recommended=verdict.recommended,
        sentence=verdict.sentence,
        curves=curves,
    )
