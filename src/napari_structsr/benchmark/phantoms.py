"""Drawn images, whose structure is known.

Filaments, nuclei and a polycrystal with cracks and pores, drawn four times finer than
the truth and averaged over its pixels, seeded, in 0..1.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import ellipse, line

from napari_structsr.core.types import Array, Float32Array

_FINE = 4


def draw_filaments(*, side: int = 384, seed: int = 0) -> Float32Array:
    """Draw a network of 40 smoothly bent filaments of different brightness."""
    random = np.random.default_rng(seed)
    canvas = np.zeros((side * _FINE,) * 2)
    for _ in range(40):
        path = _walk(random, side * _FINE, steps=int(random.integers(60, 200)))
        brightness = random.uniform(0.3, 1)
        drawn = np.zeros(canvas.shape, bool)
        for start, end in pairwise(path):
            drawn[_draw_segment(start, end, canvas.shape)] = True
        canvas += brightness * drawn
    thick = ndimage.gaussian_filter(canvas, 0.8 * _FINE)
    # light from other depths, as in a widefield image
    haze = ndimage.gaussian_filter(canvas, 12 * _FINE)
    return _finish(thick / thick.max() + 0.5 * haze / haze.max() + 0.02)


def draw_nuclei(*, side: int = 384, seed: int = 0) -> Float32Array:
    """Draw 60 nuclei with chromatin, some of them touching."""
    random = np.random.default_rng(seed)
    fine = side * _FINE
    canvas = np.zeros((fine, fine))
    chromatin = ndimage.gaussian_filter(
        random.standard_normal((fine, fine)), 1.5 * _FINE
    )
    chromatin /= chromatin.std()
    for _ in range(60):
        rows, columns = _draw_ellipse(random, 8 * _FINE, 18 * _FINE, canvas.shape)
        body = random.uniform(0.4, 0.8) * (1 + 0.15 * chromatin[rows, columns])
        # touching nuclei lie side by side: their light does not add up
        canvas[rows, columns] = np.maximum(canvas[rows, columns], body)
    return _finish(ndimage.gaussian_filter(canvas, 0.5 * _FINE) + 0.05)


def draw_grains(*, side: int = 384, seed: int = 0) -> Float32Array:
    """Draw 90 grains with dark boundaries, 4 cracks and 25 pores."""
    random = np.random.default_rng(seed)
    fine = side * _FINE
    seeds = random.uniform(0, fine, (90, 2))
    places = np.indices((fine, fine)).reshape(2, -1).T
    distances, nearest = cKDTree(seeds).query(places, k=2)
    tones = random.uniform(0.45, 0.85, len(seeds))
    canvas = tones[nearest[:, 0]].reshape(fine, fine)
    # about as far from a second seed: the boundary of two grains
    gap = (distances[:, 1] - distances[:, 0]).reshape(fine, fine)
    canvas[gap < 2.5 * _FINE] *= 0.55
    for _ in range(4):
        path = _walk(random, fine, steps=120)
        for start, end in pairwise(path):
            canvas[_draw_segment(start, end, canvas.shape)] = 0.05
    dark = ndimage.minimum_filter(canvas, _FINE + 1)
    canvas = np.where(dark < 0.1, dark, canvas)  # cracks as wide as a pixel
    for _ in range(25):
        pore = _draw_ellipse(random, 3 * _FINE, 8 * _FINE, canvas.shape)
        canvas[pore] = 0.1
    grain = ndimage.gaussian_filter(random.standard_normal((fine, fine)), _FINE)
    canvas += 0.02 * grain / grain.std()
    return _finish(ndimage.gaussian_filter(canvas, 0.5 * _FINE))


def _walk(random: np.random.Generator, side: int, *, steps: int) -> Array:
    """Return the places of a walk whose direction changes little by little."""
    turns = ndimage.gaussian_filter1d(random.standard_normal(steps), 6)
    heading = random.uniform(0, 2 * np.pi) + np.cumsum(0.35 * turns)
    stride = 2.5 * _FINE * np.stack([np.sin(heading), np.cos(heading)], axis=1)
    path: Array = random.uniform(0, side, 2) + np.cumsum(stride, axis=0)
    return path


def _draw_ellipse(
    random: np.random.Generator, least: int, most: int, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """Return the pixels of an ellipse anywhere, its half axes within limits."""
    row, column = random.uniform(0, shape[0]), random.uniform(0, shape[1])
    tall, wide = random.uniform(least, most), random.uniform(least, most)
    turn = random.uniform(-np.pi, np.pi)
    found: tuple[Array, Array] = ellipse(
        row, column, tall, wide, shape=shape, rotation=turn
    )
    return found


def _draw_segment(
    start: Array, end: Array, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """Return the pixels of a straight piece that lie inside the canvas."""
    rows, columns = line(*start.astype(int), *end.astype(int))
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return rows[inside], columns[inside]


def _finish(canvas: Array) -> Float32Array:
    # drawn finer and averaged, so that edges are not jagged
    side = canvas.shape[0] // _FINE
    means = canvas.reshape(side, _FINE, side, _FINE).mean(axis=(1, 3))
    truth: Float32Array = (means / means.max()).astype(np.float32)
    return truth
