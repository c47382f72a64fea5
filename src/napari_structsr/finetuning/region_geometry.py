"""Where regions of pairs lie relative to each other, in the world.

Two regions are near if they show the same image nearby, whether by the measured or by
the true one, and whatever pair they belong to.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

from napari_structsr.core.types import Float32Array, Float64Array
from napari_structsr.pairs.image_pair import ImagePair


@dataclass(frozen=True)
class Block:
    """A rectangle of one pair.

    Parameters
    ----------
    pair
        Index of the pair.
    rows, columns
        First and last + 1 measured pixel of the pair.
    """

    pair: int
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in measured pixels."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    @property
    def area(self) -> int:
        """Number of measured pixels."""
        return self.shape[0] * self.shape[1]

    def measured(self, pair: ImagePair) -> Float32Array:
        """Cut the measured pixels out of its pair, a view."""
        return pair.measured[slice(*self.rows), slice(*self.columns)]

    def truth(self, pair: ImagePair) -> Float32Array:
        """Cut the true pixels out of its pair, a view."""
        rows, columns = (
            slice(pair.factor * first, pair.factor * last)
            for first, last in (self.rows, self.columns)
        )
        return pair.truth[rows, columns]


def locate_block(pair: ImagePair, block: Block, side: int) -> Float64Array:
    """Return where a block was measured (side 0), or where its truth was (side 1).

    Returns
    -------
    Float64Array
        World coordinates, shape (2, 2): first and last edge along y and along x.
    """
    where, moved = pair.where, pair.registration
    edges = []
    for axis, span in enumerate((block.rows, block.columns)):
        at = np.array(span, np.float64)
        if side:  # undo the registration, which is about the middle of the pair
            middle = pair.measured.shape[axis] / 2
            shift = moved.shift[axis] / pair.factor
            at = (at - middle - shift) / moved.scale + middle
        edges.append(np.sort(where.origin[axis] + where.pixel[axis] * at))
    return np.stack(edges)


def measure_gap(pairs: Sequence[ImagePair], one: Block, other: Block) -> float:
    """Return the measured pixels between two blocks; infinite for other images."""
    first, second = pairs[one.pair], pairs[other.pair]
    if one.pair == other.pair:
        # Of one pair: on its own grid, whole pixels.
        spans = (one.rows, other.rows), (one.columns, other.columns)
        return float(max(max(a[0] - b[1], b[0] - a[1]) for a, b in spans))
    least = np.inf
    keys = first.where.sources, second.where.sources
    # In the larger pixels of the two: the gap holds for both.
    size = np.abs([first.where.pixel, second.where.pixel]).max(axis=0)
    # The low image of one pair may be the high image of another.
    for side, another in itertools.product((0, 1), repeat=2):
        if keys[0][side] == keys[1][another]:  # otherwise different images
            here = locate_block(first, one, side)
            there = locate_block(second, other, another)
            room = np.maximum(here[:, 0] - there[:, 1], there[:, 0] - here[:, 1])
            least = min(least, (room / size).max())
    return float(least)


def make_whole_block(pairs: Sequence[ImagePair], index: int) -> Block:
    """Return the block that is a whole pair."""
    height, width = pairs[index].measured.shape
    return Block(index, (0, height), (0, width))


def find_clusters(pairs: Sequence[ImagePair], gap: int) -> list[list[int]]:
    """Group pairs that lie nearer to each other than the gap, or to a common third."""
    whole = [make_whole_block(pairs, index) for index in range(len(pairs))]
    near = np.zeros((len(pairs), len(pairs)), bool)
    for one, other in itertools.combinations(whole, 2):
        near[one.pair, other.pair] = measure_gap(pairs, one, other) < gap
    count, groups = connected_components(near, directed=False)
    return [np.flatnonzero(groups == number).tolist() for number in range(count)]


def find_slack(
    pairs: Sequence[ImagePair], whole: Sequence[Block], axis: int, gap: int
) -> float:
    """Return by how much more two grids of a cluster must be apart, in pixels."""
    # One grid: a cut between two of its pixels is exact.
    if len(whole) == 1:
        return 0.0
    moved = stretched = 0.0
    for block in whole:
        pair = pairs[block.pair]
        measured, true = (locate_block(pair, block, side) for side in (0, 1))
        # Registration moves and stretches the truth against the measured pixels.
        off = (true[axis] - measured[axis]) / pair.where.pixel[axis]
        moved = max(moved, float(np.abs(off).max()))
        stretched = max(stretched, pair.registration.scale - 1)
    # One pixel of rounding, and both grids may lie off by their own shift.
    return 1 + 2 * moved + 2 * stretched * gap
