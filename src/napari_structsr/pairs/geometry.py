"""Which true pixels belong to which measured ones, and which part both images show.

World coordinates decide. Only where an image has no pixel size, and the numbers of
pixels say the same along both axes, are two images taken to show one field of view.
No pixel is read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NoReturn

from napari_structsr.core.axes import Axes
from napari_structsr.errors import TrainingError
from napari_structsr.io.grid_matching import (
    SAME_STEP,
    compare_planes,
    describe_extent,
    find_covered,
    match_fields,
    match_world,
)
from napari_structsr.io.resampled_view import AxisMapping
from napari_structsr.io.source import Source

Region = tuple[int, int, int, int]
"""First and last + 1 row, first and last + 1 column, as a user draws them."""

Mappings = tuple[AxisMapping, AxisMapping]
"""Where rows and columns of one image lie in another."""

SMALLEST = 32
"""Measured pixels along a side that a pair needs."""

_FACTORS = (1, 2, 4)
_LEAST_SHARE = 0.25  # of a region that was drawn
_LEAST_STEP = 1.4  # true pixels in a measured one; below, no finer grid is to be learnt
_ALIKE = 0.95  # true pixels in a measured one, with which the factor 1 begins
_LEAST_DETAIL = 0.7  # true pixels that are there, of those that are needed
_CHECK = "the pixel sizes (scale) and places (translate) of both layers"


@dataclass(frozen=True)
class Grid:
    """How the true image lies under the measured one.

    Parameters
    ----------
    mappings
        Where rows and columns of the measured image lie in the true one.
    factor
        1, 2 or 4.
    notes
        What was decided, in sentences.
    """

    mappings: Mappings
    factor: int
    notes: tuple[str, ...] = ()

    def map_fine_pixels(
        self,
        first: tuple[int, int],
        size: tuple[int, int],
        *,
        shift: tuple[float, float] = (0.0, 0.0),
        scale: float = 1.0,
    ) -> Mappings:
        """Return where pixels `factor` times as fine as a region's lie.

        Parameters
        ----------
        first, size
            First pixel and number of pixels of the region, measured.
        shift, scale
            A registration of the true image about the middle of the region.
        """
        found = []
        for axis, mapping in enumerate(self.mappings):
            middle = (size[axis] * self.factor - 1) / 2
            step = mapping.step / self.factor
            # the outer edges of coarse and fine pixels coincide, not their centres
            start = mapping.at(first[axis]) + mapping.step * (1 / self.factor - 1) / 2
            # what was moved is read where it came from: the registration is inverted
            corner = middle + (0 - middle - shift[axis]) / scale
            found.append(AxisMapping(start + step * corner, step / scale))
        return found[0], found[1]


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
    if difference := compare_planes(mine, theirs):
        what, own, others = difference
        raise TrainingError(
            f"the low-resolution image has {own} {what} and the high-resolution one "
            f"{others} (axes {mine.names} of shape {mine.shape} against {theirs.names} "
            f"of shape {theirs.shape}); give two images of the same planes: take the "
            "ones that belong together out of the larger image"
        )
    # by name, as the two images may order their loops differently
    index = dict(zip((axis.name for axis in mine.loops), plane, strict=True))
    return tuple(index.get(axis.name, 0) for axis in theirs.loops)


def match_grids(low: Source, high: Source, factor: int | None) -> Grid:
    """Lay the pixels of two images over each other.

    Parameters
    ----------
    low, high
        The measured and the true image.
    factor
        1, 2 or 4; None takes the one that is nearest to the pixel sizes.

    Raises
    ------
    TrainingError
        If the images were swapped, or their pixel sizes are no pair's.
    """
    if factor not in (None, *_FACTORS):
        raise TrainingError(f"a factor of {factor} is not offered; choose 1, 2 or 4")
    mappings, notes = _map_pixels(low.spec.axes, high.spec.axes)
    steps = [mapping.step for mapping in mappings]
    # the geometric mean, as pixels may differ along y and x
    step = math.sqrt(steps[0] * steps[1])
    chosen = factor or nearest_factor(step)
    if reason := find_step_reason(step, chosen):
        raise TrainingError(reason)
    if not math.isclose(steps[0], steps[1], rel_tol=SAME_STEP):
        notes.append(
            f"pixels differ along y and x: one measured pixel holds {steps[0]:.3g} x "
            f"{steps[1]:.3g} true ones, resampled to {chosen} x {chosen}"
        )
    elif not math.isclose(step, chosen, rel_tol=1e-3):
        notes.append(f"the true image was resampled from factor {step:.3g} to {chosen}")
    return Grid(mappings, chosen, tuple(notes))


def measure_pixel_step(low: Axes, high: Axes) -> float:
    """Return how many true pixels lie along the side of a measured one.

    Raises
    ------
    TrainingError
        If pixel sizes do not compare.
    """
    (rows, columns), _ = _map_pixels(low, high)
    return math.sqrt(rows.step * columns.step)


def nearest_factor(step: float) -> int:
    """Return the factor that is nearest to a ratio of pixel sizes."""
    if step < _LEAST_STEP:
        return 1
    # by ratio and not by difference, so that 2.83 lies halfway
    return min(_FACTORS[1:], key=lambda factor: abs(math.log(step / factor)))


def find_step_reason(step: float, factor: int) -> str | None:
    """Return why a ratio of pixel sizes does not suit a factor; None if it does."""
    if step < (_ALIKE if factor == 1 else 1 / _LEAST_STEP):
        return (
            "the low-resolution image has the finer pixels "
            f"({1 / step:.3g} of them in one of the high-resolution image); low and "
            "high are swapped: exchange them"
        )
    if step < _LEAST_STEP and factor > 1:
        return (
            f"one pixel of the low-resolution image holds {step:.3g} of the "
            "high-resolution one, so that there is no finer grid to learn; bin the "
            "low-resolution image by 2, take the factor 1, which removes noise and "
            f"blur alone, or check {_CHECK}"
        )
    if step < _LEAST_DETAIL * factor:
        return (
            f"one pixel of the low-resolution image holds {step:.3g} of the "
            f"high-resolution one, too few for the factor {factor}; take the factor "
            f"{nearest_factor(step)}, or check {_CHECK}"
        )
    return None


def _map_pixels(low: Axes, high: Axes) -> tuple[Mappings, list[str]]:
    """Return where measured pixels lie in the true image, and what was assumed."""
    field, world = match_fields(low, high), match_world(low, high)
    unnamed = any(axes[name].unit is None for axes in (low, high) for name in "yx")
    alike = math.isclose(field[0].step, field[1].step, rel_tol=SAME_STEP)
    same = world is not None and all(
        math.isclose(mapping.step, 1, rel_tol=SAME_STEP) for mapping in world
    )
    differ = max(field[0].step, 1 / field[0].step) >= _LEAST_STEP
    # without a unit a step of 1 says nothing: every image without a pixel size has it
    if unnamed and alike and differ and (world is None or same):
        return field, [
            "an image has no pixel size; both are taken to show the same field of view"
        ]
    if world is None:
        raise TrainingError(
            f"the low-resolution image is measured in {low['y'].unit or 'pixels'}, the "
            f"high-resolution one in {high['y'].unit or 'pixels'}, and places in these "
            "do not compare; give both their pixel size in one unit of length"
        )
    if any(mapping.step < 0 for mapping in world):
        raise TrainingError(
            "one image is mirrored against the other (a negative pixel size); flip it "
            "first"
        )
    return world, []


def find_common_part(
    grid: Grid, low: Source, high: Source, region: Region | None
) -> tuple[tuple[slice, slice], str | None]:
    """Return the measured pixels of a region that both images show.

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
    for axis, mapping in enumerate(grid.mappings):
        first, last = find_covered(mapping, sizes[axis], high.spec.axes.plane[axis])
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
        places = [describe_extent(image.spec.axes) for image in (low, high)]
        raise TrainingError(
            f"the two images do not overlap: the low-resolution one covers {places[0]},"
            f" the high-resolution one {places[1]}; check {_CHECK}"
        )
    if min(left) <= 0:
        raise TrainingError(
            "the region lies where the two images do not overlap; draw it where both "
            "show something"
        )
    # a sliver of what was drawn is a mistake, but all that two images share is not
    few = region is not None and left[0] * left[1] < _LEAST_SHARE * math.prod(asked)
    if min(left) < SMALLEST or few:
        _refuse_overlap(left, asked)
    note = (
        f"{left[0]} x {left[1]} of {asked[0]} x {asked[1]} measured pixels are taken, "
        "the part that both images show"
    )
    area = slice(*spans[0]), slice(*spans[1])
    return area, None if left == asked else note


def find_known_part(
    mappings: Mappings, area: tuple[slice, slice], high: Source, factor: int
) -> tuple[slice, slice]:
    """Return the measured pixels of a region whose truth is known after it was moved.

    `mappings` are of the fine pixels of the region; rows and columns are counted from
    its corner.

    Raises
    ------
    TrainingError
        If too little is left.
    """
    asked = [part.stop - part.start for part in area]
    spans = []
    sizes = high.spec.axes.plane
    for mapping, mine, theirs in zip(mappings, asked, sizes, strict=True):
        # a fine pixel is known where its centre is covered
        first, last = find_covered(
            mapping, mine * factor, theirs, outside=0.5, multiple=factor
        )
        spans.append((first // factor, last // factor))
    left = [last - first for first, last in spans]
    if min(left) < SMALLEST:
        _refuse_overlap(left, asked)
    return slice(*spans[0]), slice(*spans[1])


def _refuse_overlap(left: list[int], asked: list[int]) -> NoReturn:
    raise TrainingError(
        f"the two images share only {max(left[0], 0)} x {max(left[1], 0)} of the "
        f"{asked[0]} x {asked[1]} measured pixels; draw the region where they overlap, "
        f"or check {_CHECK}"
    )
