"""Where the pixels of one image lie among those of another.

Two answers are offered: by world coordinates, and by taking both planes as one field
of view. Which one holds is the caller's decision, and so are the sentences for images
that do not belong together. No pixel is read.
"""

from __future__ import annotations

import math

from napari_structsr.core.axes import Axes
from napari_structsr.io.resampled_view import AxisMapping
from napari_structsr.io.units import convert_unit

# programs round pixel sizes differently, at times to three digits
SAME_STEP = 0.01
"""Relative difference of pixel sizes that is taken for rounding."""


def match_fields(mine: Axes, other: Axes) -> tuple[AxisMapping, AxisMapping]:
    """Return where rows and columns lie in another image of the same field of view.

    As `match_world`, by the sizes of the planes alone.
    """
    ratios = (theirs / own for own, theirs in zip(mine.plane, other.plane, strict=True))
    # the outer edges of both images coincide, not the centres of their first pixels
    rows, columns = (AxisMapping((ratio - 1) / 2, ratio) for ratio in ratios)
    return rows, columns


def match_world(mine: Axes, other: Axes) -> tuple[AxisMapping, AxisMapping] | None:
    """Return where rows and columns lie in another image, by world coordinates.

    Returns
    -------
    rows, columns
        Positions of the pixels of `mine`, in pixels of `other`; None where units do
        not compare. A step is negative where an image is mirrored.
    """
    lines = []
    for name in "yx":
        own, theirs = mine[name], other[name]
        # two images without units compare: both are then counted in pixels
        same = own.unit == theirs.unit
        share = 1.0 if same else convert_unit(1.0, theirs.unit, own.unit)
        if share is None:
            return None
        pixel = theirs.scale * share
        start = (own.translate - theirs.translate * share) / pixel
        lines.append(AxisMapping(start, own.scale / pixel))
    return lines[0], lines[1]


def compare_planes(mine: Axes, other: Axes) -> tuple[str, int, int] | None:
    """Return the first of t, c and z along which two images differ, or None.

    It is what differs, such as "channels" or "planes along z", and how many there are
    in either image.
    """
    for name in "tcz":
        own, theirs = (axes[name].size if name in axes else 1 for axes in (mine, other))
        if own != theirs:
            return "channels" if name == "c" else f"planes along {name}", own, theirs
    return None


def find_covered(
    line: AxisMapping,
    size: int,
    other: int,
    *,
    outside: float = 1e-6,
    multiple: int = 1,
) -> tuple[int, int]:
    """Return which pixels along an axis another image shows.

    Parameters
    ----------
    line
        Where the pixels lie in the other image; its step must be above 0.
    size, other
        Number of pixels along the axis, of this image and of the other.
    outside
        Share of a pixel that may lie beyond the border of the other image; 0.5 asks
        for the centre of the pixel alone.
    multiple
        The span begins and ends at multiples of it.

    Returns
    -------
    first, last
        First pixel and last + 1; not above the first where nothing is shown.
    """
    # the centre of pixel 0 lies at 0, so that the border lies at -0.5
    first = math.ceil((-0.5 - line.start) / line.step + 0.5 - outside)
    last = math.floor((other - 0.5 - line.start) / line.step + 0.5 + outside)
    first, last = max(first, 0), min(last, size)
    return -(-first // multiple) * multiple, last // multiple * multiple


def describe_extent(axes: Axes) -> str:
    """Say from where to where an image reaches, such as "y from 0 to 4 micrometer"."""
    words = []
    for name in "yx":
        axis = axes[name]
        # `translate` is the centre of the first pixel
        first = axis.translate - axis.scale / 2
        last = first + axis.scale * axis.size
        words.append(f"{name} from {first:.4g} to {last:.4g} {axis.unit or 'pixels'}")
    return " and ".join(words)
