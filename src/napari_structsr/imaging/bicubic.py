"""Bicubic interpolation along one axis after the other.

torch weighs 16 neighbours of each pixel; twice four take a third of the time.

References
----------
R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans.
Acoust. Speech Signal Process. 29, 1981.
"""

from __future__ import annotations

from functools import cache

from torch import Tensor
from torch.nn import functional as F

from napari_structsr.imaging.filters import correlate_axis

_KEYS = -0.75  # the free parameter of the kernel, as in torch and OpenCV
_REACH = 2  # pixels to each side


def interpolate_bicubic(image: Tensor, factor: int) -> Tensor:
    """Interpolate between pixel centres, as torch does, without gradients.

    Parameters
    ----------
    image
        Shape (N, C, h, w); beyond the border its last pixel goes on.
    factor
        Finer pixels along the side of a pixel.

    Returns
    -------
    Tensor
        Shape (N, C, factor h, factor w).
    """
    wide = F.pad(image, (_REACH,) * 4, mode="replicate")
    count, channels, height, width = image.shape
    rows = image.new_empty(count, channels, height + 2 * _REACH, width, factor)
    for phase, weights in enumerate(_weigh_neighbours(factor)):
        rows[..., phase] = correlate_axis(wide, -1, weights)
    rows = rows.flatten(-2)
    result = image.new_empty(count, channels, height, factor, width * factor)
    for phase, weights in enumerate(_weigh_neighbours(factor)):
        result[..., phase, :] = correlate_axis(rows, -2, weights)
    return result.flatten(2, 3)


@cache
def _weigh_neighbours(factor: int) -> list[list[float]]:
    """Return the weights of the pixels around, for each finer pixel in a pixel."""
    places = ((phase + 0.5) / factor - 0.5 for phase in range(factor))
    shifts = range(-_REACH, _REACH + 1)
    return [[_keys(place - shift) for shift in shifts] for place in places]


def _keys(distance: float) -> float:
    """Return the weight of a pixel at a distance (Keys 1981)."""
    away = abs(distance)
    if away <= 1:
        return (_KEYS + 2) * away**3 - (_KEYS + 3) * away**2 + 1
    return _KEYS * (away**3 - 5 * away**2 + 8 * away - 4) if away < 2 else 0.0
