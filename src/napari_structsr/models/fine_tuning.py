"""What a card says of a fine-tuning: from which pairs, how judged, with what success.

Everything that tells whether a model suits an image travels with the model, without
the images themselves.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["TRAINABLE", "FineTuning", "PairRegion", "TrainingPair"]

TRAINABLE = ("residual-generator", "srresnet", "rrdb", "swinir")
"""Architectures that can be fine-tuned; others are interpolations or foreign."""

_Span = Annotated[tuple[int, int], Field(strict=False)]


class _Entry(BaseModel):
    """An entry of a card: unknown names are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TrainingPair(_Entry):
    """One pair of the user.

    Parameters
    ----------
    name
        As the user saw it.
    sha256
        Hash of both images.
    shape
        Height and width in measured pixels.
    psf_sigma
        Point-spread width between truth and measurement, in measured pixels.
    noise
        Rise of the noise variance with the value, and the variance at value 0.
    """

    name: str
    sha256: str
    shape: _Span
    psf_sigma: float
    noise: Annotated[tuple[float, float], Field(strict=False)] = (0.0, 0.0)


class PairRegion(_Entry):
    """A rectangle of a pair: its index, and first and last + 1 measured pixel."""

    pair: int
    rows: _Span
    columns: _Span


class FineTuning(_Entry):
    """How a model was made from another one.

    Parameters
    ----------
    parent
        Name of the model that it began as; its hash stands in the card's `parents`.
    pairs
        What it was taught with.
    training, validation
        Regions that taught, and those that judged.
    guard
        Measured pixels between the two.
    scores
        By the method ("bicubic", "parent", "adapted") and the measure, means over the
        regions that judged.
    drift
        dB lost on images of the parent's own kind; None if that was not measured.
    recommended
        Whether it beat both others beyond chance.
    sentence
        The verdict in words.
    curves
        By step: scores of the regions that judged, drift, and share of the way from the
        weights of the parent to the trained ones.
    """

    parent: str
    pairs: list[TrainingPair]
    training: list[PairRegion]
    validation: list[PairRegion]
    guard: int
    scores: dict[str, dict[str, float]] = {}
    drift: float | None = None
    recommended: bool = False
    sentence: str = ""
    curves: list[dict[str, float]] = []
