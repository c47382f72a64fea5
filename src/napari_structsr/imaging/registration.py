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
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_structsr.imaging.registration_fit import (
    Fit,
    Pose,
    View,
    fit,
    match_blur,
    warped,
)
from napari_structsr.imaging.registration_search import Candidate, rivalry, search

__all__ = ["UNMOVED", "Registration", "apply", "register"]

Image = npt.NDArray[np.floating[Any]]

TOLERANCE = 0.1
"""Pixels of the coarser image within which an answer is given, or none."""

_SMALLEST = 32  # pixels of the coarser image along a side
_LARGEST = 768  # pixels along a side that are looked at; more add no precision
_SCALES = 0.022
_COARSE = (4.0, 2.0, 1.0)  # widths of the search, in multiples of the finest
_CLEAR = 0.6  # a place is not searched again more finely below this rivalry
_WIDTHS = (2.0, 1.4, 0.7)  # widths of the last fit; which is best depends on noise
_AMBIGUOUS = 0.9
_LEAST_SHARED = 0.08
_SIGMAS = 2.6  # standard errors within the tolerance
_BEND_SIGMAS = 3.0
_WAYS = 2  # places that are tried, the best one first


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
        of a pixel, by `uncertainty`; and how little any other place fits, as
        1 - (second-best correlation / best)².
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


UNMOVED = Registration()
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
        Good to a tenth of a pixel of the coarser image, or refused.
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
    window, offset = _window(moving, fixed)
    one, other = View.of(moving[window]), View.of(fixed[window])
    for view, name in ((one, "first"), (other, "second")):
        if not view.pixels.any():
            return _refusal(f"the {name} image is flat; take a region with structure")
    longest = side / 4 if limit is None else limit
    task = _Task(one, other, with_scale, max(1.0, 0.7 * coarseness), longest)
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
        return warped(values, pose)
    nearest = ndimage.distance_transform_edt(
        ~finite, return_distances=False, return_indices=True
    )
    moved = warped(values[tuple(nearest)], pose)
    return np.where(
        warped(finite.astype(np.float64), pose, order=1) > 0.99, moved, np.nan
    )


@dataclass(frozen=True)
class _Answer:
    """A refined pose, and how high the second-best place comes."""

    fit: Fit
    rival: float


@dataclass(frozen=True)
class _Task:
    """Two views and what is asked about them."""

    moving: View
    fixed: View
    with_scale: bool
    fine: float
    limit: float

    def answer(self) -> _Answer | None:
        """Return the best place; None where too little overlaps."""
        start = self._found()
        best: _Answer | None = None
        for _ in range(_WAYS):
            refined = self._refined(start)
            if refined is None:
                break
            found, views, fine = refined
            rival, elsewhere = rivalry(*views, found.pose, fine=fine, limit=self.limit)
            if best is None or rival < best.rival:
                best = _Answer(found, rival)
            if rival < 1:
                break
            start = Candidate(elsewhere, fine, rival)
        return best

    def _found(self) -> Candidate:
        """Search on thinned images first, and finer until one place stands out."""
        found = []
        for width in _COARSE:
            candidate = search(
                self.moving,
                self.fixed,
                fine=width * self.fine,
                limit=self.limit,
                scales=_SCALES if self.with_scale else 0.0,
            )
            if candidate.rival < _CLEAR:
                return candidate
            found.append(candidate)
        return min(found, key=lambda candidate: candidate.rival)

    def _refined(self, start: Candidate) -> tuple[Fit, tuple[View, View], float] | None:
        """Fit from coarse to fine, match the blur, and fit at the best width."""
        pose, fine = start.pose, start.fine
        views, shape = (self.moving, self.fixed), self.with_scale
        while True:
            found = fit(*views, pose, fine=fine, with_scale=shape)
            if found is None:
                return None
            pose = found.pose
            if fine <= 2 * self.fine:
                break
            fine = max(2 * self.fine, fine / 2)
        views = match_blur(*views, pose, self.fine)
        finals = []
        for width in _WIDTHS:
            found = fit(*views, pose, fine=width * self.fine, with_scale=shape)
            if found is not None:
                finals.append((found, views, width * self.fine))
                pose = found.pose
        return _surest(finals)


def _surest(
    finals: list[tuple[Fit, tuple[View, View], float]],
) -> tuple[Fit, tuple[View, View], float] | None:
    """Return the surest of some fits; what the next one says differently is error."""
    ranked = sorted(finals, key=lambda final: final[0].errors[0])
    if len(ranked) < 2:
        return ranked[0] if ranked else None
    (best, views, fine), (other, *_) = ranked[:2]
    apart = [
        abs(one - two)
        for one, two in zip(best.pose.shift, other.pose.shift, strict=True)
    ]
    errors = (
        math.hypot(best.errors[0], max(apart) / 2),
        math.hypot(best.errors[1], abs(best.pose.scale - other.pose.scale) / 2),
    )
    return replace(best, errors=errors), views, fine


def _judged(
    answer: _Answer,
    task: _Task,
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
    answer: _Answer,
    task: _Task,
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
    if abs(found.pose.scale - 1) > _SCALES:
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
        (grow, grow_error, f"{100 * abs(grow):.2g}% in scale; register with the scale"),
        (turn, turn_error, f"a turn by {math.degrees(abs(turn)):.2g} degrees"),
    ):
        if abs(size) * reach > tolerance and abs(size) > _BEND_SIGMAS * least:
            yield (
                f"parts of the image disagree: it differs by {what}, or correct it "
                "in another program first"
            )


def _refusal(sentence: str) -> Registration:
    """Return a registration that could not be tried."""
    return Registration(
        confidence=0.0, correlation=0.0, uncertainty=math.inf, refused=sentence
    )


def _window(
    moving: Image, fixed: Image
) -> tuple[tuple[slice, slice], tuple[float, float]]:
    """Choose the part of a large image with most detail, and say where it lies."""
    shape = fixed.shape
    sizes = [min(size, _LARGEST) for size in shape]
    starts = [0, 0]
    if sizes != list(shape):
        step = _LARGEST // 4
        detail = _detail(moving, step) + _detail(fixed, step)
        best = -1.0
        for row in range(0, max(1, detail.shape[0] - 3)):
            for column in range(0, max(1, detail.shape[1] - 3)):
                found = float(detail[row : row + 4, column : column + 4].sum())
                if found > best:
                    best, starts = found, [row * step, column * step]
    window = tuple(
        slice(start, start + size) for start, size in zip(starts, sizes, strict=True)
    )
    y, x = (
        start + (size - 1) / 2 - (full - 1) / 2
        for start, size, full in zip(starts, sizes, shape, strict=True)
    )
    return (window[0], window[1]), (y, x)


def _detail(image: Image, step: int) -> npt.NDArray[np.float64]:
    """Return the mean slope in squares of `step` pixels, as a share of the greatest."""
    slopes = np.abs(np.diff(np.nan_to_num(image.astype(np.float64)), axis=1))
    rows, columns = (max(1, size // step) for size in image.shape)
    cut = slopes[: rows * step, : columns * step]
    parts = [np.array_split(row, columns, axis=1) for row in np.array_split(cut, rows)]
    means = np.array([[part.mean() for part in row] for row in parts])
    top: float = means.max()
    return means / top if top > 0 else means
