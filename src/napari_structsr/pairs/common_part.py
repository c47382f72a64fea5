"""Which part of a region both images of a pair show."""

from __future__ import annotations

import math
from typing import NoReturn

from napari_structsr.errors import TrainingError
from napari_structsr.io.source import Source
from napari_structsr.io.views import AxisMapping
from napari_structsr.pairs.geometry import SPACE, Grid

__all__ = ["SMALLEST", "Region", "covered", "still_covered"]

Region = tuple[int, int, int, int]
"""First and last + 1 row, first and last + 1 column, as a user draws them."""

SMALLEST = 32
"""Measured pixels along a side that a pair needs."""

_LEAST_SHARE = 0.25  # of a region that was drawn


def covered(
    grid: Grid, low: Source, high: Source, region: Region | None
) -> tuple[tuple[slice, slice], str | None]:
    """Return the measured pixels of a region that both images cover.

    Returns
    -------
    area
        Rows and columns, at least `SMALLEST` along a side.
    note
        A sentence if the region was cut.

    Raises
    ------
    TrainingError
        If too little is left.
    """
    sizes = low.spec.axes.plane
    wanted = region or (0, sizes[0], 0, sizes[1])
    spans, common = [], []
    for axis, line in enumerate(grid.lines):
        first, last = _covered(line, sizes[axis], high.spec.axes.plane[axis])
        common.append(last - first)
        spans.append((max(first, wanted[2 * axis]), min(last, wanted[2 * axis + 1])))
    asked = [wanted[1] - wanted[0], wanted[3] - wanted[2]]
    left = [last - first for first, last in spans]
    if min(asked) < SMALLEST:
        raise TrainingError(
            f"the region has {asked[0]} x {asked[1]} measured pixels, and at least "
            f"{SMALLEST} x {SMALLEST} are needed; draw a larger one"
        )
    if min(common) <= 0:
        raise TrainingError(
            "the two images do not overlap: the low-resolution one covers "
            f"{_extents(low)}, the high-resolution one {_extents(high)}; check {SPACE}"
        )
    if min(left) <= 0:
        raise TrainingError(
            "the region lies where the two images do not overlap; draw it where both "
            "show something"
        )
    few = region is not None and left[0] * left[1] < _LEAST_SHARE * math.prod(asked)
    if min(left) < SMALLEST or few:
        _refuse_overlap(left, asked)
    note = (
        f"{left[0]} x {left[1]} of {asked[0]} x {asked[1]} measured pixels are taken, "
        "the part that both images show"
    )
    area = slice(*spans[0]), slice(*spans[1])
    return area, None if left == asked else note


def still_covered(
    lines: tuple[AxisMapping, AxisMapping],
    area: tuple[slice, slice],
    high: Source,
    factor: int,
) -> tuple[slice, slice]:
    """Return the measured pixels of a region whose truth is known after it was moved.

    Parameters
    ----------
    lines
        Where fine pixels of the region lie in the true image.
    area, high, factor
        Of the pair.

    Returns
    -------
    rows, columns
        Counted from the corner of the region.

    Raises
    ------
    TrainingError
        If too little is left.
    """
    asked = [part.stop - part.start for part in area]
    spans = []
    for line, size, theirs in zip(lines, asked, high.spec.axes.plane, strict=True):
        first, last = _covered(line, size * factor, theirs, slack=0.5)
        spans.append((-(-first // factor), last // factor))
    left = [last - first for first, last in spans]
    if min(left) < SMALLEST:
        _refuse_overlap(left, asked)
    return slice(*spans[0]), slice(*spans[1])


def _refuse_overlap(left: list[int], asked: list[int]) -> NoReturn:
    """Say that too little is shared."""
    raise TrainingError(
        f"the two images share only {max(left[0], 0)} x {max(left[1], 0)} of the "
        f"{asked[0]} x {asked[1]} measured pixels; draw the region where they overlap, "
        f"or check {SPACE}"
    )


def _covered(
    line: AxisMapping, mine: int, theirs: int, *, slack: float = 1e-6
) -> tuple[int, int]:
    """Return the first and last + 1 pixel that the other image shows.

    As much as `slack` of a pixel may lie outside.
    """
    first = math.ceil((-0.5 - line.start) / line.step + 0.5 - slack)
    last = math.floor((theirs - 0.5 - line.start) / line.step + 0.5 + slack)
    return max(0, first), min(mine, last)


def _extents(image: Source) -> str:
    """Say from where to where an image reaches."""
    words = []
    for name in "yx":
        axis = image.spec.axes[name]
        first = axis.translate - axis.scale / 2
        last = first + axis.scale * axis.size
        words.append(f"{name} from {first:.4g} to {last:.4g}")
    return f"{' and '.join(words)} {image.spec.axes['y'].unit or 'pixels'}"
