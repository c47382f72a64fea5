"""Poses, and images that are band-pass filtered and resampled for registration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import ndimage

from napari_structsr.core.types import Array, Float64Array

_BAND = 4.0  # upper over lower Gaussian width of the band; less in small images
_KNOWN_SHARES = (0.84, 0.98)  # of known pixels around one that weighs 0 and 1
_MIN_WIDTHS = 12  # upper widths of the band across an image


@dataclass(frozen=True)
class Pose:
    """Shift in pixels along (y, x) and magnification about the centre of the grid."""

    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0

    def then(self, other: Pose) -> Pose:
        """Return the pose that applies this one first and `other` after it."""
        y, x = (
            other.scale * own + more
            for own, more in zip(self.shift, other.shift, strict=True)
        )
        return Pose((y, x), self.scale * other.scale)


@dataclass(frozen=True)
class BandImage:
    """An image to be band-pass filtered, whose unknown pixels are 0.

    Parameters
    ----------
    pixels
        Shape (h, w).
    known
        1 where a pixel is known and 0 elsewhere, shape (h, w).
    blur
        Variance in pixels² of a blur that brings it to the sharpness of its partner.
    """

    pixels: Float64Array
    known: Float64Array
    blur: float = 0.0

    @classmethod
    def from_array(cls, image: Array) -> BandImage:
        """Standardise the finite pixels to the mean 0 and the deviation 1."""
        finite = np.isfinite(image)
        values = image[finite].astype(np.float64)
        deviation = values.std() if values.size else 0.0
        pixels = np.zeros(image.shape)  # a flat image stays 0 throughout
        if deviation > 0:
            pixels[finite] = (values - values.mean()) / deviation
        return cls(pixels, finite.astype(np.float64))

    def band(self, sigma: float) -> tuple[Float64Array, Float64Array]:
        """Return the band-passed image, and weights that fall to 0 at unknown pixels.

        Parameters
        ----------
        sigma
            Lower Gaussian width of the band in pixels; the upper is up to 4 times it.
        """
        narrow = min(self.pixels.shape) / _MIN_WIDTHS
        detail = self._smooth(sigma)[0]
        base, share = self._smooth(sigma * float(np.clip(narrow / sigma, 1.5, _BAND)))
        # what lies beyond the border is unknown too, so that weights fall there as well
        low, high = _KNOWN_SHARES
        weight = np.clip((share - low) / (high - low), 0, 1) * self.known
        return (detail - base) * self.known, weight

    def _smooth(self, sigma: float) -> tuple[Float64Array, Float64Array]:
        # a normalised convolution: unknown pixels take no part in the mean
        smooth = partial(
            ndimage.gaussian_filter,
            sigma=math.sqrt(sigma**2 + self.blur),
            mode="constant",
        )
        values = smooth(self.pixels)
        if self.known.all():  # then the share is separable, which takes no time
            rows, columns = (smooth(np.ones(size)) for size in self.known.shape)
            share = np.outer(rows, columns)
        else:
            share = smooth(self.known)
        return values / np.maximum(share, 1e-6), share


def warp(
    image: Float64Array, pose: Pose, *, spline: bool = False, order: int = 3
) -> Float64Array:
    """Resample an image by a pose with cubic splines, its border reflected.

    Parameters
    ----------
    image
        Shape (h, w); with `spline` the spline coefficients of one.
    """
    # scipy asks from where each pixel comes, which is the pose inverted
    centre = (np.array(image.shape) - 1) / 2
    offset = centre - (centre + pose.shift) / pose.scale
    moved: Float64Array = ndimage.affine_transform(
        image,
        np.full(2, 1 / pose.scale),
        offset=offset,
        order=order,
        mode="mirror",
        prefilter=not spline,
    )
    return moved
