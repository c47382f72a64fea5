"""The worst places of a map: squares of a plane, ranked by its mean in them.

The list ends where the usual begins. A place of the residual is listed where more than
1% of it, and at least 3 measured pixels, depart from the measurement by more than 4
times the noise: of a right result 6 pixels in 100 000 do. A place of another map is
listed where its mean lies more than 4 spreads beyond the median of all planes, 10 for
maps that rise with detail whether it is right or not, and 16 for the null-space energy,
which is detail. Median and spread are those of all half squares. The spread is 1.48
times the median distance from the median, or the way to the 70th percentile over 0.52
if that is more, both of which are the standard deviation of a normal distribution.
Where a unit says what counts, the place must differ from the median by that as well.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.types import Float64Array
from napari_structsr.inspection.results import WorstRegion

DEPARTURE = 4.0
"""Standard deviations of the noise beyond which a residual is no noise."""
_DEPARTED = "departed"  # share of a place that the residual leaves unsupported
_LEAST_SHARE, _LEAST_PIXELS = 0.01, 3  # of measured pixels that depart
_FAR = 4.0  # spreads beyond the median
_FAR_OF_DETAIL = {
    **dict.fromkeys(("error", "gradient", "squirrel", "spread"), 10.0),
    **dict.fromkeys(("trust", "interval"), 10.0),
    "null_space": 16.0,
}
# what a mean must differ by to count, where a map hardly varies
_LEAST_CHANGE = {
    "ssim": 0.02,
    "gradient_similarity": 0.02,
    "coherence": 0.2,
    "orientation": 5.0,
    "resolution": 8.0,
    "artefact": 0.02,
    "change": 0.1,
}
# of a normal distribution: one standard deviation over each
_OF_MAD, _OF_UPPER = 1.4826, 1 / 0.5244
_QUANTILES = np.linspace(0.005, 0.995, 34)


class SquareMeans:
    """Means of maps in squares of one plane, which overlap by half.

    They have an even `side`, and blocks of the plane begin at multiples of it. A
    measured pixel is `factor` pixels wide.
    """

    def __init__(self, side: int, shape: tuple[int, int], *, factor: int = 1) -> None:
        self._half = side // 2
        self._least = _LEAST_PIXELS * factor**2
        self._shape = shape
        self._cells: dict[str, Float64Array] = {}

    def add(self, key: str, values: Float64Array, rows: slice, columns: slice) -> None:
        """Add a block of a map."""
        if key == "residual":
            departed = np.where(np.isfinite(values), values > DEPARTURE, np.nan)
            self.add(_DEPARTED, departed, rows, columns)
        # sums and counts of half squares: four of them make a square
        half, (height, width) = self._half, values.shape
        if key not in self._cells:
            size = (-(-length // half) + 1 for length in self._shape)
            self._cells[key] = np.zeros((2, *size))
        down, right = -(-height // half), -(-width // half)
        if values.shape != (down * half, right * half):
            # the last block of a plane need not be whole
            padded = np.full((down * half, right * half), np.nan)
            padded[:height, :width] = values
            values = padded
        cells = values.reshape(down, half, right, half)
        top, left = rows.start // half, columns.start // half
        part = self._cells[key][:, top : top + down, left : left + right]
        sums = cells.sum(axis=(1, 3))
        if np.isfinite(sums).all():  # a mask takes five times as long
            part[0] += sums
            part[1] += half**2
            return
        known = np.isfinite(cells)
        part[0] += np.sum(cells, axis=(1, 3), where=known)
        part[1] += known.sum(axis=(1, 3))

    def rank(self, count: int, *, plane: Mapping[str, int]) -> Iterator[WorstRegion]:
        """Yield the worst places of each map, none beside another.

        Half of a square, or of a smaller plane, must be known. A square without any
        error is left out. What is usual is known when all planes are, see
        `merge_worst`.
        """
        least = min((2 * self._half) ** 2, math.prod(self._shape)) / 2
        for key in self._cells:
            if key == _DEPARTED:
                continue
            sums, known = self._join(key)
            means = sums / np.maximum(known, 1)
            badness = means if _high_is_worse(key) else -means
            best = (MAPS[key].limits or (0.0,))[0]
            badness[(known < least) | (means == best)] = -np.inf
            if key == "residual":
                badness[~self._find_departures()] = -np.inf
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

    def _join(self, key: str) -> Float64Array:
        """Return sum and count of each square."""
        cells = self._cells[key]
        # 2 x 2 half squares each: they overlap, so that no fault is cut in two
        near = cells[:, :-1] + cells[:, 1:]
        joined: Float64Array = near[:, :, :-1] + near[:, :, 1:]
        return joined

    def _find_departures(self) -> npt.NDArray[np.bool_]:
        """Tell which squares contradict the measurement."""
        departed, known = self._join(_DEPARTED)
        found: npt.NDArray[np.bool_] = (departed >= self._least) & (
            departed > _LEAST_SHARE * known
        )
        return found

    def sample(self) -> dict[str, list[float]]:
        """Return quantiles of what each map is in half squares, to know the usual.

        Half squares, since a fault lies in fewer of them than of squares that overlap.
        """
        found = {}
        for key, (sums, known) in self._cells.items():
            whole = known >= self._half**2 / 2
            if key not in (_DEPARTED, "residual") and whole.any():
                means = sums[whole] / known[whole]
                found[key] = np.quantile(means, _QUANTILES).tolist()
        return found


def find_usual(key: str, samples: Sequence[float]) -> float:
    """Return the value of a map beyond which a place is unusual."""
    sign = 1 if _high_is_worse(key) else -1
    badness = sign * np.array(samples)
    middle, upper = np.quantile(badness, (0.5, 0.7))
    spread = max(
        _OF_MAD * float(np.median(np.abs(badness - middle))),
        _OF_UPPER * float(upper - middle),
    )
    # a map that is the same everywhere has no spread
    far = _FAR_OF_DETAIL.get(key, _FAR) * spread
    return sign * float(middle + max(far, _LEAST_CHANGE.get(key, 0.0)))


def merge_worst(
    places: Iterable[WorstRegion],
    samples: Iterable[Mapping[str, Sequence[float]]],
    *,
    count: int,
) -> tuple[tuple[WorstRegion, ...], tuple[str, ...]]:
    """Return the unusual places of all planes, and the maps that have more of them.

    The samples are those of `SquareMeans.sample`, of each plane.
    """
    pooled: dict[str, list[float]] = defaultdict(list)
    for plane in samples:
        for key, values in plane.items():
            pooled[key] += values
    usual = {key: find_usual(key, values) for key, values in pooled.items()}
    found: dict[str, list[WorstRegion]] = defaultdict(list)
    for place in places:
        limit = usual.get(place.map)
        higher = _high_is_worse(place.map)
        if limit is None or (place.value > limit if higher else place.value < limit):
            found[place.map].append(place)
    chosen: list[WorstRegion] = []
    for key, several in found.items():
        several.sort(key=lambda place: place.value, reverse=_high_is_worse(key))
        chosen += several[:count]
    cut = [key for key, several in found.items() if len(several) > count]
    return tuple(chosen), tuple(cut)


def _high_is_worse(key: str) -> bool:
    return MAPS[key].worse == "high"
