"""Conformal risk control: the least factor on a bound that keeps misses below a risk.

The risk of a unit, an image or a patch, is the share of its pixels whose error exceeds
the bound times the factor. If the units at hand and a new one are exchangeable, the
expected risk of the new one is at most alpha (Angelopoulos et al. 2022, theorem 1,
losses in 0..1). Where units weigh differently, as many count as would give the mean
the same variance if they weighed alike (Kish 1965).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from napari_structsr.errors import TrainingError


def find_controlled_factor(
    ratios: npt.NDArray[np.floating],
    *,
    alpha: float,
    weights: npt.NDArray[np.floating] | None = None,
    number: float | None = None,
) -> float:
    """Return the least factor with a controlled risk.

    Parameters
    ----------
    ratios
        Errors over their bounds, shape (patches, pixels).
    alpha
        Share of pixels that may lie outside, on average.
    weights
        Of each patch; by default all weigh alike.
    number
        How many independent units the patches stand for; by default each is one.

    Returns
    -------
    float
        The least factor at which ``n / (n + 1) * risk + 1 / (n + 1) <= alpha``, where
        n is `number` and risk the weighted mean share of ratios above the factor.

    Raises
    ------
    TrainingError
        If no factor can promise that with so few patches.
    """
    count = len(ratios) if number is None else number
    needed = count_least_units(alpha)
    if count < needed:
        raise TrainingError(
            f"{count:.0f} patches cannot promise that {1 - alpha:.0%} of pixels lie "
            f"inside; at least {needed} are needed: give larger or more images"
        )
    weights = np.ones(len(ratios)) if weights is None else weights
    # from the largest ratio down, until the share that may lie outside is used up
    order = np.argsort(-ratios, axis=None)
    above = np.cumsum(np.repeat(weights, ratios.shape[1])[order])
    # the bound above, solved for the share that may lie outside
    outside = (alpha * (count + 1) - 1) / count
    # 1e-12: a share that is met exactly must not be lost to rounding
    allowed = np.searchsorted(above, (outside + 1e-12) * above[-1], side="right")
    return float(ratios.ravel()[order[min(int(allowed), len(order) - 1)]])


def count_effective_units(
    units: npt.NDArray[np.integer], weights: npt.NDArray[np.floating]
) -> float:
    """Return how many equal units tell as much, by unit and weight of each patch."""
    # Kish 1965: the mean of that many equal units has the same variance
    each = np.bincount(units, weights)
    return float(each.sum() ** 2 / (each**2).sum())


def count_least_units(alpha: float) -> int:
    """Return how many units a risk needs at least, even if nothing is missed."""
    # even without a miss the bound is 1 / (n + 1); less 1e-9, as 1 / 0.05 is rounded
    return math.ceil(1 / alpha - 1 - 1e-9)
