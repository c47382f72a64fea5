"""Registration in ever finer bands, with a search for a second-best place."""

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

MAX_SCALE_CHANGE = 0.022
"""Magnifications are searched to 1 by as much."""

_SEARCH_SIGMAS = (4.0, 2.0, 1.0)  # bands of the search, in multiples of the finest
_CLEAR_RATIO = 0.6  # of peaks, below which no finer search is needed
_FIT_SIGMAS = (2.0, 1.4, 0.7)  # of the last fits; which is best depends on the noise
_STARTS = 2  # places that are tried, the best one first


@dataclass(frozen=True)
class Match:
    """A refined pose.

    Parameters
    ----------
    fit
        The pose with its error.
    peak_ratio
        Height of the best correlation elsewhere over that at the pose; above 1 if
        elsewhere fits better.
    """

    fit: Fit
    peak_ratio: float


@dataclass(frozen=True)
class _Refined:
    fit: Fit
    images: tuple[BandImage, BandImage]  # at equal blur
    sigma: float


def find_match(
    moving: BandImage,
    fixed: BandImage,
    *,
    with_scale: bool,
    sigma: float,
    limit: float,
) -> Match | None:
    """Return the best pose, or None where too little of the images overlaps.

    Parameters
    ----------
    moving, fixed
        Shape (h, w).
    with_scale
        Find the magnification as well.
    sigma
        Lower Gaussian width of the finest band, in pixels.
    limit
        Longest shift along an axis, in pixels.
    """
    scales = MAX_SCALE_CHANGE if with_scale else 0.0
    start = _search_bands(moving, fixed, sigma=sigma, limit=limit, scales=scales)
    best: Match | None = None
    for _ in range(_STARTS):
        refined = _refine(moving, fixed, start, sigma=sigma, with_scale=with_scale)
        if refined is None:
            break
        ratio, elsewhere = second_peak_ratio(
            *refined.images, refined.fit.pose, sigma=refined.sigma, limit=limit
        )
        if best is None or ratio < best.peak_ratio:
            best = Match(refined.fit, ratio)
        if ratio < 1:
            break
        # the coarse band led to the wrong place: start again from the better one
        start = Candidate(elsewhere, refined.sigma, ratio)
    return best


def _search_bands(
    moving: BandImage, fixed: BandImage, *, sigma: float, limit: float, scales: float
) -> Candidate:
    found = []
    for width in _SEARCH_SIGMAS:
        candidate = search(
            moving, fixed, sigma=width * sigma, limit=limit, scales=scales
        )
        # coarse bands are quick, and enough where one place stands out
        if candidate.peak_ratio < _CLEAR_RATIO:
            return candidate
        found.append(candidate)
    return min(found, key=lambda candidate: candidate.peak_ratio)


def _refine(
    moving: BandImage,
    fixed: BandImage,
    start: Candidate,
    *,
    sigma: float,
    with_scale: bool,
) -> _Refined | None:
    pose, width = start.pose, start.sigma
    while True:
        found = fit(moving, fixed, pose, sigma=width, with_scale=with_scale)
        if found is None:
            return None
        pose = found.pose
        if width <= 2 * sigma:
            break
        width = max(2 * sigma, width / 2)
    images = match_blur(moving, fixed, pose, sigma)
    finals = []
    for width in _FIT_SIGMAS:
        found = fit(*images, pose, sigma=width * sigma, with_scale=with_scale)
        if found is not None:
            finals.append(_Refined(found, images, width * sigma))
            pose = found.pose
    return _choose_surest(finals)


def _choose_surest(finals: list[_Refined]) -> _Refined | None:
    ranked = sorted(finals, key=lambda final: final.fit.errors[0])
    if len(ranked) < 2:
        return ranked[0] if ranked else None
    best, other = ranked[0].fit, ranked[1].fit
    apart = max(
        abs(one - two)
        for one, two in zip(best.pose.shift, other.pose.shift, strict=True)
    )
    # a difference between bands is an error that no jackknife shows
    errors = (
        math.hypot(best.errors[0], apart / 2),
        math.hypot(best.errors[1], abs(best.pose.scale - other.pose.scale) / 2),
    )
    return replace(ranked[0], fit=replace(best, errors=errors))
