"""Laying one view on another: search, fit, equal blur, and a look for rivals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from napari_structsr.imaging.registration.coarse import (
    Candidate,
    search,
    second_peak_ratio,
)
from napari_structsr.imaging.registration.fine import Fit, fit, match_blur
from napari_structsr.imaging.registration.pose import BandImage

__all__ = ["SCALES", "Answer", "Task"]

SCALES = 0.022
"""Magnifications are searched to 1 by as much."""

_COARSE = (4.0, 2.0, 1.0)  # widths of the search, in multiples of the finest
_CLEAR = 0.6  # a place is not searched again more finely below this rivalry
_WIDTHS = (2.0, 1.4, 0.7)  # widths of the last fit; which is best depends on noise
_WAYS = 2  # places that are tried, the best one first


@dataclass(frozen=True)
class Answer:
    """A refined pose, and how high the second-best place comes, 0..1 and beyond."""

    fit: Fit
    rival: float


@dataclass(frozen=True)
class Task:
    """Two views and what is asked about them.

    Parameters
    ----------
    moving, fixed
        Shape (h, w).
    with_scale
        Find the magnification as well.
    fine
        Gaussian width of the finest band, in pixels.
    limit
        Longest shift along an axis, in pixels.
    """

    moving: BandImage
    fixed: BandImage
    with_scale: bool
    fine: float
    limit: float

    def answer(self) -> Answer | None:
        """Return the best place; None where too little overlaps."""
        start = self._found()
        best: Answer | None = None
        for _ in range(_WAYS):
            refined = self._refined(start)
            if refined is None:
                break
            found, views, fine = refined
            rival, elsewhere = second_peak_ratio(
                *views, found.pose, fine=fine, limit=self.limit
            )
            if best is None or rival < best.rival:
                best = Answer(found, rival)
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
                scales=SCALES if self.with_scale else 0.0,
            )
            if candidate.rival < _CLEAR:
                return candidate
            found.append(candidate)
        return min(found, key=lambda candidate: candidate.rival)

    def _refined(
        self, start: Candidate
    ) -> tuple[Fit, tuple[BandImage, BandImage], float] | None:
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
    finals: list[tuple[Fit, tuple[BandImage, BandImage], float]],
) -> tuple[Fit, tuple[BandImage, BandImage], float] | None:
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
