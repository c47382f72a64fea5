"""Where structure is wrong, given the truth: maps, and scores made from them.

All images are torch tensors of shape (N, C, H, W) in one unit, usually 0..1. Maps
have the same shape, scores have shape (N,). `similarity` holds the family of SSIM,
`spectrum` what is measured by frequency.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor

from napari_structsr.imaging.filters import (
    correlate_separable,
    forward_differences,
    map_row_chunks,
    reflect_pad,
)

__all__ = [
    "GRADIENT_RADIUS",
    "Change",
    "change_map",
    "change_shares",
    "gradient_difference_map",
    "gradient_error",
    "gradient_similarity_map",
    "intensity_slope",
]

GRADIENT_RADIUS = 1
"""Pixels beyond which the maps of gradients do not look; `change_map` looks at one."""

_STEADY = 170 / 255**2  # T of Xue et al., who take grey values of 0..255
_DECAY = 0.8  # of the scores of improvement and omission, Aybar et al. 2024
_SPREAD = 0.4  # of the score of hallucination


class Change(IntEnum):
    """What a pixel of a result is, compared with the interpolated measurement."""

    WITHIN_NOISE = 0
    IMPROVEMENT = 1
    OMISSION = 2
    HALLUCINATION = 3


def gradient_difference_map(result: Tensor, truth: Tensor) -> Tensor:
    """Return how far the gradients differ, as vectors.

    The length of the difference sees a turned filament, which a difference of lengths
    misses. Gradients are differences to the next pixel, so that the finest detail
    counts; the last row and column have none across the border.

    Parameters
    ----------
    result, truth
        Shape (N, C, H, W).

    Returns
    -------
    Tensor
        Shape (N, C, H, W), 0 where the gradients are equal.
    """
    return _length(*forward_differences(result - truth))


def gradient_similarity_map(
    result: Tensor, truth: Tensor, *, data_range: float = 1.0
) -> Tensor:
    """Return how similar the strengths of the gradients are, whatever their direction.

    With m the length of the Prewitt gradient,
    ``(2 m_x m_z + T) / (m_x² + m_z² + T)``. T is that of the paper, 170 for grey values
    of 0..255, which is 0.0026 of the range squared. The paper first halves the images
    for the eye of a person; here nothing is left out, since the finest detail is what
    super-resolution adds.

    Parameters
    ----------
    result, truth
        Shape (N, C, H, W). They continue beyond the border as their mirror image, the
        border pixel once.
    data_range
        Range of intensities.

    Returns
    -------
    Tensor
        Shape (N, C, H, W), above 0 and at most 1, which is equality.

    References
    ----------
    W. Xue, L. Zhang, X. Mou, A. Bovik, "Gradient magnitude similarity deviation: a
    highly efficient perceptual image quality index", IEEE TIP 23, 2014.
    """
    steady = _STEADY * data_range**2

    def similarity(x: Tensor, z: Tensor) -> Tensor:
        length_x, length_z = _prewitt(x), _prewitt(z)
        unlike = (length_x - length_z) ** 2
        return 1 - unlike / (length_x**2 + length_z**2 + steady)

    return map_row_chunks(similarity, result, truth, radius=GRADIENT_RADIUS)


def gradient_error(result: Tensor, truth: Tensor) -> Tensor:
    """Return the sum of gradient differences over that of the gradients of the truth.

    Parameters
    ----------
    result, truth
        Shape (N, C, H, W).

    Returns
    -------
    Tensor
        Shape (N,): 0 for equality, 1 for a constant image.
    """
    wrong = gradient_difference_map(result, truth).flatten(1).sum(dim=1)
    return wrong / _length(*forward_differences(truth)).flatten(1).sum(dim=1)


def change_map(
    result: Tensor, truth: Tensor, base: Tensor, *, noise: Tensor | float
) -> Tensor:
    """Tell what each pixel is: improvement, omission or hallucination.

    With the distances of the result from the truth, d_im, and from the interpolated
    measurement, d_om, both in units of the distance between the two, and
    H = d_im + d_om - 1, the smallest of these decides::

        improvement     d_im + d_om (1 - exp(-0.8 H))
        omission        d_om + d_im (1 - exp(-0.8 H))
        hallucination   exp(-0.4 d_im d_om)

    Parameters
    ----------
    result, truth, base
        Shape (N, C, H, W); `base` is the interpolated measurement.
    noise
        Differences that noise of the measurement can explain, such as twice its
        standard deviation; a number, or broadcast to the shape. It is the least unit
        of the distances, so that where truth and measurement agree an invention is
        still found. Pixels where all three images lie within it are not classed.

    Returns
    -------
    Tensor
        Values of `Change`, uint8, shape (N, C, H, W).

    References
    ----------
    C. Aybar, D. Montero, S. Donike, F. Kalaitzis, L. Gómez-Chova, "A comprehensive
    benchmark for optical remote sensing image super-resolution", IEEE GRSL 21, 2024
    (opensr-test).
    """

    def classed(x: Tensor, z: Tensor, u: Tensor, noise: Tensor) -> Tensor:
        to_truth, to_base, known = (x - z).abs(), (x - u).abs(), (u - z).abs()
        unit = torch.maximum(known, noise).clamp_min_(torch.finfo(z.dtype).tiny)
        d_im, d_om = to_truth / unit, to_base / unit
        excess = 1 - torch.exp(-_DECAY * (d_im + d_om - 1))
        better = d_im + d_om * excess
        missing = d_om + d_im * excess
        invented = torch.exp(-_SPREAD * d_im * d_om)
        classes = torch.where(
            better <= missing, int(Change.IMPROVEMENT), int(Change.OMISSION)
        )
        worst = invented < torch.minimum(better, missing)
        classes = torch.where(worst, int(Change.HALLUCINATION), classes)
        largest = torch.maximum(torch.maximum(to_truth, to_base), known)
        within = int(Change.WITHIN_NOISE)
        return torch.where(largest <= noise, within, classes).to(torch.uint8)

    noise = torch.as_tensor(noise, dtype=truth.dtype, device=truth.device)
    return map_row_chunks(
        classed, result, truth, base, noise.expand_as(truth), radius=0
    )


def change_shares(changes: Tensor) -> dict[Change, Tensor]:
    """Return the share of pixels of each class.

    Parameters
    ----------
    changes
        What `change_map` returns.

    Returns
    -------
    dict of Change to Tensor
        Shape (N,) each; they sum to 1.
    """
    flat = changes.flatten(1)
    return {kind: (flat == kind).double().mean(dim=1) for kind in Change}


def intensity_slope(result: Tensor, truth: Tensor) -> Tensor:
    """Return the slope of the least-squares line of the result over the truth.

    1 means that differences of intensity keep their size; detail that is missing
    lowers it, a wrong gain scales it.

    Parameters
    ----------
    result, truth
        Shape (N, C, H, W).

    Returns
    -------
    Tensor
        Shape (N,).
    """
    x, z = result.flatten(1).double(), truth.flatten(1).double()
    z = z - z.mean(dim=1, keepdim=True)
    return (x * z).sum(dim=1) / (z**2).sum(dim=1)


def _prewitt(image: Tensor) -> Tensor:
    step, mean = (-1.0, 0.0, 1.0), (1 / 3, 1 / 3, 1 / 3)
    image = reflect_pad(image, (1, 1), (1, 1))
    return _length(
        correlate_separable(image, step, mean), correlate_separable(image, mean, step)
    )


def _length(down: Tensor, across: Tensor) -> Tensor:
    return torch.hypot(down, across)
