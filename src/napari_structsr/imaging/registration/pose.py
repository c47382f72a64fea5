"""What a registration looks at: an image in one band, moved by a pose.

Unknown pixels, and all that lies beyond the border, take no part in a blur and weigh
nothing after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["BandImage", "Pose", "warp"]

Image = npt.NDArray[np.float64]

_WIDE = 4.0
"""The coarse end of the band, in multiples of its fine end; less in small images."""

_SEEN = (0.84, 0.98)  # share of known pixels around one that weighs 0 and 1
_LEAST_WIDTHS = 12  # widths of the band's coarse end across an image


@dataclass(frozen=True)
class Pose:
    """Shift in pixels along (y, x) and magnification about the centre of the grid."""

    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0

    def then(self, other: Pose) -> Pose:
        """Return the pose that does this one first and `other` after it."""
        y, x = (
            other.scale * own + more
            for own, more in zip(self.shift, other.shift, strict=True)
        )
        return Pose((y, x), self.scale * other.scale)


@dataclass(frozen=True)
class BandImage:
    """An image whose unknown pixels are 0.

    Parameters
    ----------
    pixels
        Shape (h, w).
    known
        1 where a pixel is known and 0 elsewhere, shape (h, w).
    blur
        Variance of the blur that makes it as unsharp as its partner, in pixels².
    """

    pixels: Image
    known: Image
    blur: float = 0.0

    @classmethod
    def of(cls, image: npt.NDArray[Any]) -> BandImage:
        """Bring the finite pixels of an image to the mean 0 and the deviation 1."""
        finite = np.isfinite(image)
        values = image[finite].astype(np.float64)
        deviation = values.std() if values.size else 0.0
        pixels = np.zeros(image.shape)
        if deviation > 0:
            pixels[finite] = (values - values.mean()) / deviation
        return cls(pixels, finite.astype(np.float64))

    def band(self, fine: float) -> tuple[Image, Image]:
        """Return the image between two Gaussian widths, and the weight of its pixels.

        Weights fall to 0 towards unknown pixels and towards the border.
        """
        narrow = min(self.pixels.shape) / _LEAST_WIDTHS
        detail = self._smooth(fine)[0]
        base, share = self._smooth(fine * float(np.clip(narrow / fine, 1.5, _WIDE)))
        low, high = _SEEN
        weight = np.clip((share - low) / (high - low), 0, 1) * self.known
        return (detail - base) * self.known, weight

    def _smooth(self, sigma: float) -> tuple[Image, Image]:
        """Return a mean of known pixels, and the share of known ones."""
        total = math.sqrt(sigma**2 + self.blur)

        def smooth(part: Image) -> Image:
            """Blur, 0 beyond the border."""
            return np.asarray(ndimage.gaussian_filter(part, total, mode="constant"))

        values = smooth(self.pixels)
        if self.known.all():
            rows, columns = (smooth(np.ones(size)) for size in self.known.shape)
            share = np.outer(rows, columns)
        else:
            share = smooth(self.known)
        return values / np.maximum(share, 1e-6), share


def warp(image: Image, pose: Pose, *, spline: bool = False, order: int = 3) -> Image:
    """Resample an image so that a pose is done to it, by cubic splines, mirrored.

    Parameters
    ----------
    image
        Shape (h, w); its spline coefficients with `spline`.
    """
    centre = (np.array(image.shape) - 1) / 2
    offset = centre - (centre + pose.shift) / pose.scale
    moved: Image = ndimage.affine_transform(
        image,
        np.full(2, 1 / pose.scale),
        offset=offset,
        order=order,
        mode="mirror",
        prefilter=not spline,
    )
    return moved
