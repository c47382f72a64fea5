"""Moving a reference below a pixel, so that it lies on the result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_structsr.errors import SettingsError
from napari_structsr.imaging.registration import MAX_SIDE, register
from napari_structsr.inspection.matching import MatchedImages, find_middle
from napari_structsr.io.source import Source
from napari_structsr.io.views import CroppedView

__all__ = ["register_reference"]

_LEAST = 16  # pixels along y and x that must be left


def register_reference(
    matched: MatchedImages, alignment: dict[str, Any], notes: list[str]
) -> MatchedImages:
    """Move the reference below a pixel, by the middle of the middle plane."""
    if matched.reference is None:
        raise SettingsError("there is no reference to register; leave it out")
    planes = list(matched.result.spec.axes.planes())
    plane, part = planes[len(planes) // 2], find_middle(matched.result, MAX_SIDE)
    moving, fixed = (
        image.read(plane, *part)[0].astype(np.float64)
        for image in (matched.reference, matched.result)
    )
    found = register(moving, fixed)
    if found.refused:
        raise SettingsError(
            f"reference and result cannot be registered: {found.refused}; leave the "
            "registration out, or correct the place of the reference first"
        )
    down, right = found.shift
    alignment |= {"shift": [down, right], "confidence": found.confidence}
    notes.append(
        f"the reference was moved by {down:+.2f}, {right:+.2f} pixels of the result "
        f"(y, x); confidence {found.confidence:.2f}"
    )
    factor = matched.factor
    height, width = matched.result.spec.axes.plane
    moved = matched.register_reference(down, right)
    margins = [-(-int(np.ceil(abs(shift))) // factor) * factor for shift in found.shift]
    if min(height - 2 * margins[0], width - 2 * margins[1]) < _LEAST:
        raise SettingsError(
            f"after moving the reference by {down:+.1f}, {right:+.1f} pixels hardly "
            "anything overlaps; check that both show the same field"
        )
    return _inner(moved, *margins)


def _inner(matched: MatchedImages, down: int, right: int) -> MatchedImages:
    """Leave out what the moved reference does not cover."""
    if not down and not right:
        return matched
    height, width = matched.result.spec.axes.plane
    factor = matched.factor

    def cut(image: Source | None, step: int) -> Source | None:
        """Cut one image."""
        return image and CroppedView(
            image,
            slice(down // step, (height - down) // step),
            slice(right // step, (width - right) // step),
        )

    result = cut(matched.result, 1)
    assert result is not None
    return replace(
        matched,
        result=result,
        reference=cut(matched.reference, 1),
        source=cut(matched.source, factor),
    )
