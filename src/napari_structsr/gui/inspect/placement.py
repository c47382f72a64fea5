"""A reference that shows the same field as the result, but lies elsewhere.

A truth without pixel size is compared by its field of view, and yet is drawn at another
size in the viewer, so that the map of errors seems to lie beside what it measures.
"""

from __future__ import annotations

import math

import numpy as np
from napari.layers import Image

from napari_structsr.core.axes import Axes
from napari_structsr.gui.viewer.alignment import find_pixel_transform
from napari_structsr.io.grid_matching import SAME_STEP, match_fields
from napari_structsr.io.open import open_source

_BESIDE = 1.0  # pixels of the result that a reference may lie off


def lies_elsewhere(result: Image, reference: Image) -> bool:
    """Tell whether a reference of the same field is drawn beside the result.

    True only where no pixel size says that it should be: where both sizes are known
    the reference lies where it was measured.
    """
    mine, theirs = (open_source(layer).spec.axes for layer in (result, reference))
    if mine["y"].unit is not None and theirs["y"].unit is not None:
        return False
    lines = match_fields(mine, theirs)
    if not math.isclose(lines[0].step, lines[1].step, rel_tol=SAME_STEP):
        return False
    # where the corners of the result lie in pixels of the reference, as it is drawn
    matrix, offset = find_pixel_transform(result, reference)
    for name, line, size in zip("yx", lines, mine.plane, strict=True):
        column, row = (_find_dimension(axes, name) for axes in (mine, theirs))
        for pixel in (0, size - 1):
            drawn = matrix[row, column] * pixel + offset[row]
            wanted = line.start + line.step * pixel
            if abs(drawn - wanted) > _BESIDE * line.step:
                return True
    return False


def place_on(result: Image, reference: Image) -> None:
    """Lay a reference of the same field on the result; its pixels are left alone.

    Scale, place and unit along y and x change, and no other axis.
    """
    mine, theirs = (open_source(layer).spec.axes for layer in (result, reference))
    lines = match_fields(mine, theirs)
    scale, translate = np.array(reference.scale), np.array(reference.translate)
    units = list(reference.units)
    for name, line in zip("yx", lines, strict=True):
        here, there = (_find_dimension(axes, name) for axes in (mine, theirs))
        # pixel p of the result is start + step p of the reference
        scale[there] = result.scale[here] / line.step
        translate[there] = result.translate[here] - line.start * scale[there]
        units[there] = result.units[here]
    reference.units = units
    reference.scale, reference.translate = scale, translate


def _find_dimension(axes: Axes, name: str) -> int:
    """Return which dimension of its layer an axis is, y or x."""
    # napari counts no dimension for the samples of a colour pixel
    return axes.names.replace("s", "").index(name)
