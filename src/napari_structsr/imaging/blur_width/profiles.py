"""What beads, edges and filaments look like: profiles integrated over pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy  # its parts come when they are first used, and cost time

from napari_structsr.core.types import Float64Array

_SUBPIXELS = 5  # along a side, over which oblique profiles are integrated


def draw_bead(
    points: Float64Array,
    height: float,
    y: float,
    x: float,
    sigma: float,
    level: float,
) -> Float64Array:
    """Return a round Gaussian, integrated over pixels."""
    return level + height * _integrate(points[0] - y, sigma) * _integrate(
        points[1] - x, sigma
    )


def _integrate(distance: Float64Array, sigma: float) -> Float64Array:
    """Return a Gaussian of height 1, integrated over pixels at these distances."""
    width = math.sqrt(2) * max(abs(sigma), 1e-3)
    rise = scipy.special.erf((distance + 0.5) / width) - scipy.special.erf(
        (distance - 0.5) / width
    )
    area: Float64Array = rise * math.sqrt(math.pi) / 2 * width
    return area


def draw_edge(
    points: Float64Array,
    height: float,
    place: float,
    angle: float,
    sigma: float,
    level: float,
    slope: float,
    bend: float,
) -> Float64Array:
    """Return light on one side of a line, blurred across it."""
    width = math.sqrt(2) * max(abs(sigma), 1e-3)
    return level + _average(
        points,
        place,
        angle,
        bend,
        lambda d: height * (1 + scipy.special.erf(d / width)) / 2 + slope * d,
    )


def draw_filament(
    points: Float64Array,
    height: float,
    place: float,
    angle: float,
    sigma: float,
    level: float,
    slope: float,
    bend: float,
) -> Float64Array:
    """Return a Gaussian across a line."""
    variance = max(sigma**2, 1e-6)
    return level + _average(
        points,
        place,
        angle,
        bend,
        lambda d: height * np.exp(-(d**2) / (2 * variance)) + slope * d,
    )


def _average(
    points: Float64Array,
    place: float,
    angle: float,
    bend: float,
    profile: Callable[[Float64Array], Float64Array],
) -> Float64Array:
    """Integrate over pixels a profile across a line at `place` along an angle.

    The line is bent by `bend`, the inverse of a radius.
    """
    steps = (np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS - 0.5
    down, right = math.sin(angle), math.cos(angle)
    offsets = (down * steps[:, None] + right * steps).ravel()
    beside = down * points[1] - right * points[0]
    ahead = down * points[0] + right * points[1] - place
    # from a circle of radius 1 / bend; written so that a straight line has one too
    radius = np.hypot(1 - bend * ahead, bend * beside)
    distance = (2 * ahead - bend * (ahead**2 + beside**2)) / (1 + radius)
    mean: Float64Array = profile(distance[:, None] + offsets).mean(axis=1)
    return mean
