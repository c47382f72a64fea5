"""The worst places of maps: squares of a fixed grid, ranked by the mean of the map."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from napari_structsr.core.error_map import MAPS
from napari_structsr.engine.inspection import WorstRegion

__all__ = ["Places", "worst_of"]


class Places:
    """The places of one plane.

    Parameters
    ----------
    side
        Pixels along the side of a place; blocks begin at multiples of it.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._means: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)

    def add(
        self,
        key: str,
        values: npt.NDArray[np.float64],
        rows: slice,
        columns: slice,
    ) -> None:
        """Average a block of a map, place by place; half of a place must be known."""
        side, (height, width) = self._side, values.shape
        down, right = -(-height // side), -(-width // side)
        padded = np.full((down * side, right * side), np.nan)
        padded[:height, :width] = values
        cells = padded.reshape(down, side, right, side)
        count = np.isfinite(cells).sum(axis=(1, 3))
        means = np.nansum(cells, axis=(1, 3)) / np.maximum(count, 1)
        top, left = rows.start // side, columns.start // side
        for row, column in np.argwhere(count >= min(side * side, values.size) / 2):
            place = int(row) + top, int(column) + left
            self._means[key][place] = float(means[row, column])

    def worst(
        self, count: int, *, plane: Mapping[str, int], shape: tuple[int, int]
    ) -> Iterator[WorstRegion]:
        """Yield the worst places of each map, none beside another."""
        for key, means in self._means.items():
            taken: set[tuple[int, int]] = set()
            for (row, column), value in sorted(
                means.items(), key=lambda cell: cell[1], reverse=_high_is_worse(key)
            ):
                if len(taken) == count:
                    break
                near = itertools.product((-1, 0, 1), repeat=2)
                if any((row + down, column + right) in taken for down, right in near):
                    continue
                taken.add((row, column))
                rows, columns = (
                    (n * self._side, min((n + 1) * self._side, size))
                    for n, size in zip((row, column), shape, strict=True)
                )
                yield WorstRegion(key, plane, rows, columns, value)


def worst_of(places: Iterable[WorstRegion], count: int) -> tuple[WorstRegion, ...]:
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
    """Tell in which direction a map is bad."""
    return MAPS[key].worse == "high"
