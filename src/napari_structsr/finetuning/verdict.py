"""Whether an adapted model is better than its parent and than bicubic interpolation.

It is reached on tiles of the regions for validation. A recommendation needs all of

1. pairs that correlate: what was measured and the truth go the same way at structures
   of a few pixels. Otherwise a flat image would be the best answer to pairs that were
   mixed up, and would beat both;
2. a mean gain in PSNR over both, large enough to matter, and beyond chance: were gains
   and losses of each tile equally likely, one as large would come less than once in 20
   times (a permutation test of the signs). Fewer than five tiles can never say so;
3. no loss of SSIM against either;
4. structure: a result whose gradients are nearer to the truth than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from napari_structsr.core.types import Float64Array

METHODS = ("bicubic", "parent", "adapted")
MEASURES = ("psnr", "ssim", "gradient_error")

_LEAST_GAIN = 0.05  # dB of PSNR that matter
_LEAST_CORRELATION = 0.3  # median below which pairs are taken for mixed up
_CHANCE = 0.05
_SAMPLES = 9999  # of signs, where there are too many tiles to try all
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
    chance
        How often gains in PSNR as large as over parent and bicubic would come by chance
        alone, the greater of both, 0 to 1.
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
    chance: float
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
    chances = {
        other: measure_chance(scores["adapted"][:, 0] - scores[other][:, 0])
        for other in ("parent", "bicubic")
    }
    reasons = _find_reasons(scores, means, chances, together)
    sentence = (
        _write_refusal(reasons, tiles)
        if reasons
        else _write_recommendation(scores, means, chances["parent"])
    )
    if drift is not None and drift > _LARGE_DRIFT:
        sentence += (
            f" On images of the parent's own kind it loses {drift:.2f} dB: keep the "
            "parent for those."
        )
    chance = max(chances.values())
    return Verdict(means, tiles, together, chance, drift, not reasons, sentence)


def measure_chance(gains: Float64Array) -> float:
    """Return how often gains as large come by chance, from 0 to 1.

    Parameters
    ----------
    gains
        One of each tile. By chance alone each could as well be a loss of its size.
    """
    if len(gains) < 2 or not gains.any():
        return 0.5 if gains.max() > 0 else 1.0
    # exact for up to 13 tiles; a fixed seed, so that scores give one verdict
    found = stats.permutation_test(
        (gains,),
        np.mean,
        permutation_type="samples",
        alternative="greater",
        n_resamples=_SAMPLES,
        random_state=np.random.default_rng(0),
    )
    return float(found.pvalue)


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
    chances: Mapping[str, float],
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
        elif chances[other] >= _CHANCE:
            reasons.append(
                f"the gain of {mean:.2f} dB {against} may be chance: it is positive on "
                f"{_count_better(gains)}, which chance alone gives "
                f"{_write_odds(chances[other])}; keep more or larger regions for "
                "validation"
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


def _count_better(gains: Float64Array) -> str:
    tiles = len(gains)
    return f"{int((gains > 0).sum())} of {tiles} tile{'' if tiles == 1 else 's'}"


def _write_odds(chance: float) -> str:
    """Write a probability as people say it."""
    if chance < 1e-3:
        return "less than once in 1000 times"
    if chance <= 0.1:
        return f"once in {1 / chance:.0f} times"
    return f"{100 * chance:.0f} times in 100"


def _write_refusal(reasons: list[str], tiles: int) -> str:
    return (
        f"Not recommended: {'; '.join(reasons)}. Validated on {tiles} "
        f"{'tile' if tiles == 1 else 'tiles'} that were held out; required is a gain "
        "in PSNR over the parent and over bicubic beyond chance, without a loss of "
        "SSIM. More or better pairs, or a longer training, may help."
    )


def _write_recommendation(
    scores: Mapping[str, Float64Array],
    means: Mapping[str, Mapping[str, float]],
    chance: float,
) -> str:
    gains = {
        other: means["adapted"]["psnr"] - means[other]["psnr"]
        for other in ("parent", "bicubic")
    }
    better = scores["adapted"][:, 0] - scores["parent"][:, 0]
    sentence = (
        f"Recommended: on {len(better)} tiles that were held out it gains "
        f"{gains['parent']:.2f} dB over its parent and {gains['bicubic']:.2f} dB over "
        f"bicubic, and loses no SSIM. It is better than its parent on "
        f"{_count_better(better)}, which chance alone gives {_write_odds(chance)}."
    )
    worse = means["adapted"]["gradient_error"] - means["parent"]["gradient_error"]
    if worse > 0:
        sentence += f" Mind that its structure error is {worse:.3f} above the parent's."
    return sentence
