"""Conformal risk control: the least factor on a bound that keeps misses below a risk.

The risk of a patch is the share of its pixels whose error exceeds the bound times the
factor. If the patches at hand and a new one are exchangeable, the expected risk of the
new one is at most alpha (Angelopoulos et al. 2022, theorem 1, losses in 0..1).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from napari_structsr.errors import TrainingError

__all__ = ["controlled_factor", "least_patches"]


def controlled_factor(ratios: npt.NDArray[np.floating], *, alpha: float) -> float:
    """Return the least factor with a controlled risk.

    Parameters
    ----------
    ratios
        Errors over their bounds, shape (patches, pixels).
    alpha
        Share of pixels that may lie outside, on average.

    Returns
    -------
    float
        The least factor at which ``n / (n + 1) * risk + 1 / (n + 1) <= alpha``, where
        n is the number of patches and risk the mean share of ratios above the factor.

    Raises
    ------
    TrainingError
        If no factor can promise that with so few patches.
    """
    count = len(ratios)
    if count < least_patches(alpha):
        raise TrainingError(
            f"{count} patches cannot promise that {1 - alpha:.0%} of pixels lie "
            f"inside; at least {least_patches(alpha)} are needed: give larger or more "
            "images"
        )
    values = np.sort(ratios, axis=None)
    outside = (alpha * (count + 1) - 1) / count
    allowed = min(math.floor(outside * values.size + 1e-9), values.size - 1)
    return float(values[values.size - 1 - allowed])


def least_patches(alpha: float) -> int:
    """Return how many patches a risk needs at least, even if nothing is missed."""
    return math.ceil(1 / alpha - 1 - 1e-9)
