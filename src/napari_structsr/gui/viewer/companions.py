"""Labels that follow an upscaled image onto its pixels.

Each label pixel becomes a square of finer ones, so that labels stay what they are.
Points, shapes and tracks lie in the world, and need nothing to lie on a result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.viewer import Viewer

from napari_structsr.errors import SettingsError
from napari_structsr.gui.viewer.layers import (
    find_placement,
    free_name,
    insert_above,
    names_of,
)

_KEPT = ("axis_labels", "blending", "features", "opacity", "units")
_APART = 0.25  # finer pixels that corners may lie apart


def follow_image(viewer: Viewer, labels: Labels, image: Image) -> Labels:
    """Add labels on the pixels of an image, directly above the coarser labels.

    Raises
    ------
    SettingsError
        If the image does not lie on the labels, or its pixels are no whole part of
        theirs.
    """
    factor = find_factor(labels, image)
    finer = refine_labels(
        labels,
        factor=factor,
        name=free_name(f"{labels.name} ×{factor}", names_of(viewer)),
    )
    insert_above(viewer, labels, finer)
    return finer


def find_factor(labels: Labels, image: Image) -> int:
    """Return how many pixels of an image lie along the side of one of the labels.

    Raises
    ------
    SettingsError
        As `follow_image`.
    """
    coarse, fine = (_find_shape(layer)[-2:] for layer in (labels, image))
    factors = {f / c for f, c in zip(fine, coarse, strict=True)}
    factor = max(factors)
    where = f"{labels.name} of {coarse[0]} x {coarse[1]} pixels"
    other = f"{image.name} of {fine[0]} x {fine[1]}"
    if len(factors) > 1 or factor != int(factor):
        raise SettingsError(
            f"{where} cannot follow {other}: its pixels are no whole part of theirs; "
            "select the image that was made from the one with the labels"
        )
    if factor == 1:
        raise SettingsError(
            f"{where} lie on the pixels of {other} already; select an upscaled image"
        )
    # in finer pixels, whatever the unit
    apart = (_find_corners(labels) - _find_corners(image)) / np.array(image.scale)[-2:]
    if np.abs(apart).max() > _APART:
        raise SettingsError(
            f"{where} lie elsewhere than {other}; select the image that was made from "
            "the one with the labels, or move one of the layers"
        )
    return int(factor)


def refine_labels(labels: Labels, *, factor: int, name: str) -> Labels:
    """Return labels on pixels `factor` times as fine along the last two dimensions."""
    data: Any = labels.data[0] if labels.multiscale else labels.data
    for axis in (-2, -1):
        # a dask array stays lazy
        data = np.repeat(data, factor, axis=axis)
    start = np.zeros(labels.ndim)
    # the edges stay, so that the middle of the first pixel moves
    start[-2:] = (1 / factor - 1) / 2
    scale = np.array(labels.scale)
    scale[-2:] /= factor
    placed = find_placement(labels, start) | {"scale": scale}
    kept = {key: getattr(labels, key) for key in _KEPT}
    finer = Labels(data, name=name, colormap=labels.colormap, **placed, **kept)
    finer.contour = labels.contour
    return finer


def _find_shape(layer: Image | Labels) -> tuple[int, ...]:
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(int(size) for size in data.shape[: layer.ndim])


def _find_corners(layer: Image | Labels) -> Any:
    """Return where the first and the last corner of a plane lie in the world."""
    corners = np.zeros((2, layer.ndim))
    corners[0, -2:], corners[1, -2:] = -0.5, np.array(_find_shape(layer)[-2:]) - 0.5
    return np.array([layer.data_to_world(corner)[-2:] for corner in corners])
