"""The worst places of a map: squares of a plane, ranked by its mean in them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.types import Float64Array
from napari_structsr.inspection.results import WorstRegion


class SquareMeans:
    """Means of maps in squares of one plane, which overlap by half.

    They have an even `side`, and blocks of the plane begin at multiples of it.
    """

    def __init__(self, side: int, shape: tuple[int, int]) -> None:
        self._half = side // 2
        self._shape = shape
        self._cells: dict[str, Float64Array] = {}

    def add(self, key: str, values: Float64Array, rows: slice, columns: slice) -> None:
        """Add a block of a map."""
        # sums and counts of half squares: four of them make a square
        half, (height, width) = self._half, values.shape
        if key not in self._cells:
            size = (-(-length // half) + 1 for length in self._shape)
            self._cells[key] = np.zeros((2, *size))
        down, right = -(-height // half), -(-width // half)
        # the last block of a plane need not be whole
        padded = np.full((down * half, right * half), np.nan)
        padded[:height, :width] = values
        cells = padded.reshape(down, half, right, half)
        top, left = rows.start // half, columns.start // half
        part = self._cells[key][:, top : top + down, left : left + right]
        part[0] += np.nansum(cells, axis=(1, 3))
        part[1] += np.isfinite(cells).sum(axis=(1, 3))

    def rank(self, count: int, *, plane: Mapping[str, int]) -> Iterator[WorstRegion]:
        """Yield the worst places of each map, none beside another.

        Half of a square, or of a smaller plane, must be known. A square without any
        error is left out.
        """
        least = min((2 * self._half) ** 2, math.prod(self._shape)) / 2
        for key, cells in self._cells.items():
            # 2 x 2 half squares each: they overlap, so that no fault is cut in two
            near = cells[:, :-1] + cells[:, 1:]
            sums, known = near[:, :, :-1] + near[:, :, 1:]
            means = sums / np.maximum(known, 1)
            badness = means if _high_is_worse(key) else -means
            best = (MAPS[key].limits or (0.0,))[0]
            badness[(known < least) | (means == best)] = -np.inf
            taken: list[tuple[int, int]] = []
            # a stable order: the same maps give the same list
            for place in np.argsort(-badness, axis=None, kind="stable"):
                row, column = (int(n) for n in np.unravel_index(place, means.shape))
                if len(taken) == count or badness[row, column] == -np.inf:
                    break
                # neighbours share pixels, and would fill the list with one fault
                if any(abs(row - r) <= 2 and abs(column - c) <= 2 for r, c in taken):
                    continue
                taken.append((row, column))
                rows, columns = (
                    (n * self._half, min((n + 2) * self._half, size))
                    for n, size in zip((row, column), self._shape, strict=True)
                )
                yield WorstRegion(key, plane, rows, columns, float(means[row, column]))


def merge_worst(places: Iterable[WorstRegion], count: int) -> tuple[WorstRegion, ...]:
    """Return the worst places of all planes, map by map."""
    found: dict[str, list[WorstRegion]] = defaultdict(list)
    for place in places:
        found[place.map].append(place)
    chosen: list[WorstRegion] = []
    for key, several in found.items():
        several.sort(key=lambda place: place.value, reverse=_high_is_worse(key))
        chosen += several[:count]
    return tuple(chosen)


def _high_is_worse(key: str) -> bool:
    return MAPS[key].worse == "high"
