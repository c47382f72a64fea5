"""Register two images below a pixel, with a standard error, or refuse.

A wrong answer without a refusal is the worst that can happen here, since a model that
is trained on it learns to displace structure. So every answer carries the error that
blocks of the image show, and a reason to refuse it where another place fits as well,
blocks disagree, or it takes more than shift and scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_structsr.core.types import Array, Float64Array
from napari_structsr.imaging.registration.coarse import MAX_SIDE, find_richest_window
from napari_structsr.imaging.registration.coarse_to_fine import (
    MAX_SCALE_CHANGE,
    Match,
    find_match,
)
from napari_structsr.imaging.registration.fine import Fit
from napari_structsr.imaging.registration.pose import BandImage, Pose, warp

__all__ = ["IDENTITY", "MAX_SIDE", "Registration", "apply", "register"]

_TOLERANCE = 0.1  # pixels of the coarser image within which an answer is given
_MIN_SIDE = 32  # pixels of the coarser image
_MAX_PEAK_RATIO = 0.9
_MIN_SHARED = 0.08  # of detail, see `Fit.shared`
_SIGMAS = 2.5  # standard errors within the tolerance
_BEND_SIGMAS = 3.0  # standard errors beyond which a turn or a scale is real


@dataclass(frozen=True)
class Registration:
    """How `moving` must be moved to lie on `fixed`.

    What lies at q in `moving`, in pixels from the centre of the grid, lies at
    ``scale * q + shift`` in `fixed`.

    Parameters
    ----------
    shift
        Along rows and columns, in pixels.
    scale
        Magnification about the centre of the grid; 1 where none was asked for.
    confidence
        0..1, the smaller of two numbers: the chance that the error is within a tenth
        of a pixel of the coarser image, by `uncertainty`; and how little any other
        place fits, as 1 - (second-best correlation / best)².
    correlation
        Correlation coefficient of the two after the registration, in the band of
        frequencies that both hold; negative where the contrast is inverted.
    uncertainty
        Standard error of the place of a pixel at the border, in pixels, from how far
        blocks of the image agree.
    refused
        Why the registration is not to be trusted, as a sentence; None if it is.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    confidence: float = 1.0
    correlation: float = 1.0
    uncertainty: float = 0.0
    refused: str | None = None


IDENTITY = Registration()
"""The registration of an image that lies on its partner already."""


def register(
    moving: Array,
    fixed: Array,
    *,
    with_scale: bool = False,
    coarseness: float = 1.0,
    limit: float | None = None,
) -> Registration:
    """Find the shift, and the scale if asked for, that lays `moving` on `fixed`.

    Parameters
    ----------
    moving, fixed
        Shape (h, w), the same grid; any units, contrast may be inverted. Pixels that
        are not finite are left out.
    with_scale
        Search for a magnification of 0.98 to 1.02 as well.
    coarseness
        Pixels of this grid in one pixel of the coarser image, where one of the two
        was interpolated.
    limit
        Longest shift in pixels along an axis; a quarter of the shorter side by
        default.

    Returns
    -------
    Registration
        Good to a tenth of a pixel of the coarser image, at the farthest pixel, or
        refused.

    References
    ----------
    J. P. Lewis, "Fast normalized cross-correlation", Vision Interface 1995, for the
    search; B. Efron, "The jackknife, the bootstrap and other resampling plans", SIAM
    1982, for the error.
    """
    if moving.shape != fixed.shape or moving.ndim != 2:
        raise ValueError(f"two planes of one shape, not {moving.shape}, {fixed.shape}")
    side = min(fixed.shape)
    least = round(_MIN_SIDE * max(1.0, coarseness))
    if side < least:
        return _refuse(
            f"{fixed.shape[0]} x {fixed.shape[1]} pixels are too few to lay two "
            f"images on each other; at least {least} x {least} are needed"
        )
    window, offset = find_richest_window(moving, fixed)
    images = [BandImage.from_array(image[window]) for image in (moving, fixed)]
    for image, name in zip(images, ("first", "second"), strict=True):
        if not image.pixels.any():
            return _refuse(f"the {name} image is flat; take a region with structure")
    limit = side / 4 if limit is None else limit
    match = find_match(
        *images,
        with_scale=with_scale,
        # finer detail than the coarser image holds is made up by interpolation
        sigma=max(1.0, 0.7 * coarseness),
        limit=limit,
    )
    if match is None:
        return _refuse(
            "too little of the two images overlaps; draw the region where both show "
            "the same place"
        )
    fit, pose = match.fit, match.fit.pose
    # about the centre of the whole grid instead of the window's
    y, x = (
        float(by + off * (1 - pose.scale))
        for by, off in zip(pose.shift, offset, strict=True)
    )
    sizes = zip(fixed.shape, offset, strict=True)
    reach = max(size / 2 + abs(off) for size, off in sizes)
    # of the place of the farthest pixel, where an error of the scale counts most
    error = math.hypot(fit.errors[0], fit.errors[1] * reach)
    tolerance = _TOLERANCE * coarseness
    chance = math.erf(tolerance / max(error, 1e-9) / math.sqrt(2))
    reasons = [
        *_check_place(match, max(abs(y), abs(x)), limit),
        *_check_error(fit, error, tolerance),
        *_check_bend(fit, reach, tolerance, with_scale=with_scale),
    ]
    return Registration(
        shift=(y, x),
        scale=float(pose.scale),
        confidence=float(max(0.0, min(chance, 1 - match.peak_ratio**2))),
        correlation=fit.correlation,
        uncertainty=float(min(error, 1e3)),
        refused=reasons[0] if reasons else None,
    )


def apply(registration: Registration, image: Array) -> Float64Array:
    """Resample `moving` so that it lies on `fixed`.

    Parameters
    ----------
    image
        Shape (h, w) of the grid that was registered; not-finite pixels spread to
        their neighbours as NaN.

    Returns
    -------
    ndarray
        Shape (h, w), by cubic splines; beyond its border the image is mirrored.
    """
    pose = Pose(registration.shift, registration.scale)
    values = image.astype(np.float64)
    if pose == Pose():  # exactly as it was, not resampled
        return values
    finite = np.isfinite(values)
    if finite.all():
        return warp(values, pose)
    # splines would spread one NaN over the whole image: fill, and mark afterwards
    nearest = ndimage.distance_transform_edt(
        ~finite, return_distances=False, return_indices=True
    )
    moved = warp(values[tuple(nearest)], pose)
    return np.where(
        warp(finite.astype(np.float64), pose, order=1) > 0.99, moved, np.nan
    )


def _check_place(match: Match, longest: float, limit: float) -> Iterator[str]:
    if match.fit.shared < _MIN_SHARED:
        yield (
            "the two images show no common structure, or none that fixes the place in "
            "every direction; check that they show the same place, and take a region "
            "with more detail"
        )
    if longest > limit + 1:
        yield (
            f"the images seem to lie {longest:.0f} pixels apart, more than the "
            f"{limit:.0f} that were searched; correct their position first"
        )
    if match.peak_ratio > _MAX_PEAK_RATIO:
        yield (
            "several places fit about as well, as in a repeating pattern; take a "
            "region with something that does not repeat, or allow a shorter shift"
        )


def _check_error(fit: Fit, error: float, tolerance: float) -> Iterator[str]:
    growth = fit.pose.scale - 1
    if abs(growth) > MAX_SCALE_CHANGE:
        yield (
            f"the scales differ by {100 * growth:+.1f}%, more than "
            "the 2% that are corrected; check the pixel sizes"
        )
    if fit.last_step > 0.2 * tolerance or _SIGMAS * error > tolerance:
        yield (
            f"the place is known only to about {_SIGMAS * error:.2g} pixels, and parts "
            "of the image disagree by as much; take a larger, sharper or less noisy "
            "region"
        )


def _check_bend(
    fit: Fit, reach: float, tolerance: float, *, with_scale: bool
) -> Iterator[str]:
    grow, turn, grow_error, turn_error = fit.bend

    # only what moves a pixel at the border by more than the tolerance, and is certain
    def matters(size: float, error: float) -> bool:
        return abs(size) * reach > tolerance and abs(size) > _BEND_SIGMAS * error

    if not with_scale and matters(grow, grow_error):
        yield (
            f"parts of the images disagree: one is {100 * abs(grow):.2g}% larger than "
            "the other; correct its pixel size, or register with the scale"
        )
    if matters(turn, turn_error):
        yield (
            "parts of the images disagree: one is turned by "
            f"{math.degrees(abs(turn)):.2g} degrees; turn it back first"
        )


def _refuse(reason: str) -> Registration:
    return Registration(
        confidence=0.0, correlation=0.0, uncertainty=math.inf, refused=reason
    )
