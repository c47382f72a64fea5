"""Errors of structure against the truth: gradients, and classes of change."""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor

from napari_structsr.imaging.filters import (
    correlate_separable,
    forward_differences,
    reflect_pad,
)
from napari_structsr.imaging.row_chunks import map_row_chunks

GRADIENT_RADIUS = 1
"""Pixels to each side that the maps of gradients depend on."""

_STABILISER = 170 / 255**2  # T of Xue et al., who take grey values of 0..255
_DECAY = 0.8  # of the scores of improvement and omission, Aybar et al. 2024
_SPREAD = 0.4  # of the score of hallucination


class Change(IntEnum):
    """Classes of pixels of a result, compared with the interpolated measurement."""

    WITHIN_NOISE = 0
    IMPROVEMENT = 1
    OMISSION = 2
    HALLUCINATION = 3


def gradient_difference_map(result: Tensor, truth: Tensor) -> Tensor:
    """Return the length of the difference of the gradients.

    It sees a turned filament, which a difference of lengths misses. Gradients are
    `forward_differences`, so that the finest detail counts.
    """
    return torch.hypot(*forward_differences(result - truth))


def gradient_similarity_map(
    result: Tensor, truth: Tensor, *, data_range: float = 1.0
) -> Tensor:
    """Return the similarity of the gradient magnitudes, whatever their direction.

    With m the length of the Prewitt gradient and T 0.0026 of the range squared, as in
    the paper, it is ``(2 m_x m_z + T) / (m_x² + m_z² + T)``. The paper first halves the
    images for the eye of a person; here the finest detail counts, since that is what
    super-resolution adds. Images are reflected at the border; the map has their shape
    (N, C, H, W), and is above 0 and at most 1, which is equality.

    References
    ----------
    W. Xue, L. Zhang, X. Mou, A. Bovik, "Gradient magnitude similarity deviation: a
    highly efficient perceptual image quality index", IEEE TIP 23, 2014.
    """
    stabiliser = _STABILISER * data_range**2

    def compare(x: Tensor, z: Tensor) -> Tensor:
        length_x, length_z = _prewitt(x), _prewitt(z)
        unlike = (length_x - length_z) ** 2
        # the formula rearranged: equal gradients give exactly 1
        return 1 - unlike / (length_x**2 + length_z**2 + stabiliser)

    return map_row_chunks(compare, result, truth, radius=GRADIENT_RADIUS)


def gradient_error(result: Tensor, truth: Tensor) -> Tensor:
    """Return the sum of gradient differences over that of the gradients of the truth.

    Shape (N,): 0 for equality, 1 for a constant image.
    """
    wrong = gradient_difference_map(result, truth).flatten(1).sum(dim=1)
    return wrong / torch.hypot(*forward_differences(truth)).flatten(1).sum(dim=1)


def change_map(
    result: Tensor,
    truth: Tensor,
    base: Tensor,
    *,
    noise: Tensor | float,
    radius: int = 0,
) -> Tensor:
    """Classify each pixel: improvement, omission or hallucination.

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
        still found. Pixels where all three images lie within it are not classified.
    radius
        Pixels to each side over which distances and noise are averaged before they
        are compared, so that a region is judged; 0, as in the paper, judges each pixel
        by itself.

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

    def classify(x: Tensor, z: Tensor, u: Tensor, noise: Tensor) -> Tensor:
        to_truth, to_base, reference, noise = (
            _average(distance, radius)
            for distance in ((x - z).abs(), (x - u).abs(), (u - z).abs(), noise)
        )
        # the reference alone is 0 where nothing is missing, and any change infinite
        unit = torch.maximum(reference, noise).clamp_min_(torch.finfo(z.dtype).tiny)
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
        largest = torch.maximum(torch.maximum(to_truth, to_base), reference)
        within = int(Change.WITHIN_NOISE)
        return torch.where(largest <= noise, within, classes).to(torch.uint8)

    noise = torch.as_tensor(noise, dtype=truth.dtype, device=truth.device)
    return map_row_chunks(
        classify, result, truth, base, noise.expand_as(truth), radius=radius
    )


def change_shares(changes: Tensor) -> dict[Change, Tensor]:
    """Return the share of pixels of each class of a `change_map`, shape (N,)."""
    flat = changes.flatten(1)
    return {kind: (flat == kind).double().mean(dim=1) for kind in Change}


def intensity_slope(result: Tensor, truth: Tensor) -> Tensor:
    """Return the slope of the least-squares line of the result over the truth.

    Shape (N,). 1 means that differences of intensity keep their size; detail that is
    missing lowers it, a wrong gain scales it.
    """
    x, z = result.flatten(1).double(), truth.flatten(1).double()
    z = z - z.mean(dim=1, keepdim=True)
    return (x * z).sum(dim=1) / (z**2).sum(dim=1)


def _average(image: Tensor, radius: int) -> Tensor:
    if radius == 0:
        return image
    window = (1 / (2 * radius + 1),) * (2 * radius + 1)
    padded = reflect_pad(image, (radius, radius), (radius, radius))
    return correlate_separable(padded, window, window)


def _prewitt(image: Tensor) -> Tensor:
    step, mean = (-1.0, 0.0, 1.0), (1 / 3, 1 / 3, 1 / 3)
    image = reflect_pad(image, (1, 1), (1, 1))
    down = correlate_separable(image, step, mean)
    return torch.hypot(down, correlate_separable(image, mean, step))
