"""The width of the blur, fitted to a bead, an edge or a filament that is pointed at.

Each is small or sharp by nature, so that its image shows the point-spread function::

    bead       a disc that is seen as a spot          amplitude x Gaussian, round
    edge       light on one side of a straight line   error function across it
    filament   a thin straight line                   Gaussian across it

What is fitted is integrated over pixels as the camera does, so that the width is that
of the point-spread function alone, as `ForwardModel` takes it. Edges and filaments may
run in any direction and be bent; the line across them says roughly where they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # its parts come when they are first used, and cost time

from napari_structsr.core.types import Array, Float64Array
from napari_structsr.errors import SettingsError
from napari_structsr.imaging.blur_width.profiles import (
    draw_bead,
    draw_edge,
    draw_filament,
)

Shape = Literal["bead", "edge", "filament"]

REACH = 26
"""Pixels around the middle of a mark that a fit looks at, at most."""

_RADIUS = 9  # pixels around a bead; wider than four times the widest blur
_LEAST_RADIUS = 3
_SEARCH = 3  # pixels that a click may lie beside a bead
_BANDS = (6.0, 12.0)  # pixels to both sides of a line that is drawn across something
_WORSE = 1.1  # residual variance of the longer one, relative to the shorter
_LONGEST = 24.0  # pixels of such a line that are used
_WIDTHS = (0.05, 6.0)  # pixels
_LARGEST_ERROR = 0.25  # relative standard error of a width worth knowing
_LEAST_SHARE = 0.5  # of the variance that the shape must explain
_FLAT_TOP = 4  # equal highest pixels, which mean that the camera was saturated
_REMEDY = "point at another one, or give the width in pixels (--psf-sigma, By hand)"


@dataclass(frozen=True)
class Width:
    """A width of the point-spread function in measured pixels.

    Parameters
    ----------
    sigma
        Standard deviation of the Gaussian.
    error
        Its standard error.
    """

    sigma: float
    error: float


def fit_width(
    image: Array,
    shape: Shape,
    place: Sequence[float],
    *,
    diameter: float = 0.0,
    label: str = "",
) -> Width:
    """Fit the width of the blur to something that is small or sharp.

    Parameters
    ----------
    image
        A plane, shape (y, x), in any unit that is proportional to light.
    shape
        What is pointed at.
    place
        Of a bead, y and x of its centre within 3 pixels; of an edge or filament,
        y, x, y, x of a line across it. The centre of a pixel is a whole number.
    diameter
        Of the bead, or of the filament, in pixels; it is taken off the width.
    label
        What errors call it; "the bead at Y, X" by default.

    Raises
    ------
    SettingsError
        If there is none of this shape, or it is too faint, saturated or too wide.

    Notes
    -----
    A ball adds d²/20 to the variance of its image and a cylinder d²/16. Noise is taken
    to grow with the light, by an amount that the residuals of a first fit tell.
    """
    values = np.asarray(image, dtype=np.float64)
    label = label or f"the {shape} at {', '.join(f'{n:.4g}' for n in place)}"
    if len(place) != (2 if shape == "bead" else 4):
        raise SettingsError(
            f"{label} has {len(place)} numbers; give Y,X of a bead, and Y,X,Y,X of a "
            "line across an edge or filament"
        )
    ends = np.array(place, dtype=float).reshape(-1, 2)
    if shape == "bead":
        found = _fit_bead(values, ends[0], label)
    else:
        found = _fit_across(values, ends, shape, label)
    share = 20 if shape == "bead" else 16
    variance = found.sigma**2 - diameter**2 / share
    if variance <= (0.1 * found.sigma) ** 2:
        raise SettingsError(
            f"{label} is {found.sigma:.2f} pixels wide, which its diameter of "
            f"{diameter:.2f} pixels explains alone; check the diameter, or measure on "
            "a smaller one"
        )
    sigma = math.sqrt(variance)
    return Width(sigma, found.error * found.sigma / sigma)


def combine_widths(widths: Sequence[Width]) -> Width:
    """Return the mean of several widths; its error covers how far they differ."""
    sigmas = np.array([width.sigma for width in widths])
    # alike: errors of fits know nothing of beads that stick together
    own = math.sqrt(sum(width.error**2 for width in widths)) / len(widths)
    spread = sigmas.std(ddof=1) / math.sqrt(len(widths)) if len(widths) > 1 else 0.0
    return Width(float(sigmas.mean()), float(max(own, spread)))


def _fit_bead(image: Float64Array, centre: Float64Array, label: str) -> Width:
    rows, columns = (round(float(c)) for c in centre)
    crop, (top, left) = _cut(image, rows, columns, _SEARCH)
    # relative to what surrounds it, since beads may be dark as well
    around, _ = _cut(image, rows, columns, _RADIUS)
    level = float(np.median(around))
    smooth = scipy.ndimage.gaussian_filter(crop, 0.7)
    peak = np.unravel_index(np.abs(smooth - level).argmax(), crop.shape)
    centre = np.array([top + peak[0], left + peak[1]], dtype=float)
    sigma, radius = 1.0, _RADIUS
    found = None
    # once more within what belongs to the bead, without its neighbours
    for _ in range(2):
        row, column = round(float(centre[0])), round(float(centre[1]))
        part, (top, left) = _cut(image, row, column, radius)
        y, x = (grid.ravel().astype(float) for grid in np.indices(part.shape))
        y, x = y + top, x + left
        start = (
            float(image[row, column] - level) or 1.0,
            *centre,
            sigma,
            level,
        )
        found = _fit(draw_bead, np.stack([y, x]), part.ravel(), start, label)
        parameters = found[0]
        centre, sigma = parameters[1:3], abs(parameters[3])
        if np.abs(centre - (rows, columns)).max() > _SEARCH + 2:
            raise SettingsError(f"{label} is none; {_REMEDY}")
        radius = max(
            _LEAST_RADIUS, min(_RADIUS, math.ceil(3.5 * math.hypot(sigma, 0.3)))
        )
    assert found is not None
    return Width(sigma, found[1])


def _fit_across(
    image: Float64Array, ends: Float64Array, shape: Shape, label: str
) -> Width:
    along = ends[1] - ends[0]
    length = float(np.hypot(*along))
    if length < 3:
        raise SettingsError(
            f"the line across {label} is {length:.1f} pixels long; draw it from well "
            "before to well behind, 8 pixels or more"
        )
    along, half = along / length, min(length, _LONGEST) / 2
    found = _fit_band(image, ends.mean(axis=0), along, half, _BANDS[0], shape, label)
    try:
        # twice as long is more certain, where nothing else is in the way
        longer = _fit_band(
            image, ends.mean(axis=0), along, half, _BANDS[1], shape, label
        )
    except SettingsError:
        return found[0]
    agree = abs(longer[0].sigma - found[0].sigma) < 2 * found[0].error
    clean = longer[1] < _WORSE * found[1]
    return longer[0] if agree and clean else found[0]


def _fit_band(
    image: Float64Array,
    middle: Float64Array,
    along: Float64Array,
    half: float,
    band: float,
    shape: Shape,
    label: str,
) -> tuple[Width, float]:
    """Fit what lies near a line; return the width and the variance left."""
    angle = math.atan2(along[0], along[1])
    y, x = (grid.ravel() for grid in np.indices(image.shape))
    y, x = y - middle[0], x - middle[1]
    distance = along[0] * y + along[1] * x
    beside = along[0] * x - along[1] * y
    inside = (np.abs(distance) <= half) & (np.abs(beside) <= band)
    values = image.ravel()[inside]
    points = np.stack([y[inside], x[inside]])
    if len(values) < 20:
        raise SettingsError(
            f"{label} has {len(values)} pixels around it; draw the line farther from "
            "the border of the image"
        )
    start, model = _begin_across(distance[inside], values, shape, angle)
    parameters, error = _fit(model, points, values, start, label)
    if abs(parameters[1]) > half:
        raise SettingsError(f"{label} is none; {_REMEDY}")
    # parameters are those of values that range from 0 to 1
    scaled = (values - values.min()) / (float(np.ptp(values)) or 1.0)
    left = float(np.var(scaled - model(points, *parameters)))
    return Width(abs(float(parameters[3])), error), left


def _begin_across(
    distance: Float64Array, values: Float64Array, shape: Shape, angle: float
) -> tuple[tuple[float, ...], Callable[..., Float64Array]]:
    """Return where a fit across a line begins, and what is fitted."""
    order = np.argsort(distance)
    bins = np.array_split(order, max(4, round(float(np.ptp(distance)))))
    profile = np.array([values[group].mean() for group in bins])
    centres = np.array([distance[group].mean() for group in bins])
    if shape == "edge":
        step = int(np.abs(np.diff(profile)).argmax())
        low, high = profile[: step + 1].mean(), profile[step + 1 :].mean()
        place = (centres[step] + centres[step + 1]) / 2
        return (high - low, place, angle, 1.0, low, 0.0, 0.0), draw_edge
    level = float(np.median(profile))
    peak = int(np.abs(profile - level).argmax())
    start = (profile[peak] - level, centres[peak], angle, 1.0, level, 0.0, 0.0)
    return start, draw_filament


def _cut(
    image: Float64Array, row: int, column: int, radius: int
) -> tuple[Float64Array, tuple[int, int]]:
    """Return the pixels around one, and the place of the first of them."""
    top, left = max(0, row - radius), max(0, column - radius)
    return image[top : row + radius + 1, left : column + radius + 1], (top, left)


def _fit(
    model: Callable[..., Float64Array],
    points: Float64Array,
    values: Float64Array,
    start: Sequence[float],
    label: str,
) -> tuple[Float64Array, float]:
    """Fit twice, the second time by the noise that the first one left.

    Returns the parameters, of values brought to the range 0 to 1, and the standard
    error of the width, which is the fourth of them.
    """
    high = values.max()
    if high == values.min():
        raise SettingsError(f"{label} is none: all pixels are equal; {_REMEDY}")
    if start[0] > 0 and (values == high).sum() > _FLAT_TOP:
        raise SettingsError(
            f"{label} is saturated: {(values == high).sum()} pixels have the highest "
            f"value; {_REMEDY}"
        )
    # of order one, whatever the camera counts in
    scale, offset = float(np.ptp(values)), float(values.min())
    values = (values - offset) / scale
    first = np.array(start, dtype=float)
    first[0] /= scale
    first[4] = (first[4] - offset) / scale
    deviation = None
    try:
        for _ in range(2):
            parameters, covariance = scipy.optimize.curve_fit(
                model, points, values, p0=first, sigma=deviation, maxfev=2000
            )
            fitted = model(points, *parameters)
            residual = values - fitted
            first = parameters
            deviation = _model_noise(fitted, residual)
    except (RuntimeError, ValueError) as fault:
        raise SettingsError(f"{label} cannot be fitted; {_REMEDY}") from fault
    sigma, error = abs(float(parameters[3])), math.sqrt(covariance[3, 3])
    explained = 1 - residual.var() / max(values.var(), 1e-30)
    low, high = _WIDTHS
    if not low <= sigma <= high or explained < _LEAST_SHARE:
        raise SettingsError(
            f"{label} does not look like one: the best width is {sigma:.2g} pixels and "
            f"explains {max(explained, 0):.0%} of what is there; {_REMEDY}"
        )
    if not error <= _LARGEST_ERROR * sigma:
        found = f"{sigma:.2f} ± {error:.2f}" if error < sigma else "anything below one"
        raise SettingsError(
            f"{label} is too faint: its width is {found} pixels; {_REMEDY}"
        )
    return parameters, error


def _model_noise(fitted: Float64Array, residual: Float64Array) -> Float64Array:
    """Return the deviation of each pixel: variance grows evenly with the light."""
    light = fitted - fitted.min()
    design = np.stack([np.ones_like(light), light], axis=1)
    (floor, gain), *_ = np.linalg.lstsq(design, residual**2, rcond=None)
    mean = float((residual**2).mean()) + 1e-12
    # noise never falls with the light, and no pixel is without any
    variance: Float64Array = np.maximum(floor, 0.1 * mean) + max(gain, 0.0) * light
    return variance**0.5
