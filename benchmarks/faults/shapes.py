"""What each kind of fault does to the window around its place.

A maker takes a `Spot` and returns what is added to the window, and where. Sizes are in
pixels of the result; amplitudes follow the truth in the window, so that a fault looks
like structure and not like a scratch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_structsr.core.types import Array

__all__ = ["HALF", "MAKERS", "Spot", "find_detail", "find_gaps"]

Change = tuple[Array, Array]

HALF = 40
"""A fault lies in the middle of a window of twice that side."""

_STRENGTH = 0.25  # of a texture, over the contrast of the truth there
_LEAST = 2.0  # the same, over the error that the result has there anyway
_RADIUS = 20  # of patches
_FEATHER = 4  # over which a patch fades out
_SOFT = 10  # the same of a gain

_PEAK = 1.0  # of a drawn filament, over the contrast of the truth there
_LENGTH = 50
_BENDS = (25.0, 60.0)  # its radius of curvature
_RIDGE = 0.3  # of the ridge in the middle, down to which it is erased
_MARGIN = 3  # erased on either side of a ridge
_AROUND = 5  # sigma of the mean of the surroundings that replaces it
_BESIDE = 8  # from a ridge to its copy
_ANGLES = (20.0, 90.0)  # degrees
_STEPS = (2.0, 4.0)
_GAINS = (1.2, 1.4)
_BLUR = 1.0  # sigma, in measured pixels
_PERIODS = (1.5, 3.0)  # in measured pixels


@dataclass(frozen=True)
class Spot:
    """The window around a place, and what a fault there is made from.

    Parameters
    ----------
    image, truth
        Result and truth, shape (2 HALF, 2 HALF), float64.
    ridges
        How much each pixel of the truth is part of a line, same shape.
    factor
        Pixels along the side of a measured pixel.
    width
        Standard deviation of the point-spread function in pixels.
    random
        Source of randomness.
    """

    image: Array
    truth: Array
    ridges: Array
    factor: int
    width: float
    random: np.random.Generator

    @property
    def contrast(self) -> float:
        """Standard deviation of the truth under a patch."""
        return float(self.truth[_weigh_disc(_FEATHER) > 0].std())

    @property
    def sign(self) -> int:
        """Whether structure is bright, 1, or dark, -1."""
        return 1 if self.truth.mean() >= np.median(self.truth) else -1

    @property
    def strength(self) -> float:
        """Root mean square of a texture: what is less would drown in other errors."""
        error = (self.image - self.truth)[_weigh_disc(_FEATHER) > 0]
        return max(
            _STRENGTH * self.contrast, _LEAST * float(np.sqrt((error**2).mean()))
        )


def find_detail(image: Array, factor: int) -> Array:
    """Return what a blur by a measured pixel takes from an image."""
    fine: Array = image - ndimage.gaussian_filter(image, _BLUR * factor)
    return fine


def find_gaps(image: Array, factor: int) -> Array:
    """Return how dark what is narrower than two measured pixels is between the rest."""
    wide = (2 * factor + 1,) * 2
    filled: Array = ndimage.grey_closing(image, wide, mode="mirror") - image
    return filled


def _draw_filament(spot: Spot) -> Change:
    """Draw an arc as wide as the point-spread function."""
    random, width = spot.random, max(1.0, spot.width)
    along = np.arange(-_LENGTH / 2, _LENGTH / 2, 0.25)
    bend = random.choice((-1, 1)) / random.uniform(*_BENDS)
    heading = random.uniform(0, 2 * np.pi) + bend * along
    path = 0.25 * np.cumsum([np.sin(heading), np.cos(heading)], axis=1)
    path += HALF - path[:, len(along) // 2, None]
    pixels = np.moveaxis(np.indices(spot.image.shape), 0, -1)
    distance, _ = cKDTree(path.T).query(pixels)
    where = distance < 3 * width
    peak = spot.sign * _PEAK * spot.contrast
    return peak * np.exp(-0.5 * (distance / width) ** 2) * where, where


def _erase_filament(spot: Spot) -> Change:
    """Replace a piece of a ridge by its surroundings, with their noise."""
    _, known, fade, filled = _cut_ridge(spot)
    grain = _high_pass(spot.random.standard_normal(fade.shape))
    # 1.4826 turns a median of absolute values into a standard deviation
    deviation = 1.4826 * np.median(np.abs(_high_pass(spot.image)[known]))
    filled += grain / grain.std() * deviation
    return fade * (filled - spot.image), fade > 0


def _duplicate_filament(spot: Spot) -> Change:
    """Lay a piece of a ridge beside itself a second time."""
    piece, _, fade, filled = _cut_ridge(spot)
    places = np.argwhere(piece).astype(np.float64)
    spread = (places - places.mean(axis=0)).T @ (places - places.mean(axis=0))
    across = np.linalg.eigh(spread)[1][:, 0]  # along which the piece is thinnest
    step = spot.random.choice((-1, 1)) * _BESIDE * across
    copy, fade = (
        ndimage.shift(image, step, order=1)
        for image in (fade * (spot.image - filled), fade)
    )
    return copy * (fade > 0), fade > 0


def _cut_ridge(spot: Spot) -> tuple[Array, Array, Array, Array]:
    """Return a piece of the ridge in the middle, and what is around it.

    These are where it is, where no ridge is, the weight of the piece and its margin,
    and the window without it.
    """
    ridge = spot.ridges > _RIDGE * spot.ridges[HALF, HALF]
    pieces, _ = ndimage.label(ridge & (_weigh_disc(1) > 0), np.ones((3, 3)))
    piece = pieces == pieces[HALF, HALF]
    where = ndimage.binary_dilation(piece, iterations=_MARGIN)
    known = ~ndimage.binary_dilation(ridge, iterations=_MARGIN)
    if known.sum() < where.sum():
        known = ~where
    weight = ndimage.gaussian_filter(known.astype(float), _AROUND) + 1e-12
    filled = ndimage.gaussian_filter(spot.image * known, _AROUND) / weight
    fade = np.minimum(ndimage.distance_transform_edt(where) / _MARGIN, 1)
    return piece, known, fade, filled


def _high_pass(image: Array) -> Array:
    """Return the finest part of an image, which noise is measured in."""
    part: Array = image - ndimage.gaussian_filter(image, 1.0)
    return part


def _rotate_patch(spot: Spot) -> Change:
    angle = spot.random.choice((-1, 1)) * spot.random.uniform(*_ANGLES)
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    middle = np.full(2, float(HALF))
    turned = ndimage.affine_transform(
        spot.image, turn, middle - turn @ middle, order=3, mode="mirror"
    )
    return _feather_change(turned - spot.image)


def _brighten_patch(spot: Spot) -> Change:
    return _feather_change(
        (spot.random.uniform(*_GAINS) - 1) * spot.image, feather=_SOFT
    )


def _smooth_patch(spot: Spot) -> Change:
    return _feather_change(-find_detail(spot.image, spot.factor))


def _shift_patch(spot: Spot) -> Change:
    """Move a disc by a few pixels."""
    angle = spot.random.uniform(0, 2 * np.pi)
    step = spot.random.uniform(*_STEPS) * np.array([np.sin(angle), np.cos(angle)])
    return _feather_change(ndimage.shift(spot.image, step, mode="mirror") - spot.image)


def _close_gap(spot: Spot) -> Change:
    """Fill what is dark between bright structures."""
    return _feather_change(find_gaps(spot.image, spot.factor))


def _add_spot(spot: Spot) -> Change:
    """Add a spot as wide as the point-spread function."""
    width = max(1.0, spot.width)
    distance = np.hypot(*(np.indices(spot.image.shape) - HALF))
    where = distance < 3 * width
    # of a spot, the root mean square is a third of its peak
    peak = spot.sign * max(_PEAK * spot.contrast, 3 * spot.strength)
    return peak * np.exp(-0.5 * (distance / width) ** 2) * where, where


def _add_grid(spot: Spot) -> Change:
    """Add the pattern of measured pixels that learned upsampling can leave."""
    waves = np.cos(2 * np.pi / spot.factor * np.arange(2 * HALF))
    grid = np.outer(waves, waves)
    return _feather_change(grid / grid.std() * spot.strength)


def _add_texture(spot: Spot) -> Change:
    """Add fine texture to a disc."""
    shape = spot.image.shape
    waves = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))
    short, long = (period * spot.factor for period in _PERIODS)
    band = (waves > 1 / long) & (waves < 1 / short)
    texture = np.fft.ifft2(band * np.fft.fft2(spot.random.standard_normal(shape))).real
    return _feather_change(texture / texture.std() * spot.strength)


def _feather_change(change: Array, *, feather: float = _FEATHER) -> Change:
    """Let a change fade out at the edge of a disc."""
    weight = _weigh_disc(feather)
    return weight * change, weight > 0


def _weigh_disc(feather: float) -> Array:
    """Return the weight of a patch in its window: 1 inside, 0 outside."""
    rows, columns = np.indices((2 * HALF, 2 * HALF)) - HALF
    inside = np.clip((_RADIUS - np.hypot(rows, columns)) / feather, 0, 1)
    weight: Array = inside**2 * (3 - 2 * inside)
    return weight


MAKERS: dict[str, Callable[[Spot], Change]] = {
    "drawn filament": _draw_filament,
    "erased filament": _erase_filament,
    "duplicated filament": _duplicate_filament,
    "closed gap": _close_gap,
    "added spot": _add_spot,
    "rotated patch": _rotate_patch,
    "shifted patch": _shift_patch,
    "local gain": _brighten_patch,
    "smoothed patch": _smooth_patch,
    "textured patch": _add_texture,
    "grid texture": _add_grid,
}
"""Kinds of faults."""
