"""How a command or a worker opens the image of a layer from its file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from napari_structsr.core.axes import Axes, ImageSpec
from napari_structsr.errors import StructsrError
from napari_structsr.io.layer_file import FILE, KEY, LayerFile, find_layer_file
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source
from napari_structsr.io.tiff.metadata import read_lut_color

_COMPARED = 2**26  # pixels of an image that are all compared with those of its file


@dataclass(frozen=True)
class Opening:
    """How `open_source` opens the image of a layer from its file."""

    path: str
    options: dict[str, Any] = field(default_factory=dict)


def find_opening(
    layer: Image, source: Source, *, moved: bool = False
) -> Opening | None:
    """Return how the image of a layer is opened from its file.

    `source` is the layer, opened. None where the file holds other pixels, or another
    pixel size: a part of it is shown, or several files, or it was worked on. A `moved`
    layer may have another pixel size and place.
    """
    noted = find_layer_file(layer)
    path = noted.path if noted else layer.source.path
    if not path:
        return None
    options = dict(noted.options) if noted else {}
    names = source.spec.axes.names
    try:
        opened = open_source(path, **options)
        if opened.spec.axes.names != names and "channel" not in options:
            options["axes"] = names
            opened = open_source(path, **options)
        if not _is_same_grid(opened.spec, source.spec, moved=moved):
            return None
        # dask has named the pixels of our reader: they are known to be the same
        same = noted is not None or _is_same_image(opened, source)
    except StructsrError:
        return None
    return Opening(str(path), options) if same else None


def note_file(layer: Image, path: Path) -> None:
    """Note of a layer that it shows an OME-Zarr store, as our reader does."""
    # of colours a store makes channels, so that it is opened as another image
    if layer.rgb:
        return
    data = layer.data[0] if layer.multiscale else layer.data
    low, high = layer.contrast_limits
    layer.metadata[KEY][FILE] = LayerFile(
        str(path),
        open_source(path).spec,
        array=data.name,
        window=(float(low), float(high)),
        color=read_lut_color(layer.colormap.colors[:, :3] * 255),
    )


def has_file(layer: Image) -> bool:
    """Say whether a layer was read from a file; it may show other pixels by now."""
    return find_layer_file(layer) is not None or bool(layer.source.path)


def _is_same_grid(one: ImageSpec, other: ImageSpec, *, moved: bool) -> bool:
    mine, theirs = (
        (spec.axes.names, spec.axes.shape, spec.dtype) for spec in (one, other)
    )
    return mine == theirs and (moved or _is_same_place(one.axes, other.axes))


def _is_same_place(one: Axes, other: Axes) -> bool:
    return all(
        mine.unit == theirs.unit
        and math.isclose(mine.scale, theirs.scale, rel_tol=1e-9)
        and math.isclose(mine.translate, theirs.translate, rel_tol=1e-9, abs_tol=1e-9)
        for mine, theirs in zip(one.items, other.items, strict=True)
    )


def _is_same_image(one: Source, other: Source) -> bool:
    """Compare pixels; of a large image some planes."""
    height, width = one.spec.axes.plane
    rows, columns = slice(0, height), slice(0, width)
    return all(
        np.array_equal(
            one.read(plane, rows, columns),
            other.read(plane, rows, columns),
            equal_nan=one.spec.dtype.kind == "f",
        )
        for plane in _choose_planes(one.spec.axes)
    )


def _choose_planes(axes: Axes) -> Iterator[tuple[int, ...]]:
    count = math.prod(axis.size for axis in axes.loops)
    last = count - 1
    some = {0, count // 3, last // 2, last}
    every = math.prod(axes.shape) <= _COMPARED
    for number, plane in enumerate(axes.planes()):
        if every or number in some:
            yield plane
