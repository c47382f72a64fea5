"""Drawn true images: smooth fields, lattices, spots and thin lines on black.

Collected images are seldom smooth without any grain, and seldom black but for a few
bright points, as those of scanning tunnelling microscopes and of localised molecules
are. A network that has never seen them leaves noise where there is no detail, and
trusts little light too little.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.draw import line

from napari_structsr.core.types import Array, Float32Array
from napari_structsr.training.patch_sampler import FULL_SCALE, Plane

SOURCE = "drawn"
"""Name of the source of all of them."""


def draw_planes(count: int, *, side: int, seed: int = 0) -> list[Plane]:
    """Draw `count` true images of `side` x `side` pixels, the kinds in turn."""
    kinds = (_draw_field, _draw_lattice, _draw_spots, _draw_lines)
    planes = []
    for number in range(count):
        random = np.random.default_rng([seed, number])
        canvas = kinds[number % len(kinds)](random, side)
        low, high = float(canvas.min()), float(canvas.max())
        pixels = ((canvas - low) / (high - low) * FULL_SCALE).round().astype(np.int16)
        planes.append(Plane(SOURCE, pixels, f"drawn {number}"))
    return planes


def _draw_field(random: np.random.Generator, side: int) -> Array:
    """Draw a random surface whose spectrum falls steeply, without any grain."""
    down, right = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    radius = np.hypot(down, right)
    corner = np.exp(random.uniform(np.log(0.004), np.log(0.05)))
    shape = (1 + (radius / corner) ** 2) ** -random.uniform(1, 2.5)
    white = np.fft.rfft2(random.standard_normal((side, side)))
    field: Array = np.fft.irfft2(white * shape, s=(side, side))
    return field


def _draw_lattice(random: np.random.Generator, side: int) -> Array:
    """Draw a periodic surface of two or three waves, with harmonics, on a slope."""
    down, right = np.indices((side, side)).astype(float)
    period, turn = (
        np.exp(random.uniform(np.log(6), np.log(50))),
        random.uniform(0, np.pi),
    )
    step = np.pi / int(random.integers(2, 4))
    canvas = np.zeros((side, side))
    for number in range(round(np.pi / step)):
        angle = turn + number * step
        place = down * np.sin(angle) + right * np.cos(angle)
        wave = np.cos(2 * np.pi * place / period + random.uniform(0, 2 * np.pi))
        canvas += random.uniform(0.5, 1) * wave
    canvas = np.exp(random.uniform(0, 1.5) * canvas / np.abs(canvas).max())
    slope = random.uniform(-1, 1, 2) * np.ptp(canvas) / side
    tilted: Array = canvas + slope[0] * down + slope[1] * right
    return tilted


def _draw_spots(random: np.random.Generator, side: int) -> Array:
    """Draw bright points of one width on black."""
    canvas = np.zeros((side, side))
    count = int(side**2 * np.exp(random.uniform(np.log(3e-4), np.log(1e-2))))
    places = random.integers(0, side, (2, count))
    np.add.at(canvas, tuple(places), random.lognormal(0, 0.5, count))
    return _blur(canvas, random)


def _draw_lines(random: np.random.Generator, side: int) -> Array:
    """Draw thin straight lines of points on black, as of single molecules."""
    canvas = np.zeros((side, side))
    for _ in range(int(random.integers(5, 40))):
        ends = random.integers(0, side, 4)
        rows, columns = line(*(int(end) for end in ends))
        # gaps, where no molecule was seen
        seen = random.random(len(rows)) < random.uniform(0.3, 1)
        canvas[rows[seen], columns[seen]] += random.uniform(0.3, 1)
    return _blur(canvas, random)


def _blur(canvas: Array, random: np.random.Generator) -> Array:
    blurred: Float32Array = ndimage.gaussian_filter(canvas, random.uniform(0.6, 2.5))
    # a few overlapping points must not leave all others dark
    top = np.percentile(blurred, 99.98)
    clipped: Array = np.minimum(blurred, max(top, blurred.max() / 4))
    return clipped
