"""Gradients as differences between neighbouring pixels."""

from __future__ import annotations

from torch import Tensor

__all__ = ["forward_differences"]


def forward_differences(image: Tensor) -> list[Tensor]:
    """Return the differences to the next pixel along each spatial axis.

    The finest detail counts in full; the last pixel has none across the border.

    Parameters
    ----------
    image
        Shape (N, C, H, W), or with more spatial axes.

    Returns
    -------
    list of Tensor
        One of the shape of `image` for each spatial axis, 0 at its last pixel.
    """
    slopes = []
    for dim in range(2, image.ndim):
        last = image.narrow(dim, image.shape[dim] - 1, 1)
        slopes.append(image.diff(dim=dim, append=last))
    return slopes
