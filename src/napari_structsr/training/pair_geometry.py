"""Which true pixels belong to which measured ones: planes, pixel sizes and places.

World coordinates decide. Only where an image has no pixel size, and the numbers of
pixels say the same along both axes, are two images taken to show one field of view.
Nothing is read here but what images say of themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NoReturn

from napari_structsr.core.axes import Axes, Axis
from napari_structsr.errors import TrainingError
from napari_structsr.io.calibration import converted
from napari_structsr.io.source import Source
from napari_structsr.io.views import Line

__all__ = [
    "SMALLEST",
    "Grid",
    "Region",
    "covered",
    "match_grids",
    "match_plane",
    "still_covered",
]

Region = tuple[int, int, int, int]
"""First and last + 1 row, first and last + 1 column, as a user draws them."""

SMALLEST = 32
"""Measured pixels along a side that a pair needs."""

_FACTORS = (2, 4)
_LEAST_STEP = 1.4  # true pixels in a measured one; below, there is nothing to learn
_LEAST_DETAIL = 0.7  # true pixels that are there, of those that are needed
_LEAST_SHARE = 0.25  # of a region that was drawn
_ALIKE = 0.01
_SPACE = "the pixel sizes (scale) and places (translate) of both layers"


@dataclass(frozen=True)
class Grid:
    """How the true image lies under the measured one.

    Parameters
    ----------
    lines
        Where rows and columns of the measured image lie in the true one.
    factor
        2 or 4.
    notes
        What was decided, in sentences.
    """

    lines: tuple[Line, Line]
    factor: int
    notes: tuple[str, ...] = ()

    def fine(
        self,
        first: tuple[int, int],
        size: tuple[int, int],
        *,
        shift: tuple[float, float] = (0.0, 0.0),
        scale: float = 1.0,
    ) -> tuple[Line, Line]:
        """Return where pixels `factor` times as fine as a region's lie.

        Parameters
        ----------
        first, size
            First pixel and number of pixels of the region, measured.
        shift, scale
            A registration of the true image about the middle of the region.
        """
        rows, columns = (
            self._fine(line, corner, count, moved, scale)
            for line, corner, count, moved in zip(
                self.lines, first, size, shift, strict=True
            )
        )
        return rows, columns

    def _fine(
        self, line: Line, corner: int, count: int, shift: float, scale: float
    ) -> Line:
        """Return one axis; what was moved is looked up where it came from."""
        middle = (count * self.factor - 1) / 2
        step = line.step / self.factor
        start = line.at(corner) + line.step * (1 / self.factor - 1) / 2
        first = middle + (0 - middle - shift) / scale
        return Line(start + step * first, step / scale)


def match_plane(low: Source, high: Source, plane: tuple[int, ...]) -> tuple[int, ...]:
    """Return the true plane of a measured one.

    Raises
    ------
    TrainingError
        If the images have other numbers of planes, or one is in colour.
    """
    mine, theirs = low.spec.axes, high.spec.axes
    if (mine.samples > 1) != (theirs.samples > 1):
        coloured, other = ("low", "high") if mine.samples > 1 else ("high", "low")
        raise TrainingError(
            f"the {coloured}-resolution image is in colour and the {other}-resolution "
            "one is grey; give two grey images or two in colour: take one channel, or "
            "convert the colour image to grey first"
        )
    for name in "tcz":
        sizes = [axes[name].size if name in axes else 1 for axes in (mine, theirs)]
        if sizes[0] != sizes[1]:
            what = "channels" if name == "c" else f"planes along {name}"
            raise TrainingError(
                f"the low-resolution image has {sizes[0]} {what} and the "
                f"high-resolution one {sizes[1]} (axes {mine.names} of shape "
                f"{mine.shape} against {theirs.names} of shape {theirs.shape}); give "
                "two images of the same planes: take the ones that belong together out "
                "of the larger image"
            )
    index = dict(zip((axis.name for axis in mine.loops), plane, strict=True))
    return tuple(index.get(axis.name, 0) for axis in theirs.loops)


def match_grids(low: Source, high: Source, factor: int | None) -> Grid:
    """Lay the pixels of two images over each other.

    Parameters
    ----------
    low, high
        The measured and the true image.
    factor
        2 or 4; None takes the one that is nearer to the pixel sizes.

    Raises
    ------
    TrainingError
        If the images were swapped, or their pixel sizes are no pair's.
    """
    if factor not in (None, *_FACTORS):
        raise TrainingError(f"a factor of {factor} is not offered; choose 2 or 4")
    lines, notes = _lines(low.spec.axes, high.spec.axes)
    steps = [line.step for line in lines]
    step = math.sqrt(steps[0] * steps[1])
    if step < 1 / _LEAST_STEP:
        raise TrainingError(
            "the low-resolution image has the finer pixels "
            f"({1 / step:.3g} of them in one of the high-resolution image); low and "
            "high are swapped: exchange them"
        )
    if step < _LEAST_STEP:
        raise TrainingError(
            f"one pixel of the low-resolution image holds {step:.3g} of the "
            "high-resolution one, so that there is no finer grid to learn; check "
            f"{_SPACE}, or bin the low-resolution image by 2 first"
        )
    chosen = factor or min(_FACTORS, key=lambda n: abs(math.log(step / n)))
    if step < _LEAST_DETAIL * chosen:
        raise TrainingError(
            f"one pixel of the low-resolution image holds {step:.3g} of the "
            f"high-resolution one, too few for the factor {chosen}; take a model of "
            f"the factor 2, or check {_SPACE}"
        )
    if not math.isclose(steps[0], steps[1], rel_tol=_ALIKE):
        notes.append(
            f"pixels differ along y and x: one measured pixel holds {steps[0]:.3g} x "
            f"{steps[1]:.3g} true ones, resampled to {chosen} x {chosen}"
        )
    elif not math.isclose(step, chosen, rel_tol=1e-3):
        notes.append(f"the true image was resampled from factor {step:.3g} to {chosen}")
    return Grid(lines, chosen, tuple(notes))


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
            f"{_extents(low)}, the high-resolution one {_extents(high)}; check {_SPACE}"
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
    lines: tuple[Line, Line], area: tuple[slice, slice], high: Source, factor: int
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
        f"or check {_SPACE}"
    )


def _covered(
    line: Line, mine: int, theirs: int, *, slack: float = 1e-6
) -> tuple[int, int]:
    """Return the first and last + 1 pixel that the other image shows.

    As much as `slack` of a pixel may lie outside.
    """
    first = math.ceil((-0.5 - line.start) / line.step + 0.5 - slack)
    last = math.floor((theirs - 0.5 - line.start) / line.step + 0.5 + slack)
    return max(0, first), min(mine, last)


def _lines(low: Axes, high: Axes) -> tuple[tuple[Line, Line], list[str]]:
    """Return where rows and columns of the measured image lie in the true one."""
    ratios = [theirs / mine for mine, theirs in zip(low.plane, high.plane, strict=True)]
    field = [Line((ratio - 1) / 2, ratio) for ratio in ratios]
    world = [_world(low[name], high[name]) for name in "yx"]
    known = [line for line in world if line is not None]
    unnamed = any(axes[name].unit is None for axes in (low, high) for name in "yx")
    alike = math.isclose(ratios[0], ratios[1], rel_tol=_ALIKE)
    same = len(known) == 2 and all(
        math.isclose(line.step, 1, rel_tol=_ALIKE) for line in known
    )
    differ = max(ratios[0], 1 / ratios[0]) >= _LEAST_STEP
    if unnamed and alike and differ and (len(known) < 2 or same):
        return (field[0], field[1]), [
            "an image has no pixel size; both are taken to show the same field of view"
        ]
    if len(known) < 2:
        raise TrainingError(
            f"the low-resolution image is measured in {low['y'].unit or 'pixels'}, the "
            f"high-resolution one in {high['y'].unit or 'pixels'}, and places in these "
            "do not compare; give both their pixel size in one unit of length"
        )
    if any(line.step < 0 for line in known):
        raise TrainingError(
            "one image is mirrored against the other (a negative pixel size); flip it "
            "first"
        )
    return (known[0], known[1]), []


def _world(mine: Axis, other: Axis) -> Line | None:
    """Match one axis by world coordinates; None where units do not compare."""
    share: float | None = 1.0
    if mine.unit != other.unit:
        share = converted(1.0, other.unit, mine.unit)
    if share is None:
        return None
    pixel = other.scale * share
    return Line((mine.translate - other.translate * share) / pixel, mine.scale / pixel)


def _extents(image: Source) -> str:
    """Say from where to where an image reaches."""
    words = []
    for name in "yx":
        axis = image.spec.axes[name]
        first = axis.translate - axis.scale / 2
        last = first + axis.scale * axis.size
        words.append(f"{name} from {first:.4g} to {last:.4g}")
    return f"{' and '.join(words)} {image.spec.axes['y'].unit or 'pixels'}"
