"""Register two images: shift and scale below a pixel, or a reason to refuse.

`register` lays one image on another that shows nearly the same, `find_overlap` finds
the common part of two that may share little, and `scale_hint` says whether images that
cannot be registered would fit at quite another scale. All take numpy arrays of shape
(h, w).
"""

from napari_structsr.imaging.registration.overlap import Overlap, find_overlap
from napari_structsr.imaging.registration.scale import scale_hint
from napari_structsr.imaging.registration.shift_and_scale import (
    IDENTITY,
    MAX_SIDE,
    Registration,
    apply,
    register,
)

__all__ = [
    "IDENTITY",
    "MAX_SIDE",
    "Overlap",
    "Registration",
    "apply",
    "find_overlap",
    "register",
    "scale_hint",
]
