"""Whether an adapted model is better than its parent and than bicubic interpolation.

It is reached on tiles of the regions for validation. A recommendation needs all of

1. pairs that correlate: what was measured and the truth go the same way at structures
   of a few pixels. Otherwise a flat image would be the best answer to pairs that were
   mixed up, and would beat both;
2. a mean gain in PSNR over both, large enough to matter, and beyond chance: above zero
   in 95% of bootstrap samples of the tiles (Efron 1979), or on every tile where there
   are few;
3. no loss of SSIM against either;
4. structure: a result whose gradients are nearer to the truth than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from napari_structsr.core.types import Float64Array

METHODS = ("bicubic", "parent", "adapted")
MEASURES = ("psnr", "ssim", "gradient_error")

_LEAST_GAIN = 0.05  # dB of PSNR that matter
_LEAST_CORRELATION = 0.3  # median below which pairs are taken for mixed up
_FEW = 6  # tiles below which each of them must gain
_SAMPLES = 2000  # of the bootstrap
_CHANCE = 0.05
_LARGE_DRIFT = 0.2  # dB


@dataclass(frozen=True)
class Verdict:
    """How an adapted model did on the regions for validation.

    Parameters
    ----------
    scores
        Means over the tiles, by method ("bicubic", "parent", "adapted") and measure
        ("psnr" in dB, "ssim", "gradient_error").
    tiles
        Number of tiles.
    pair_correlation
        Median correlation of measurement and truth.
    drift
        dB lost on images of the parent's own kind; None if that was not measured.
    recommended
        Whether the adapted model should be used instead of the other two.
    sentence
        The verdict, with what was required and what was found.
    """

    scores: Mapping[str, Mapping[str, float]]
    tiles: int
    pair_correlation: float
    drift: float | None
    recommended: bool
    sentence: str


def reach_verdict(
    scores: Mapping[str, Float64Array],
    *,
    pair_correlation: Float64Array,
    drift: float | None = None,
) -> Verdict:
    """Return whether an adapted model should be used, and why.

    Parameters
    ----------
    scores
        For each of `METHODS`, shape (tiles, 3), columns as in `MEASURES`.
    pair_correlation
        Correlation of measurement and truth of each tile, NaN for flat ones.
    drift
        dB lost on images of the parent's own kind.
    """
    means = average_tiles(scores)
    tiles = len(scores["adapted"])
    # Flat tiles correlate with nothing.
    known = pair_correlation[np.isfinite(pair_correlation)]
    # The median: one odd tile does not condemn the pairs.
    together = float(np.median(known)) if len(known) else 0.0
    reasons = _find_reasons(scores, means, together)
    sentence = (
        _write_refusal(reasons, tiles)
        if reasons
        else _write_recommendation(means, scores["adapted"])
    )
    if drift is not None and drift > _LARGE_DRIFT:
        sentence += (
            f" On images of the parent's own kind it loses {drift:.2f} dB: keep the "
            "parent for those."
        )
    return Verdict(means, tiles, together, drift, not reasons, sentence)


def average_tiles(
    scores: Mapping[str, Float64Array],
) -> dict[str, dict[str, float]]:
    """Return means over the tiles by method and measure; scores as of a verdict."""
    return {
        method: dict(zip(MEASURES, scores[method].mean(axis=0).tolist(), strict=True))
        for method in METHODS
    }


def _find_reasons(
    scores: Mapping[str, Float64Array],
    means: Mapping[str, Mapping[str, float]],
    together: float,
) -> list[str]:
    """Return what speaks against the adapted model."""
    if together < _LEAST_CORRELATION:
        return [
            "the measured and the true regions do not seem to belong together (their "
            f"structures correlate by {together:.2f}, {_LEAST_CORRELATION} is "
            "required); check the pairs"
        ]
    reasons = []
    for other, name in (("parent", "the parent"), ("bicubic", "bicubic")):
        gains = scores["adapted"][:, 0] - scores[other][:, 0]
        mean = float(gains.mean())
        against = f"against {name}"
        if mean < _LEAST_GAIN:
            reasons.append(
                f"PSNR {against} changes by {mean:+.2f} dB in the mean, "
                f"{_LEAST_GAIN:+.2f} dB are required"
            )
        elif not _is_beyond_chance(gains):
            reasons.append(
                f"the gain of {mean:.2f} dB {against} may be chance: it is positive on "
                f"{int((gains > 0).sum())} of {len(gains)} tiles"
            )
        loss = means[other]["ssim"] - means["adapted"]["ssim"]
        if loss > 0:
            reasons.append(f"SSIM {against} falls by {loss:.4f}")
    error = means["adapted"]["gradient_error"]
    # PSNR alone can be won by blur.
    if error >= 1:
        reasons.append(
            f"its gradients are no nearer to the truth than those of a flat image "
            f"(structure error {error:.2f})"
        )
    return reasons


def _is_beyond_chance(gains: Float64Array) -> bool:
    """Tell whether the mean gain is above zero with confidence."""
    # A bootstrap of so few tiles is no estimate.
    if len(gains) < _FEW:
        return bool((gains > 0).all())
    # A fixed seed: the same scores give the same verdict.
    draws = np.random.default_rng(0).integers(0, len(gains), (_SAMPLES, len(gains)))
    return float(np.quantile(gains[draws].mean(axis=1), _CHANCE)) > 0


def _write_refusal(reasons: list[str], tiles: int) -> str:
    return (
        f"Not recommended: {'; '.join(reasons)}. Validated on {tiles} "
        f"{'tile' if tiles == 1 else 'tiles'} that were held out; required is a gain "
        "in PSNR over the parent and over bicubic beyond chance, without a loss of "
        "SSIM. More or better pairs, or a longer training, may help."
    )


def _write_recommendation(
    means: Mapping[str, Mapping[str, float]], adapted: Float64Array
) -> str:
    gains = {
        other: means["adapted"]["psnr"] - means[other]["psnr"]
        for other in ("parent", "bicubic")
    }
    tiles = len(adapted)
    sentence = (
        f"Recommended: on {tiles} {'tile' if tiles == 1 else 'tiles'} that were "
        f"held out it gains {gains['parent']:.2f} dB over its parent and "
        f"{gains['bicubic']:.2f} dB over bicubic, "
        f"{'on every tile' if tiles < _FEW else 'beyond chance'}, and loses no SSIM."
    )
    worse = means["adapted"]["gradient_error"] - means["parent"]["gradient_error"]
    if worse > 0:
        sentence += f" Mind that its structure error is {worse:.3f} above the parent's."
    return sentence
