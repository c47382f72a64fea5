"""Which layers can be compared, and which are likely to be.

Pure functions of layers, without a viewer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer

from napari_structsr.gui.viewer.layers import KEY


def compare_obstacle(layers: Sequence[Image]) -> str | None:
    """Say in words why layers cannot be compared; None if they can."""
    if len(layers) < 2:
        return "Tick two or more image layers to compare."
    for one, other in combinations(layers, 2):
        low, high = find_world_box(one)
        start, stop = find_world_box(other, like=one)
        dims = min(len(low), len(start))
        # layers of fewer dimensions lie in the last ones of the world
        apart = (high[-dims:] < start[-dims:]) | (stop[-dims:] < low[-dims:])
        if apart.any():
            axis = int(np.argmax(apart)) - dims
            return (
                f"{one.name} and {other.name} do not overlap: along "
                f"{one.axis_labels[axis]} they reach from {low[axis]:.4g} to "
                f"{high[axis]:.4g} and from {start[axis]:.4g} to {stop[axis]:.4g}. "
                "Correct the scale or the translation of one of them."
            )
    return None


def link_obstacle(layers: Sequence[Image]) -> str | None:
    """Say in words why layers cannot share contrast; None if they can."""
    if any(layer.rgb for layer in layers):
        return "Colour layers have no contrast limits to share."
    types = {str(layer.dtype) for layer in layers}
    if len(types) > 1:
        return (
            f"The layers hold {' and '.join(sorted(types))}: their intensities may "
            "have different units, so that one contrast cannot suit all."
        )
    return None


def suggest_layers(layers: Sequence[Layer], selected: Sequence[Layer]) -> list[Image]:
    """Return the images that are likely to be compared, in the order of the list.

    These are two or more selected ones; or a selected one with the image it was made
    from and all that was made from that; or the only two there are.
    """
    images = [layer for layer in layers if isinstance(layer, Image)]
    chosen = [layer for layer in images if layer in selected]
    if len(chosen) > 1:
        return chosen
    images = [layer for layer in images if _is_image(layer)]
    chosen = [layer for layer in chosen if layer in images]
    parents = {layer.name: _find_parent(layer) for layer in images}
    roots = {_find_root(layer.name, parents) for layer in chosen or images}
    if len(roots) == 1:
        family = [la for la in images if _find_root(la.name, parents) in roots]
        if len(family) > 1:
            return family
    return images if len(images) == 2 else chosen


def choose_grid_shape(
    count: int, *, canvas: tuple[float, float], field: tuple[float, float]
) -> tuple[int, int]:
    """Return the rows and columns that show fields as large as possible.

    Canvas and field, which each cell shows, have height and width.
    """

    def rank(columns: int) -> tuple[float, int]:
        rows = -(-count // columns)
        # of equally large ones, the layout with the fewest empty cells
        zoom = min(canvas[0] / rows / field[0], canvas[1] / columns / field[1])
        return zoom, -rows * columns

    columns = max(range(1, count + 1), key=rank)
    return -(-count // columns), columns


def find_world_box(
    layer: Layer, *, like: Layer | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the first and the last corner in the world, edges of pixels included.

    They have shape (ndim,) each, in the units of the layer `like` if they can be.
    """
    low, high = layer.extent.world
    edge = np.abs(layer.extent.step) / 2
    factor = np.ones(layer.ndim)
    if like is not None:
        pairs = list(zip(layer.units[::-1], like.units[::-1], strict=False))
        # napari ignores units that contradict each other
        if all(a.dimensionality == b.dimensionality for a, b in pairs):
            factor[::-1][: len(pairs)] = [(1 * a).to(b).magnitude for a, b in pairs]
    return (low - edge) * factor, (high + edge) * factor


def _is_image(layer: Image) -> bool:
    made = layer.metadata.get(KEY)
    # a preview has a text there, and a map of errors its key
    return made is None or (isinstance(made, Mapping) and "map" not in made)


def _find_parent(layer: Image) -> str | None:
    made = layer.metadata.get(KEY)
    return made.get("source") if isinstance(made, Mapping) else None


def _find_root(name: str, parents: Mapping[str, str | None]) -> str:
    # layers that were renamed may name each other
    seen = {name}
    while (parent := parents.get(name)) is not None and parent not in seen:
        seen.add(parent)
        name = parent
    return name
