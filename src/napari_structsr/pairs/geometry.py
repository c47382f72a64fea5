"""Which true pixels belong to which measured ones: planes, pixel sizes and places.

World coordinates decide. Only where an image has no pixel size, and the numbers of
pixels say the same along both axes, are two images taken to show one field of view.
Nothing is read here but what images say of themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_structsr.core.axes import Axes, Axis
from napari_structsr.errors import TrainingError
from napari_structsr.io.source import Source
from napari_structsr.io.units import convert_unit
from napari_structsr.io.views import AxisMapping

__all__ = [
    "FACTORS",
    "SPACE",
    "Grid",
    "match_grids",
    "match_plane",
    "nearest_factor",
    "pixel_step",
    "step_fault",
]

FACTORS = (2, 4)
"""That models have."""

_LEAST_STEP = 1.4  # true pixels in a measured one; below, there is nothing to learn
_LEAST_DETAIL = 0.7  # true pixels that are there, of those that are needed
_ALIKE = 0.01
SPACE = "the pixel sizes (scale) and places (translate) of both layers"
"""What to check, in sentences."""


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

    lines: tuple[AxisMapping, AxisMapping]
    factor: int
    notes: tuple[str, ...] = ()

    def fine(
        self,
        first: tuple[int, int],
        size: tuple[int, int],
        *,
        shift: tuple[float, float] = (0.0, 0.0),
        scale: float = 1.0,
    ) -> tuple[AxisMapping, AxisMapping]:
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
        self, line: AxisMapping, corner: int, count: int, shift: float, scale: float
    ) -> AxisMapping:
        """Return one axis; what was moved is looked up where it came from."""
        middle = (count * self.factor - 1) / 2
        step = line.step / self.factor
        start = line.at(corner) + line.step * (1 / self.factor - 1) / 2
        first = middle + (0 - middle - shift) / scale
        return AxisMapping(start + step * first, step / scale)


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
    if factor not in (None, *FACTORS):
        raise TrainingError(f"a factor of {factor} is not offered; choose 2 or 4")
    lines, notes = _lines(low.spec.axes, high.spec.axes)
    steps = [line.step for line in lines]
    step = math.sqrt(steps[0] * steps[1])
    chosen = factor or nearest_factor(step)
    if fault := step_fault(step, chosen):
        raise TrainingError(fault)
    if not math.isclose(steps[0], steps[1], rel_tol=_ALIKE):
        notes.append(
            f"pixels differ along y and x: one measured pixel holds {steps[0]:.3g} x "
            f"{steps[1]:.3g} true ones, resampled to {chosen} x {chosen}"
        )
    elif not math.isclose(step, chosen, rel_tol=1e-3):
        notes.append(f"the true image was resampled from factor {step:.3g} to {chosen}")
    return Grid(lines, chosen, tuple(notes))


def pixel_step(low: Axes, high: Axes) -> float:
    """Return how many true pixels lie along the side of a measured one.

    Raises
    ------
    TrainingError
        If pixel sizes do not compare.
    """
    lines, _ = _lines(low, high)
    return math.sqrt(lines[0].step * lines[1].step)


def nearest_factor(step: float) -> int:
    """Return the factor that is nearest to a ratio of pixel sizes."""
    return min(FACTORS, key=lambda factor: abs(math.log(step / factor)))


def step_fault(step: float, factor: int) -> str | None:
    """Say why a ratio of pixel sizes does not do for a factor; None if it does."""
    if step < 1 / _LEAST_STEP:
        return (
            "the low-resolution image has the finer pixels "
            f"({1 / step:.3g} of them in one of the high-resolution image); low and "
            "high are swapped: exchange them"
        )
    if step < _LEAST_STEP:
        return (
            f"one pixel of the low-resolution image holds {step:.3g} of the "
            "high-resolution one, so that there is no finer grid to learn; check "
            f"{SPACE}, or bin the low-resolution image by 2 first"
        )
    if step < _LEAST_DETAIL * factor:
        return (
            f"one pixel of the low-resolution image holds {step:.3g} of the "
            f"high-resolution one, too few for the factor {factor}; take the factor "
            f"{nearest_factor(step)}, or check {SPACE}"
        )
    return None


def _lines(low: Axes, high: Axes) -> tuple[tuple[AxisMapping, AxisMapping], list[str]]:
    """Return where rows and columns of the measured image lie in the true one."""
    ratios = [theirs / mine for mine, theirs in zip(low.plane, high.plane, strict=True)]
    field = [AxisMapping((ratio - 1) / 2, ratio) for ratio in ratios]
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


def _world(mine: Axis, other: Axis) -> AxisMapping | None:
    """Match one axis by world coordinates; None where units do not compare."""
    share: float | None = 1.0
    if mine.unit != other.unit:
        share = convert_unit(1.0, other.unit, mine.unit)
    if share is None:
        return None
    pixel = other.scale * share
    return AxisMapping(
        (mine.translate - other.translate * share) / pixel, mine.scale / pixel
    )
