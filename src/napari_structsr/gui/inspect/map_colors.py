"""Colours of error maps: bright where it is bad, transparent where it is good.

Continuous maps use inferno, which is perceptually uniform and readable with every kind
of colour blindness; classes use colours of Okabe and Ito. Good pixels let the image
shine through, and those below a threshold are not drawn at all.

napari keeps every colormap that a layer ever had in its menu, under its name. A map
therefore has one name, under which its colours are replaced.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from napari.layers import Image
from napari.utils.colormaps import AVAILABLE_COLORMAPS, Colormap, ensure_colormap

from napari_structsr.core.error_map import ErrorMap

__all__ = ["CLASS_COLORS", "NAME", "contrast_limits", "make_map_colors", "paint"]

NAME = "structure error"
_OPAQUE = 0.35  # badness from which on a map hides the image
_LEVELS = 256

CLASS_COLORS = (
    (0.0, 0.0, 0.0, 0.0),  # within noise: nothing is drawn
    (0.0, 0.62, 0.45, 0.75),  # improvement: bluish green
    (0.34, 0.71, 0.91, 0.95),  # omission: sky blue
    (0.90, 0.62, 0.0, 1.0),  # hallucination: orange
)
"""Red, green, blue and opacity of the classes of a map."""

Colors = npt.NDArray[np.float32]


def make_map_colors(threshold: float = 0.0) -> Colors:
    """Return colours from the best to the worst.

    Parameters
    ----------
    threshold
        Share of the way from the best to the worst below which nothing is drawn.

    Returns
    -------
    ndarray
        Shape (256, 4): red, green, blue and opacity.
    """
    share = np.linspace(0, 1, _LEVELS)
    colors = np.array(ensure_colormap("inferno").map(share), dtype=np.float32)
    colors[:, 3] = np.clip(share / _OPAQUE, 0, 1)
    if threshold > 0:
        colors[:, 3] = np.maximum(colors[:, 3], 0.8) * (share >= threshold)
    return colors


def contrast_limits(
    entry: ErrorMap, limits: tuple[float, float]
) -> tuple[float, float]:
    """Return the contrast limits of a map, low before high.

    Parameters
    ----------
    entry
        The kind of map.
    limits
        Values from the best to the worst.
    """
    if entry.classes:
        return -0.5, len(entry.classes) - 0.5
    low, high = sorted(map(float, limits))
    return (low, high) if low < high else (low, low + max(abs(low), 1.0) * 1e-3)


def paint(layer: Image, entry: ErrorMap, *, threshold: float = 0.0) -> None:
    """Give a layer the colours of its map.

    Parameters
    ----------
    threshold
        As in `make_map_colors`; without a meaning for classes.
    """
    name = f"{NAME} {layer.unique_id}"
    if entry.classes:
        colormap = Colormap(
            np.array(CLASS_COLORS[: len(entry.classes)], np.float32),
            display_name=entry.title,
            name=name,
            interpolation="zero",
        )
    else:
        colors = make_map_colors(threshold)
        colormap = Colormap(
            colors if entry.worse == "high" else colors[::-1],
            display_name="inferno" if entry.worse == "high" else "inferno_r",
            name=name,
        )
    AVAILABLE_COLORMAPS.pop(name, None)
    layer.colormap = colormap
