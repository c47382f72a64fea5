"""The fine registration: Newton's method on the correlation of two images.

Both images are compared in one band of frequencies and at equal blur, so that what is
left after the registration is noise and not structure. The standard error is that of a
jackknife over blocks of the image: it grows with noise, with content along one
direction, with warps, with things that moved and with too little content alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import linalg, ndimage

from napari_structsr.core.types import Float64Array
from napari_structsr.imaging.registration.pose import BandImage, Pose, warp

_ROUNDS = 15
_CONVERGED = 0.004  # pixels
_BLOCKS = 8  # along each axis
_MIN_PIXELS = 300


@dataclass(frozen=True)
class Fit:
    """What Newton's method found in one band.

    Parameters
    ----------
    pose
        The answer.
    correlation
        Correlation coefficient in the band.
    errors
        Standard error of the shift, in pixels along the worse axis, and of the
        magnification.
    shared
        Smallest share, over all directions, of detail that is common to both; 0 or
        less where the images have nothing to do with each other.
    last_step
        Pixels that the last step still moved.
    bend
        What a free magnification and turn would add, and their standard errors:
        (magnification, turn, error, error), as shares and in radians.
    """

    pose: Pose
    correlation: float
    errors: tuple[float, float]
    shared: float
    last_step: float
    bend: tuple[float, float, float, float]


def match_blur(
    moving: BandImage, fixed: BandImage, pose: Pose, sigma: float
) -> tuple[BandImage, BandImage]:
    """Blur the sharper of two images until they correlate best."""
    images = {0.0: (moving, fixed)}
    scores = {0.0: _correlate(moving, fixed, pose, sigma)}

    def score(step: float) -> float:
        # blurs `moving` by step² sigma² where positive, else `fixed`
        if step not in scores:
            blur = (step * sigma) ** 2
            pair = (
                (replace(moving, blur=moving.blur + blur), fixed)
                if step > 0
                else (moving, replace(fixed, blur=fixed.blur + blur))
            )
            images[step] = pair
            scores[step] = _correlate(*pair, pose, sigma)
        return scores[step]

    # which of the two is sharper, by a small step to either side
    side = 1.0 if score(0.4) >= score(-0.4) else -1.0
    best = 0.0
    for step in (0.4, 0.6, 0.8, 1.0, 1.25, 1.5):
        if score(side * step) <= scores[best]:
            break
        best = side * step
    return images[best]


def _correlate(moving: BandImage, fixed: BandImage, pose: Pose, sigma: float) -> float:
    image, weight = moving.band(sigma)
    other, known = fixed.band(sigma)
    weight = np.clip(warp(weight, pose), 0, 1) * known
    return abs(_correlate_weighted(warp(image, pose), other, weight)[0])


def _correlate_weighted(
    one: Float64Array, other: Float64Array, weight: Float64Array
) -> tuple[float, float]:
    total = weight.sum()
    if total < _MIN_PIXELS:
        return 0.0, 0.0
    # returned beside the correlation is the gain from `one` to `other`, of its sign
    one = one - (weight * one).sum() / total
    other = other - (weight * other).sum() / total
    powers = (weight * one**2).sum(), (weight * other**2).sum()
    if min(powers) <= 0:
        return 0.0, 0.0
    found = float((weight * one * other).sum() / math.sqrt(powers[0] * powers[1]))
    return found, math.copysign(math.sqrt(powers[1] / powers[0]), found)


def fit(
    moving: BandImage, fixed: BandImage, start: Pose, *, sigma: float, with_scale: bool
) -> Fit | None:
    """Refine a pose in one band; None where too little of the images overlaps.

    Parameters
    ----------
    sigma
        Lower Gaussian width of the band, in pixels. The start must be about as good.
    with_scale
        Refine the magnification as well.
    """
    image, known = moving.band(sigma)
    coefficients = ndimage.spline_filter(image, order=3, mode="mirror")
    other, weight_fixed = fixed.band(sigma)
    rows, columns = _from_centre(image.shape)
    reach = max(image.shape) / 2
    pose, free = start, 3 if with_scale else 2
    for _ in range(_ROUNDS):
        moved = warp(coefficients, pose, spline=True)
        weight = np.clip(warp(known, pose), 0, 1) * weight_fixed
        correlation, gain = _correlate_weighted(moved, other, weight)
        if gain == 0:
            return None
        weight /= weight.sum()
        system = _NormalEquations(gain * moved, other, weight, rows, columns, sigma)
        step = system.step(free)
        longest = np.array([2 * sigma, 2 * sigma, sigma / reach])[:free]
        # beyond the width of the band the correlation is not quadratic
        step = np.clip(step, -longest, longest)
        pose = pose.then(Pose((step[0], step[1]), 1 + step[2] if with_scale else 1.0))
        last_step = float(np.abs(step[:2]).max() + np.abs(step[2:]).sum() * reach)
        if last_step < _CONVERGED:
            break
    errors = system.errors(free)
    # all four unknowns once more: a turn, or a scale that was not asked for, shows here
    bend = system.step(4)[2:], system.errors(4)[2:]
    return Fit(
        pose,
        correlation,
        (float(max(errors[:2])), float(errors[2]) if with_scale else 0.0),
        system.shared(free),
        last_step,
        tuple(float(value) for part in bend for value in part),  # type: ignore[arg-type]
    )


class _NormalEquations:
    """The linear system of one Newton step for shift y, x, magnification and turn."""

    def __init__(
        self,
        moved: Float64Array,
        fixed: Float64Array,
        weight: Float64Array,
        rows: Float64Array,
        columns: Float64Array,
        sigma: float,
    ) -> None:
        residual = fixed - moved
        residual -= (weight * residual).sum()
        self._one, self._other = (
            _differentiate(image, rows, columns).reshape(4, -1)
            for image in (moved, fixed)
        )
        self._weight = weight.ravel()
        self._blocks = _number_blocks(weight.shape, sigma)
        one, other = self._one * self._weight, self._other * self._weight
        # Products of the slopes of different images: their noise is independent and
        # cancels, whereas in the square of one image's slope it passes for detail.
        self.crossed = one @ self._other.T
        self.crossed = (self.crossed + self.crossed.T) / 2
        self.own = (one @ self._one.T + other @ self._other.T) / 2
        self._pulls = (one + other) / 2 * residual.ravel()
        self.pull = self._pulls.sum(axis=1)

    def shared(self, free: int) -> float:
        """Return the smallest share of slope that is common, over all directions."""
        crossed, own = self.crossed[:free, :free], self.own[:free, :free]
        try:
            return float(linalg.eigh(crossed, own, eigvals_only=True)[0])
        except linalg.LinAlgError:  # one direction has no slope at all
            return 0.0

    def step(self, free: int) -> Float64Array:
        # where hardly anything is common the crossed curvature may point uphill
        curvature = self.crossed if self.shared(free) > 0.05 else self.own
        solution, *_ = linalg.lstsq(curvature[:free, :free], self.pull[:free])
        return np.asarray(-solution)

    def errors(self, free: int) -> Float64Array:
        # a jackknife: how far the answer moves when each block is left out in turn;
        # blocks without structure change nothing, and count as little
        blocks, count = self._blocks, int(self._blocks.max()) + 1
        curves = np.empty((count, free, free))
        pulls = np.empty((count, free))
        for i in range(free):
            pulls[:, i] = self.pull[i] - np.bincount(blocks, self._pulls[i], count)
            for j in range(i, free):
                both = self._one[i] * self._other[j] + self._one[j] * self._other[i]
                part = np.bincount(blocks, self._weight * both / 2, count)
                curves[:, i, j] = curves[:, j, i] = self.crossed[i, j] - part
        steps = -np.einsum("bij,bj->bi", np.linalg.pinv(curves), pulls)
        whole = -linalg.pinv(self.crossed[:free, :free]) @ self.pull[:free]
        return np.asarray(np.sqrt(((steps - whole) ** 2).sum(axis=0)))


def _differentiate(
    image: Float64Array, rows: Float64Array, columns: Float64Array
) -> Float64Array:
    down, right = np.gradient(image)
    return np.stack(
        [down, right, rows * down + columns * right, columns * down - rows * right]
    )


def _from_centre(shape: tuple[int, ...]) -> tuple[Float64Array, Float64Array]:
    rows, columns = (
        np.arange(size, dtype=np.float64) - (size - 1) / 2 for size in shape
    )
    return rows[:, None], columns[None, :]


def _number_blocks(shape: tuple[int, ...], sigma: float) -> npt.NDArray[np.intp]:
    # blocks much wider than the band, so that the noise of one hardly reaches another
    least = max(12, 6 * sigma)
    rows, columns = (
        np.arange(size) * count // size
        for size, count in (
            (size, int(np.clip(size // least, 2, _BLOCKS))) for size in shape
        )
    )
    numbers = rows[:, None] * (columns[-1] + 1) + columns[None, :]
    return np.asarray(numbers.ravel(), np.intp)
