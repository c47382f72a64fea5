"""Maps of structure error that need no reference.

Each compares a result with something else: with the measurement (`residual_map`), with
a faithful model (`artefact_map`), with the same model on the turned input
(`spread_map`), and with what a measurement can confirm (`null_space_map`). What each is
blind to is stated in `napari_structsr.core.error_map`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.row_chunks import map_row_chunks

MIN_NOISE = 1e-3
"""Smallest standard deviation of noise that a residual is divided by, as a share of the
range: that of rounding to 8 bits, and the smallest that models are trained with."""

ARTEFACT_RADIUS = 5
"""Pixels of the result to each side that `artefact_map` depends on."""

_WINDOW = 2 * ARTEFACT_RADIUS + 1

Turn = Callable[[Tensor], Tensor]


def residual_map(
    image: Tensor, measured: Tensor, forward_model: ForwardModel, variance: Tensor
) -> Tensor:
    """Measure the result again and compare with what was measured, in noise units.

    It is ``|A image - measured| / sqrt(variance)``, each measured pixel repeated factor
    x factor times, and reaches `ForwardModel.reach` measured pixels. Where the result
    is right it has a root mean square of 1 or less.

    Parameters
    ----------
    image
        Result, shape (N, 1, factor h, factor w), range about 0..1.
    measured
        Shape (N, 1, h, w), the same unit.
    forward_model
        How `image` is measured.
    variance
        Variance of the noise of `measured`; it counts as at least ``MIN_NOISE ** 2``.
    """
    # an estimate of no noise at all would let rounding fill the map
    deviation = variance.clamp_min(MIN_NOISE**2).sqrt()
    residual = (forward_model(image) - measured).abs() / deviation
    # maps lie on the grid of the result
    factor = forward_model.factor
    return residual.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def artefact_map(faithful: Tensor, sharp: Tensor, *, noise: float = 0.03) -> Tensor:
    """Compare the local contrast of a sharp result with that of a faithful one.

    With the standard deviations s_f and s_a in windows of 11 x 11 pixels it is
    ``(2 s_f s_a + c) / (s_f^2 + s_a^2 + c)`` [1]_, where c is ``noise ** 2``: 1 is
    equal contrast, low values mean that `sharp` invented or lost texture. It reaches
    `ARTEFACT_RADIUS` pixels.

    Parameters
    ----------
    faithful, sharp
        Results of models trained without and with an adversary, shape (N, C, H, W),
        range about 0..1, at least 6 pixels along a side.
    noise
        Contrast to forgive, as a share of the range: where both standard deviations
        are far below it, as in empty background, the map is 1. By default the constant
        of SSIM: on images of the training 99% of the pixels of `sharp` then read above
        0.99, and texture of 0.04 drawn on flat background reads 0.4.

    References
    ----------
    .. [1] L. Xie et al., "DeSRA: detect and delete the artifacts of GAN-based
       real-world super-resolution models", ICML 2023.
    """
    stabiliser = noise**2

    def compare(faithful: Tensor, sharp: Tensor) -> Tensor:
        first, second = _local_variance(faithful), _local_variance(sharp)
        same = 2 * (first * second).sqrt() + stabiliser
        return same / (first + second + stabiliser)

    return map_row_chunks(compare, faithful, sharp, radius=ARTEFACT_RADIUS)


def spread_map(upscale: Callable[[Tensor], Tensor], measured: Tensor) -> Tensor:
    """Return the spread of a model's results over the eight orientations of its input.

    It is the standard deviation (population) over the eight results, each turned back,
    float32. `upscale` makes (M, 1, factor a, factor b) of (M, 1, a, b), which are both
    (h, w) and (w, h) of `measured`, shape (N, 1, h, w).
    """
    mean, squares = torch.zeros(()), torch.zeros(())
    for count, (turn, back) in enumerate(flips_and_rotations(), start=1):
        result = back(upscale(turn(measured).contiguous())).float()
        if count == 1:
            mean, squares = result.clone(), torch.zeros_like(result)
            continue
        # the recurrence of Welford (1962), which holds three images instead of eight
        change = result - mean
        mean = mean + change / count
        squares = torch.addcmul(squares, change, result - mean)
    return (squares / count).clamp_min(0).sqrt()


def null_space_map(image: Tensor, forward_model: ForwardModel) -> Tensor:
    """Return the part of a result that the measurement can neither confirm nor deny.

    It is ``|image - A⁺ A image|`` and depends on `ForwardModel.radius` measured pixels.
    """
    return (image - forward_model.pseudo_inverse(forward_model(image))).abs()


def flips_and_rotations() -> Iterator[tuple[Turn, Turn]]:
    """Yield the eight flips and rotations of images, each with its inverse.

    Four of them exchange height and width. The first leaves images as they are.
    """
    for flip in (False, True):
        for quarters in range(4):
            yield (
                partial(_turn, quarters=quarters, flip=flip),
                partial(_turn_back, quarters=quarters, flip=flip),
            )


def _turn(image: Tensor, *, quarters: int, flip: bool) -> Tensor:
    return torch.rot90(image.flip(-1) if flip else image, quarters, (-2, -1))


def _turn_back(image: Tensor, *, quarters: int, flip: bool) -> Tensor:
    image = torch.rot90(image, -quarters, (-2, -1))
    return image.flip(-1) if flip else image


def _local_variance(image: Tensor) -> Tensor:
    # The variance in a window is the mean of the variances of its rows, plus the
    # variance of their means. Either is taken of differences from a mean, so that
    # nothing large cancels; the mean of the image goes for the same reason.
    image = image - image.mean(dim=(-2, -1), keepdim=True)
    image = F.pad(image, [ARTEFACT_RADIUS] * 4, mode="reflect")
    mean, variance = _moments(image, -1)
    return _moments(variance, -2)[0] + _moments(mean, -2)[1]


def _moments(image: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    size = image.shape[dim] - _WINDOW + 1
    parts = [image.narrow(dim, start, size) for start in range(_WINDOW)]
    mean = torch.zeros_like(parts[0])
    for part in parts:  # one by one, so that there is never a stack of 11 images
        mean.add_(part, alpha=1 / _WINDOW)
    variance = torch.zeros_like(mean)
    for part in parts:
        variance.addcmul_(part - mean, part - mean, value=1 / _WINDOW)
    return mean, variance
