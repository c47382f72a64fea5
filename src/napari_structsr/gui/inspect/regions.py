"""Regions that a user has drawn, on the pixels of a result.

It owns how a Shapes or Labels layer of any pixel size and place becomes integer labels
on the planes of an image, by world coordinates, and how scores come back to its
features. It runs in a worker thread: `Regions` takes what it needs from the layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer, Shapes

from napari_structsr.core.axes import Axes
from napari_structsr.errors import SettingsError
from napari_structsr.gui.viewer.alignment import find_pixel_transform

if TYPE_CHECKING:
    from napari_structsr.inspection.results import ScoreTable


@dataclass(frozen=True)
class Regions:
    """Regions of a layer, known by its name, as they are when they are asked for."""

    layer: str
    # of a Labels layer; None for shapes
    pixels: Any
    # vertices in pixels of the result, and kinds, of a Shapes layer
    shapes: tuple[list[npt.NDArray[np.float64]], list[str]]
    # names that the user has given to labels or shapes
    titles: Mapping[int, str]
    # of the result, in the order of its layer
    axes: Axes
    # matrix and offset from pixels of the result to pixels of the labels
    transform: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    # whether shapes count on all planes
    everywhere: bool

    def label_result(self) -> tuple[npt.NDArray[np.integer[Any]], dict[int, str]]:
        """Return labels on the result, and the name of each that there is.

        Labels have shape (H, W) if all planes are alike, else t, c, z, H, W as far as
        present; 0 is outside.

        Raises
        ------
        SettingsError
            If no pixel of the result lies in a region.
        """
        found = self._draw_shapes() if self.pixels is None else self._look_up_labels()
        names: dict[int, str] = {}
        for number in map(int, np.unique(found[found > 0])):
            title = self.titles.get(number, f"{self.layer} {number}")
            # scores are told apart by names
            taken = title in names.values()
            names[number] = f"{title} {number}" if taken else title
        if not names:
            raise SettingsError(
                f"no region of {self.layer} lies on the result; draw regions on the "
                "image, or choose no regions"
            )
        return found, names

    def _draw_shapes(self) -> npt.NDArray[np.integer[Any]]:
        vertices = self.shapes[0]
        if not vertices:
            raise SettingsError(
                f"{self.layer} holds no shapes; draw regions, or choose no regions"
            )
        others = _name_other_dims(self.axes)
        if self.everywhere or not others:
            return self._draw_plane(range(len(vertices)))
        # plane by plane, since a stack may be large
        sizes = [self.axes[name].size for name in others]
        at = [_name_dims(self.axes).index(name) for name in others]
        reach = [(v[:, at].min(axis=0), v[:, at].max(axis=0)) for v in vertices]
        # a byte each for up to 255 shapes, since a stack may be large
        small = np.min_scalar_type(len(vertices))
        found = np.zeros((*sizes, *self.axes.plane), small)
        for index in np.ndindex(*sizes):
            ends = enumerate(reach)
            here = [
                n for n, (a, b) in ends if (a <= index).all() and (index <= b).all()
            ]
            if here:
                found[index] = self._draw_plane(here)
        return _order_planes(found, self.axes)

    def _draw_plane(self, which: Sequence[int]) -> npt.NDArray[np.integer[Any]]:
        vertices, kinds = self.shapes
        names = _name_dims(self.axes)
        shown = [names.index("y"), names.index("x")]
        plane = Shapes(
            [vertices[n][:, shown] for n in which], shape_type=[kinds[n] for n in which]
        )
        # napari counts the shapes that it is given from 1 on
        numbers = np.array([0, *(n + 1 for n in which)])
        return _shrink(numbers[plane.to_labels(self.axes.plane)])

    def _look_up_labels(self) -> npt.NDArray[np.integer[Any]]:
        matrix, offset = self.transform
        names = _name_dims(self.axes)
        y, x = names.index("y"), names.index("x")
        others = [names.index(name) for name in _name_other_dims(self.axes)]
        height, width = self.axes.plane
        rows = matrix[:, y, None, None] * np.arange(height)[:, None]
        columns = matrix[:, x, None, None] * np.arange(width)
        # a flat mask lies on each plane: one is enough
        alike = not matrix[:, others].any()
        sizes = [1 if alike else self.axes[names[n]].size for n in others]
        pixels = np.asarray(self.pixels)
        planes = []
        for index in np.ndindex(*sizes):
            start = offset + matrix[:, others] @ np.array(index, float)
            # nearest: the mean of two labels is a third one
            where = np.rint(rows + columns + start[:, None, None]).astype(int)
            inside = np.ones((height, width), bool)
            for axis, size in zip(where, pixels.shape, strict=True):
                inside &= (axis >= 0) & (axis < size)
                np.clip(axis, 0, size - 1, out=axis)
            planes.append(_shrink(np.where(inside, pixels[tuple(where)], 0)))
        if alike:
            return planes[0]
        stack = np.stack(planes).reshape(*sizes, height, width)
        return _order_planes(stack, self.axes)


def read_regions(
    layer: Layer, result: Image, axes: Axes, *, everywhere: bool = True
) -> Regions:
    """Take the regions of a Shapes or Labels layer as they are now.

    `axes` are those of the result, in the order of its data; `everywhere` lets shapes
    that were drawn on one plane count on all planes.
    """
    if isinstance(layer, Labels):
        pixels = layer.data[0] if layer.multiscale else layer.data
        transform = _find_transform(result, layer)
        titles = _read_titles(layer)
        return Regions(
            layer.name, pixels, ([], []), titles, axes, transform, everywhere
        )
    matrix, offset = _find_transform(layer, result)
    vertices = []
    for corners in layer.data:
        given = np.asarray(corners, float)
        placed = given @ matrix.T + offset
        # shapes lie on planes
        spare = [n for n, axis in enumerate(_name_dims(axes)) if axis not in "yx"]
        placed[:, spare] = np.rint(placed[:, spare])
        vertices.append(placed)
    kinds = [str(kind) for kind in layer.shape_type]
    return Regions(
        layer.name,
        None,
        (vertices, kinds),
        _read_titles(layer),
        axes,
        (np.zeros((0, 0)), np.zeros(0)),
        everywhere or layer.ndim < result.ndim,
    )


def merge_scores(
    layer: Layer, table: ScoreTable, names: Mapping[int, str]
) -> dict[str, list[Any]]:
    """Return the features of a layer with the mean scores of each of its regions.

    Other columns stay. `names` are those of each label or, from 1 on, shape.
    """
    means = {number: table.means(name) for number, name in names.items()}
    before = layer.features
    rows = dict(enumerate(before.to_dict("records"), 1))
    features: dict[str, list[Any]] = {}
    if isinstance(layer, Labels):
        numbers = list(before.get("index", before.index))
        rows = dict(zip(numbers, rows.values(), strict=True))
        features["index"] = sorted(rows.keys() | means.keys())
    scored = dict.fromkeys(key for found in means.values() for key in found)
    kept = [str(title) for title in before.columns if title not in ("index", *scored)]
    for number in features.get("index", range(1, len(layer.data) + 1)):
        for title in kept:
            value = rows.get(number, {}).get(title)
            features.setdefault(title, []).append(value)
        for key in scored:
            value = means.get(number, {}).get(key, math.nan)
            features.setdefault(key, []).append(value)
    return features


def _read_titles(layer: Layer) -> dict[int, str]:
    """Return what the column "name" of the features says."""
    features = layer.features
    if "name" not in features:
        return {}
    if isinstance(layer, Labels):
        numbers = features.get("index", features.index)
    else:
        numbers = range(1, len(features) + 1)
    return {int(n): str(t) for n, t in zip(numbers, features["name"], strict=True)}


def _find_transform(
    first: Layer, second: Layer
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    matrix, offset = find_pixel_transform(first, second)
    # rounding would make planes differ that are alike
    matrix[np.abs(matrix) < 1e-9 * np.abs(matrix).max()] = 0
    return matrix, offset


def _name_dims(axes: Axes) -> str:
    return axes.names.replace("s", "")


def _name_other_dims(axes: Axes) -> str:
    """Return the axes of a layer besides y and x, in the order of its dimensions."""
    return "".join(name for name in _name_dims(axes) if name not in "yx")


def _order_planes(planes: npt.NDArray[Any], axes: Axes) -> npt.NDArray[Any]:
    """Bring planes (H, W) along the other axes of a layer into the order t, c, z."""
    names = _name_other_dims(axes) + "yx"
    order = [names.index(name) for name in _name_dims(axes.canonical())]
    return planes.transpose(order)


def _shrink(labels: npt.NDArray[Any]) -> npt.NDArray[np.integer[Any]]:
    # as few bytes as they need; labels below 0 are no regions
    smallest = np.min_scalar_type(int(labels.max(initial=0)))
    kept: npt.NDArray[np.integer[Any]] = np.maximum(labels, 0).astype(smallest)
    return kept
