"""Pixels that are no number, filled from what lies around them."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_structsr.imaging.forward import smooth

__all__ = ["REACH", "filled"]

REACH = 4
"""Pixels to each side from which a hole is filled."""

_SIGMA = 1.0


def filled(values: Tensor, known: Tensor) -> Tensor:
    """Replace unknown pixels by a weighted mean of the known ones around them.

    Parameters
    ----------
    values
        Shape (N, C, H, W), finite everywhere.
    known
        Which of them are measured, same shape, bool.

    Returns
    -------
    Tensor
        Shape (N, C, H, W). Where nothing is known within reach the value stays.
    """
    weight = smooth(known.float(), _SIGMA)
    mean = smooth(values * known, _SIGMA) / weight.clamp_min(1e-6)
    return torch.where(known | (weight < 1e-6), values, mean)
