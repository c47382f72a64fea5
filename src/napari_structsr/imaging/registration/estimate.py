"""How one image lies on another: shift and scale below a pixel, or a refusal.

A wrong answer without a refusal is the worst that can happen here: it teaches a model
to move what it sees. Every answer therefore carries the error that its own blocks
show, and a sentence instead of trust where they do not agree::

    search  all whole-pixel shifts, coarse to fine        registration_search
    fit     Newton's method, in ever finer bands           registration_fit
    doubt   is another place as good, do blocks agree,
            is it more than a shift?                       here
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_structsr.imaging.registration.coarse import MAX_SIDE, richest_window
from napari_structsr.imaging.registration.pose import BandImage, Pose, warp
from napari_structsr.imaging.registration.task import SCALES, Answer, Task

__all__ = ["IDENTITY", "MAX_SIDE", "Registration", "apply", "register"]

Image = npt.NDArray[np.floating[Any]]

TOLERANCE = 0.1
"""Pixels of the coarser image within which an answer is given, or none."""

_SMALLEST = 32  # pixels of the coarser image along a side
_AMBIGUOUS = 0.9
_LEAST_SHARED = 0.08
_SIGMAS = 2.5  # standard errors within the tolerance
_BEND_SIGMAS = 3.0


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
"""Of an image that lies on itself."""


def register(
    moving: Image,
    fixed: Image,
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
    least = round(_SMALLEST * max(1.0, coarseness))
    if side < least:
        return _refusal(
            f"{fixed.shape[0]} x {fixed.shape[1]} pixels are too few to lay two "
            f"images on each other; at least {least} x {least} are needed"
        )
    window, offset = richest_window(moving, fixed)
    one, other = BandImage.of(moving[window]), BandImage.of(fixed[window])
    for view, name in ((one, "first"), (other, "second")):
        if not view.pixels.any():
            return _refusal(f"the {name} image is flat; take a region with structure")
    longest = side / 4 if limit is None else limit
    task = Task(one, other, with_scale, max(1.0, 0.7 * coarseness), longest)
    answer = task.answer()
    if answer is None:
        return _refusal(
            "too little of the two images overlaps; draw the region where both show "
            "the same place"
        )
    return _judged(answer, task, coarseness, fixed.shape, offset)


def apply(registration: Registration, image: Image) -> npt.NDArray[np.float64]:
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
    if pose == Pose():
        return values
    finite = np.isfinite(values)
    if finite.all():
        return warp(values, pose)
    nearest = ndimage.distance_transform_edt(
        ~finite, return_distances=False, return_indices=True
    )
    moved = warp(values[tuple(nearest)], pose)
    return np.where(
        warp(finite.astype(np.float64), pose, order=1) > 0.99, moved, np.nan
    )


def _judged(
    answer: Answer,
    task: Task,
    coarseness: float,
    shape: tuple[int, ...],
    offset: tuple[float, float],
) -> Registration:
    """Turn an answer into a registration of the whole grid, with its doubts."""
    found, pose = answer.fit, answer.fit.pose
    y, x = (
        by + off * (1 - pose.scale) for by, off in zip(pose.shift, offset, strict=True)
    )
    reach = max(size / 2 + abs(off) for size, off in zip(shape, offset, strict=True))
    error = math.hypot(found.errors[0], found.errors[1] * reach)
    tolerance = TOLERANCE * coarseness
    chance = math.erf(tolerance / max(error, 1e-9) / math.sqrt(2))
    return Registration(
        shift=(float(y), float(x)),
        scale=float(pose.scale),
        confidence=float(max(0.0, min(chance, 1 - answer.rival**2))),
        correlation=found.correlation,
        uncertainty=float(min(error, 1e3)),
        refused=next(
            _doubts(answer, task, (float(y), float(x)), error, tolerance, reach), None
        ),
    )


def _doubts(
    answer: Answer,
    task: Task,
    shift: tuple[float, float],
    error: float,
    tolerance: float,
    reach: float,
) -> Iterator[str]:
    """Yield reasons not to trust an answer, the plainest first."""
    found = answer.fit
    if found.shared < _LEAST_SHARED:
        yield (
            "the two images show no common structure, or none that fixes the place in "
            "every direction; check that they show the same place, and take a region "
            "with more detail"
        )
    longest = max(abs(by) for by in shift)
    if longest > task.limit + 1:
        yield (
            f"the images seem to lie {longest:.0f} pixels apart, more than the "
            f"{task.limit:.0f} that were searched; correct their position first"
        )
    if answer.rival > _AMBIGUOUS:
        yield (
            "several places fit about as well, as in a repeating pattern; take a "
            "region with something that does not repeat, or allow a shorter shift"
        )
    if abs(found.pose.scale - 1) > SCALES:
        yield (
            f"the scales differ by {100 * (found.pose.scale - 1):+.1f}%, more than "
            "the 2% that are corrected; check the pixel sizes"
        )
    if found.left > 0.2 * tolerance or _SIGMAS * error > tolerance:
        yield (
            f"the place is known only to about {_SIGMAS * error:.2g} pixels, and parts "
            "of the image disagree by as much; take a larger, sharper or less noisy "
            "region"
        )
    grow, turn, grow_error, turn_error = found.bend
    grow, grow_error = (0.0, 1.0) if task.with_scale else (grow, grow_error)
    for size, least, what in (
        (
            grow,
            grow_error,
            f"one is {100 * abs(grow):.2g}% larger than the other; correct its pixel "
            "size, or register with the scale",
        ),
        (
            turn,
            turn_error,
            f"one is turned by {math.degrees(abs(turn)):.2g} degrees; "
            "turn it back first",
        ),
    ):
        if abs(size) * reach > tolerance and abs(size) > _BEND_SIGMAS * least:
            yield f"parts of the images disagree: {what}"


def _refusal(sentence: str) -> Registration:
    """Return a registration that could not be tried."""
    return Registration(
        confidence=0.0, correlation=0.0, uncertainty=math.inf, refused=sentence
    )
