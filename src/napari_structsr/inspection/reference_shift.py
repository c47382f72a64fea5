"""How far a reference lies off the result, found by registration and undone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from napari_structsr.errors import SettingsError
from napari_structsr.inspection.matching import MatchedImages, find_middle
from napari_structsr.io.resampled_view import AxisMapping, ResampledView

_LEAST = 16  # pixels along y and x that must be left


def register_reference(
    matched: MatchedImages,
) -> tuple[MatchedImages, dict[str, Any]]:
    """Move the reference below a pixel, by the middle of the middle plane.

    Returns the images, cut to what the moved reference covers, and the alignment
    "shift" and "confidence" of `Inspection`.
    """
    # it brings half of scikit-image and scipy along
    from napari_structsr.imaging.registration import MAX_SIDE, register

    if matched.reference is None:
        raise SettingsError("there is no reference to register; leave it out")
    planes = list(matched.result.spec.axes.planes())
    plane, part = planes[len(planes) // 2], find_middle(matched.result, MAX_SIDE)
    moving, fixed = (
        image.read(plane, *part)[0].astype(np.float64)
        for image in (matched.reference, matched.result)
    )
    found = register(moving, fixed)
    # a wrong shift would make every map wrong: refuse rather than guess
    if found.refused:
        raise SettingsError(
            f"reference and result cannot be registered: {found.refused}; leave the "
            "registration out, or correct the place of the reference first"
        )
    down, right = found.shift
    note = (
        f"the reference was moved by {down:+.2f}, {right:+.2f} pixels of the result "
        f"(y, x); confidence {found.confidence:.2f}"
    )
    factor, axes = matched.factor, matched.result.spec.axes
    # whole pixels of the source, so that it can be cut as well
    top, left = (-(-math.ceil(abs(shift)) // factor) * factor for shift in found.shift)
    height, width = axes.plane
    if min(height - 2 * top, width - 2 * left) < _LEAST:
        raise SettingsError(
            f"after moving the reference by {down:+.1f}, {right:+.1f} pixels hardly "
            "anything overlaps; check that both show the same field"
        )
    lines = AxisMapping(-down), AxisMapping(-right)
    moved = replace(
        matched,
        reference=ResampledView(matched.reference, axes, *lines),
        notes=(*matched.notes, note),
    )
    if top or left:
        moved = moved.crop(slice(top, height - top), slice(left, width - left))
    return moved, {"shift": [down, right], "confidence": found.confidence}
