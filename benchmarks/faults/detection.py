"""How well a map finds a fault: areas under receiver operating curves (AUROC).

Two questions, two numbers. *Found*: is the map worse where the fault is than in the
rest of the plane? That is what a user who looks for the worst regions needs, and a map
that is always bad on structure scores here without having seen anything. *Seen*: is
the map worse there than it was at the same pixels before the fault was planted? A map
that is blind to the fault scores 0.5.

Maps are smoothed first, as a user looks at regions and not at pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata

from napari_structsr.core.error_map import MAPS
from napari_structsr.core.types import Array

__all__ = [
    "GUARD",
    "SMOOTHING",
    "UNIONS",
    "Detections",
    "Found",
    "auroc",
    "combine_maps",
    "detect",
    "orient_and_smooth",
]

SMOOTHING = 4.0
"""Pixels, sigma of the Gaussian that maps are smoothed with."""

GUARD = 12
"""Pixels around a fault that count as neither; the smoothing spreads it so far."""

UNIONS = {
    "union": "all maps",
    "union with reference": "the maps that need a reference",
    "union without": "the maps that need none",
}
"""Unions of maps: at each pixel the worst of their standardised values."""

_STEP = 3  # pixels between those of the rest that are ranked: maps are smooth
_BAD = 95  # percentile of a map that counts as 1
_CLASSES = (0.0, 0.0, 1.0, 2.0)  # of `change`: an improvement is not bad


@dataclass(frozen=True)
class Found:
    """How well one map found one kind of fault on one plane.

    Parameters
    ----------
    source, plane
        Where.
    fault, visible
        What was planted.
    map
        Key of the map, or one of `UNIONS`.
    found
        AUROC of the faults against the rest of the plane.
    seen
        AUROC of the faults against the same pixels before.
    """

    source: str
    plane: str
    fault: str
    visible: bool
    map: str
    found: float
    seen: float


@dataclass
class Detections:
    """What a run found.

    Parameters
    ----------
    rows
        In the order of the run.
    left_out
        Why planes are missing.
    """

    rows: list[Found] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def maps(self) -> tuple[str, ...]:
        """Maps in their order, unions last."""
        found = {row.map for row in self.rows}
        return tuple(key for key in (*MAPS, *UNIONS) if key in found)

    @property
    def faults(self) -> tuple[str, ...]:
        """Kinds of faults in the order of the run."""
        return tuple(dict.fromkeys(row.fault for row in self.rows))

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources in the order of the run."""
        return tuple(dict.fromkeys(row.source for row in self.rows))

    def mean(
        self, key: str, fault: str, *, visible: bool, source: str | None = None
    ) -> tuple[float, float]:
        """Average found and seen over the planes of each source, then over sources."""
        values: dict[str, list[tuple[float, float]]] = {}
        for row in self.rows:
            if (row.map, row.fault, row.visible) == (key, fault, visible):
                values.setdefault(row.source, []).append((row.found, row.seen))
        chosen = values.values() if source is None else (values[source],)
        means = [np.mean(pairs, axis=0) for pairs in chosen]
        found, seen = np.mean(means, axis=0)
        return float(found), float(seen)


def auroc(positive: Array, negative: Array) -> float:
    """Return how often a positive value exceeds a negative one; ties count half.

    Parameters
    ----------
    positive, negative
        Values of any shape, at least one each.

    Returns
    -------
    float
        Area under the receiver operating curve, which is the statistic of Mann and
        Whitney over the number of pairs.
    """
    count, others = positive.size, negative.size
    ranks = rankdata(np.concatenate([positive.ravel(), negative.ravel()]))
    above = ranks[:count].sum() - count * (count + 1) / 2
    return float(above / (count * others))


def orient_and_smooth(key: str, values: Array) -> Array:
    """Flip the sign of a map where low is bad, and smooth it.

    Parameters
    ----------
    key
        One of `MAPS`. Of ``change``, omission counts as 1 and hallucination as 2.
    values
        The map, shape (H, W); its median replaces what is no number.
    """
    entry = MAPS[key]
    if entry.classes:
        values = np.asarray(_CLASSES)[values]
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    if not known.all():
        values = np.where(known, values, np.median(values[known]) if known.any() else 0)
    bad: Array = ndimage.gaussian_filter(
        values if entry.worse == "high" else -values, SMOOTHING
    )
    return bad


def combine_maps(
    maps: Mapping[str, Array], *, like: Mapping[str, Array] | None = None
) -> Array:
    """Return at each pixel the worst of the standardised values of some maps.

    A map is standardised over its plane: 0 is its median, 1 its 95th percentile. So a
    map that is a bit worse in many places does not hide one that is far worse in few.

    Parameters
    ----------
    maps
        Results of `orient_and_smooth`, by key.
    like
        Maps whose median and percentile are taken; by default `maps` themselves.
    """
    like = maps if like is None else like
    parts = []
    for key, values in maps.items():
        middle, high = np.percentile(like[key], (50, _BAD))
        parts.append((values - middle) / max(high - middle, 1e-12))
    return np.asarray(np.max(parts, axis=0))


def detect(
    after: Mapping[str, Array],
    before: Mapping[str, Array],
    *,
    mask: Array,
    touched: Array,
) -> dict[str, tuple[float, float]]:
    """Measure how well each map, and each union, finds and sees faults.

    Parameters
    ----------
    after, before
        Results of `orient_and_smooth` with the faults and without, by key.
    mask, touched
        As in `Planted`.

    Returns
    -------
    dict
        By map or union: found and seen, see `Found`.
    """
    rest = np.zeros(touched.shape, bool)
    near = ndimage.binary_dilation(touched, iterations=GUARD)
    rest[::_STEP, ::_STEP] = ~near[::_STEP, ::_STEP]
    after, before = _add_unions(after, before)
    return {
        key: (auroc(bad[mask], bad[rest]), auroc(bad[mask], before[key][mask]))
        for key, bad in after.items()
    }


def _add_unions(
    after: Mapping[str, Array], before: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    found = dict(after), dict(before)
    for name, keys in zip(UNIONS, _group_maps(after), strict=True):
        if keys:
            chosen = {key: after[key] for key in keys}
            found[0][name] = combine_maps(chosen)
            # one standard for both, or the fault would move its own yardstick
            found[1][name] = combine_maps({k: before[k] for k in keys}, like=chosen)
    return found


def _group_maps(keys: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    every = list(keys)
    needs_reference = [key for key in every if MAPS[key].needs_reference]
    return every, needs_reference, [key for key in every if key not in needs_reference]
