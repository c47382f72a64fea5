"""Direction and coherence of structure, compared by the structure tensor.

The structure tensor is the mean of the products of gradients in a Gaussian window::

    J = | mean of d²   mean of d a |      d: slope down the rows
        | mean of d a  mean of a²  |      a: slope across the columns

Its eigenvalues are the power across and along what is there. Their difference over
their sum is the coherence: 1 for a straight filament or edge, 0 for what is the same
in all directions. Twice the angle of the structure is the angle of the vector
(mean of a² - d², mean of 2 d a), whose length is that difference.

Even white noise has a direction in a small window. With T the sum of the eigenvalues
that noise alone has on average, and S their sum, coherence is multiplied by
``1 - (2 T / S)²``, or by 0 where S is below 2 T: what noise explains has no direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from napari_structsr.imaging.filters import (
    correlate_separable,
    gaussian_kernel,
    reflect_pad,
)
from napari_structsr.imaging.row_chunks import map_row_chunks

_SIGMA = 2.0  # pixels
_NOISE = 1e-6  # rounding of intensities of 0..1
# the gradient of Scharr, whose direction is true to a fraction of a degree
_STEP = (-0.5, 0.0, 0.5)
_MEAN = (3 / 16, 10 / 16, 3 / 16)
# trace of J of white noise of variance 1
_NOISE_TRACE = 2 * sum(w**2 for w in _STEP) * sum(w**2 for w in _MEAN)


def coherence_difference_map(
    result: Tensor,
    truth: Tensor,
    *,
    sigma: float = _SIGMA,
    noise: Tensor | float = _NOISE,
) -> Tensor:
    """Return the difference of the coherence of result and truth.

    Parameters
    ----------
    result, truth
        Shape (N, C, H, W).
    sigma
        Standard deviation of the window in pixels.
    noise
        Standard deviation of white noise in the images; a number, or broadcast to
        their shape. What it explains is taken to have no direction.

    Returns
    -------
    Tensor
        Absolute difference of the coherence, shape (N, C, H, W), 0..1.

    References
    ----------
    B. Jähne, "Digital image processing", chapter on simple neighborhoods; the
    structure tensor is that of J. Bigün and G. Granlund, ICCV 1987.
    """
    compared = [_compare_coherence]
    return _map_chunks(compared, result, truth, sigma=sigma, noise=noise)[0]


def orientation_difference_map(
    result: Tensor,
    truth: Tensor,
    *,
    sigma: float = _SIGMA,
    noise: Tensor | float = _NOISE,
) -> Tensor:
    """Return the angle between the directions of structure, weighted by coherence.

    It is half the angle between the vectors of twice the angle, 0..90 degrees, times
    s(c_x) s(c_z). c is the coherence of either image, and s(c) = c² (3 - 2 c) rises
    from 0 through 1/2 at c = 1/2 to 1: what has a clear direction counts in full, what
    has none in neither image does not count.

    Parameters are those of `coherence_difference_map`. The map is in degrees, shape
    (N, C, H, W), 0..90, and is 0 also where only one has a direction.
    """
    compared = [_compare_angles]
    return _map_chunks(compared, result, truth, sigma=sigma, noise=noise)[0]


def direction_difference_maps(
    result: Tensor,
    truth: Tensor,
    *,
    sigma: float = _SIGMA,
    noise: Tensor | float = _NOISE,
) -> tuple[Tensor, Tensor]:
    """Return `coherence_difference_map` and `orientation_difference_map` together.

    The directions that both compare take most of the time, and are measured once.
    """
    compared = [_compare_coherence, _compare_angles]
    coherence, angle = _map_chunks(compared, result, truth, sigma=sigma, noise=noise)
    return coherence, angle


def orientation_radius(sigma: float = _SIGMA) -> int:
    """Return the pixels to each side that maps with this window depend on."""
    return math.ceil(3 * sigma) + 1


class _Directions(NamedTuple):
    """Coherence, and the vector of twice the angle, of any length."""

    coherence: Tensor
    cosine: Tensor
    sine: Tensor


def _measure_directions(image: Tensor, sigma: float, noise: Tensor) -> _Directions:
    radius = orientation_radius(sigma)
    image = reflect_pad(image, (radius, radius), (radius, radius))
    down, across = (
        correlate_separable(image, _STEP, _MEAN),
        correlate_separable(image, _MEAN, _STEP),
    )
    # the products are smoothed, not the gradients: opposite flanks of a filament add up
    window = gaussian_kernel(sigma, radius - 1).tolist()
    power_down, power_across, product = (
        correlate_separable(image, window, window)
        for image in (down * down, across * across, down.mul_(across))
    )
    cosine, sine = power_across - power_down, 2 * product
    smallest = torch.finfo(image.dtype).tiny
    # a flat image has no trace, and no direction
    trace = (power_down + power_across).clamp_min_(smallest)
    share = 2 * _NOISE_TRACE * noise**2 / trace
    structure = (1 - share**2).clamp_min_(0)
    return _Directions(torch.hypot(cosine, sine) / trace * structure, cosine, sine)


def _compare_coherence(one: _Directions, other: _Directions) -> Tensor:
    return (one.coherence - other.coherence).abs_()


def _compare_angles(one: _Directions, other: _Directions) -> Tensor:
    along = one.cosine * other.cosine + one.sine * other.sine
    across = one.cosine * other.sine - one.sine * other.cosine
    # the absolute cross product: which of the two is turned does not matter
    angle = torch.atan2(across.abs_(), along).mul_(90 / math.pi)
    return angle * _smoothstep(one.coherence) * _smoothstep(other.coherence)


def _smoothstep(coherence: Tensor) -> Tensor:
    return coherence**2 * (3 - 2 * coherence)


def _map_chunks(
    compared: Sequence[Callable[[_Directions, _Directions], Tensor]],
    result: Tensor,
    truth: Tensor,
    *,
    sigma: float,
    noise: Tensor | float,
) -> Tensor:
    """Return a map for each way to compare the directions of two images."""

    def compare(x: Tensor, z: Tensor, noise: Tensor) -> Tensor:
        one, other = (_measure_directions(image, sigma, noise) for image in (x, z))
        return torch.stack([function(one, other) for function in compared])

    # noise may be one number, but is cut into chunks as the images are
    noise = torch.as_tensor(noise, dtype=truth.dtype, device=truth.device)
    images = result, truth, noise.expand_as(truth)
    return map_row_chunks(compare, *images, radius=orientation_radius(sigma))
