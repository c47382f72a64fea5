"""Sums over the pixels of a plane and of its regions, and the scores they give."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from napari_structsr.core.types import Array, Float64Array


def find_labels(regions: Array | None) -> Array:
    """Return the labels of all regions, rising; 0 is none."""
    values = np.empty(0) if regions is None else np.unique(regions)
    found: Array = values[values != 0]
    return found


def choose_regions(regions: Array | None, plane: tuple[int, ...]) -> Array | None:
    """Return the labels of one plane, of those that may differ by plane."""
    if regions is None or regions.ndim == 2:
        return regions
    found: Array = regions[plane]
    return found


class RegionSums:
    """Sums and counts of pixels by the name of a score, for a plane and its regions.

    Names that begin with "_" are no scores themselves: "_squared" error and "_power" of
    the reference, "_wrong" and "_gradient" for the gradients of either. What ends in
    "_bicubic" is that of the interpolated source.
    """

    def __init__(self, count: int) -> None:
        # regions are numbered from 1 on, 0 is none
        self._bins = count + 1
        self._sums: dict[str, Float64Array] = {}
        self._counts: dict[str, Float64Array] = {}

    def add(
        self, name: str, values: Float64Array, regions: npt.NDArray[np.int64] | None
    ) -> None:
        """Add the pixels of a block that are numbers, by the region of each."""
        # bin 0 holds the pixels of no region: the whole plane is the sum of all bins
        nothing = np.zeros(self._bins)
        sums, counts = nothing.copy(), nothing.copy()
        if regions is None:
            sums[0], counts[0] = np.sum(values), values.size
            if not np.isfinite(sums[0]):  # a mask takes five times as long
                known = np.isfinite(values)
                sums[0], counts[0] = np.sum(values, where=known), known.sum()
        else:
            known = np.isfinite(values)
            where = regions[known]
            sums += np.bincount(where, weights=values[known], minlength=self._bins)
            counts += np.bincount(where, minlength=self._bins)
        self._sums[name] = self._sums.get(name, nothing) + sums
        self._counts[name] = self._counts.get(name, nothing) + counts

    def pixels(self, region: int) -> int:
        """Return how many pixels of a region counted."""
        return int(max(counts[region] for counts in self._counts.values()))

    def scores(self, region: int | None) -> dict[str, float | None]:
        """Return the scores of a region, or of the whole plane."""
        part = slice(None) if region is None else slice(region, region + 1)
        sums = {name: float(values[part].sum()) for name, values in self._sums.items()}
        counts = {name: int(v[part].sum()) for name, v in self._counts.items()}
        found: dict[str, float | None] = {
            name: total / counts[name] if counts[name] else None
            for name, total in sums.items()
            if not name.startswith("_")
        }
        # the root is taken last: squares can be summed over blocks
        if found.get("residual_rms"):
            found["residual_rms"] = math.sqrt(found["residual_rms"] or 0)
        for end in ("", "_bicubic"):
            if counts.get(f"_squared{end}"):
                mean = sums[f"_squared{end}"] / counts[f"_squared{end}"]
                found[f"psnr{end}"] = -10 * math.log10(mean) if mean else None
                edges = sums["_gradient"]
                wrong = sums[f"_wrong{end}"]
                found[f"gradient_error{end}"] = wrong / edges if edges else None
        if counts.get("_squared"):
            found["nrmse"] = (
                math.sqrt(sums["_squared"] / sums["_power"]) if sums["_power"] else None
            )
        return found
