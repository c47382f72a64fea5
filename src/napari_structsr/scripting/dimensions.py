"""Pixels of a result as the caller knows them: with the dimensions of what came in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_structsr.core.axes import Axis, ImageSpec
from napari_structsr.core.types import Array
from napari_structsr.io.arrays import ArraySource
from napari_structsr.io.formats.data_array import is_data_array
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source


def restore_kind(
    pixels: Array,
    image: Any,
    source: Source,
    reading: Mapping[str, Any],
    factor: int,
) -> Any:
    """Return the pixels of a result with the dimensions of the image, in their order.

    Parameters
    ----------
    pixels
        Axes in canonical order, as `MemorySink` has them.
    image
        What the caller gave. Images from files stay in canonical order; a DataArray
        comes back as one.
    source, reading
        The opened image, and how it was opened.
    factor
        Of the upscaling.
    """
    if isinstance(image, (str, os.PathLike, Source)):
        return pixels
    # what was chosen of the image is behind a view, which knows no dimensions
    parts = dict.fromkeys(("channels", "channel", "planes", "region"))
    whole = open_source(image, **{**reading, **parts})
    if not isinstance(whole, ArraySource):
        return pixels
    spec = source.spec.upscale(factor)
    # a single channel has no axis c
    lost = "c" if reading.get("channel") is not None else ""
    names = [name for name in whole.names if name is None or name != lost]
    pixels = _reorder(pixels, spec.axes.names, names)
    if is_data_array(image):
        pairs = zip(image.dims, whole.names, strict=True)
        dims = {dim: name for dim, name in pairs if name is None or name != lost}
        return _label(pixels, image, spec, dims)
    return pixels


def _reorder(pixels: Array, order: str, names: Sequence[str | None]) -> Array:
    """Return pixels whose dimensions are named as given; None is one of size 1."""
    kept = [name for name in names if name is not None]
    pixels = pixels.transpose([order.index(name) for name in kept])
    for position, name in enumerate(names):
        if name is None:
            pixels = np.expand_dims(pixels, position)
    return np.ascontiguousarray(pixels)


def _label(
    pixels: Array, image: Any, spec: ImageSpec, dims: Mapping[Any, str | None]
) -> Any:
    """Return a DataArray like the one that came, its coordinates on the finer grid.

    `dims` are the axis names of its dimensions.
    """
    axes = {dim: spec.axes[name] for dim, name in dims.items() if name is not None}
    sizes = {dim: axis.size for dim, axis in axes.items()}
    coords: dict[Any, Any] = {}
    for name, coord in image.coords.items():
        if coord.dims == (name,) and name in axes:
            coords[name] = (name, _find_positions(axes[name], coord, spec), coord.attrs)
        # a coordinate over y and x has no place on the finer grid
        elif all(sizes.get(dim, 1) == image.sizes[dim] for dim in coord.dims):
            coords[name] = coord
    # of the caller's own class: xarray is not imported here
    return type(image)(
        pixels, dims=list(dims), coords=coords, name=image.name, attrs=image.attrs
    )


def _find_positions(axis: Axis, coord: Any, spec: ImageSpec) -> Any:
    if axis.name not in "yx":
        if coord.size == axis.size:
            return coord.values
        if axis.name != "c":  # some planes were chosen
            return axis.translate + axis.scale * np.arange(axis.size)
        # some channels were chosen
        return [channel.name for channel in spec.channels] or np.arange(axis.size)
    return axis.translate + axis.scale * np.arange(axis.size)
