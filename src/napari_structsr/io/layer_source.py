"""Image layers of napari as sources, without importing napari.

A layer is known by what it has, not by its type. Rotation, shear and affine are not
read: they stay with the layer and are handed on by the gui.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_structsr.core.axes import Axes, Channel
from napari_structsr.errors import SourceError
from napari_structsr.io.arrays import ArraySource, check_level, make_spec
from napari_structsr.io.layer_file import LayerFile, find_layer_file
from napari_structsr.io.ome_zarr.metadata import check_finished
from napari_structsr.io.tiff.metadata import read_lut_color
from napari_structsr.io.units import (
    Step,
    find_unit_name,
    make_axes,
    name_axes,
    scale_axes,
)


def open_layer(
    layer: Any, *, axes: str | None, level: int, name: str | None
) -> ArraySource:
    """Open an image layer.

    Axis labels that are known names are kept, the others are guessed from the right:
    yx, zyx, tzyx, tczyx. Contrast limits and a black-to-colour map become those of
    every channel; without an axis c, the one channel is called as the layer. What a
    file says of its channels is kept where the layer is still shown as it was opened.
    Arguments and errors are those of `open_source`.
    """
    origin = f"napari layer {str(layer.name)!r}"
    if not hasattr(layer, "rgb") or not hasattr(layer, "contrast_limits"):
        raise SourceError(
            f"{origin} is a {type(layer).__name__} layer; pick an image layer"
        )
    # what a viewer shows of a file may be read from it only now
    if path := getattr(getattr(layer, "source", None), "path", None):
        check_finished(Path(path))
    levels = layer.data if getattr(layer, "multiscale", False) else [layer.data]
    check_level(level, len(levels), origin=origin)
    shape = shape_of(layer)
    labels: list[str | None] = [str(label) for label in layer.axis_labels]
    if layer.rgb:
        # napari counts no axis for the colours of a pixel
        labels.append("s")
    names = name_axes(labels, shape, squeeze=False, given=axes)
    # strict=False: the colour samples of an RGB layer have no scale of their own
    steps = {
        dimension: Step(float(scale), float(translate), find_unit_name(str(unit)))
        for dimension, scale, translate, unit in zip(
            names, layer.scale, layer.translate, layer.units, strict=False
        )
        if dimension is not None
    }
    full = make_axes(names, shape, steps)
    array = levels[level]
    # a layer that shows what is there yet has the pixels themselves beside it
    array = getattr(array, "settled", array)
    kept = [n for n, dimension in zip(array.shape, names, strict=True) if dimension]
    channels = _read_channels(layer, full)
    title = name or str(layer.name)
    spec = make_spec(title, scale_axes(full, kept), array.dtype, channels)
    return ArraySource(array, spec, names=names, origin=origin)


def is_unlabelled(layer: Any) -> bool:
    """Say whether the axes have the names that napari gives, which are numbers."""
    labels = getattr(layer, "axis_labels", ())
    return all(str(label).lstrip("-").isdigit() for label in labels)


def is_uncalibrated(layer: Any) -> bool:
    """Say whether a layer has the pixel size and place that napari gives to all."""
    return (
        all(float(scale) == 1 for scale in layer.scale)
        and not any(float(shift) for shift in layer.translate)
        and all(find_unit_name(str(unit)) is None for unit in layer.units)
    )


def shape_of(layer: Any) -> tuple[int, ...]:
    """Return the shape of the finest level of an image layer."""
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return tuple(int(size) for size in data.shape)


def _read_channels(layer: Any, axes: Axes) -> list[Channel]:
    noted = find_layer_file(layer)
    if layer.rgb:
        # its colours are those of its pixels
        return list(noted.spec.channels) if noted else []
    low, high = layer.contrast_limits
    colormap = getattr(layer, "colormap", None)
    color = None if colormap is None else read_lut_color(colormap.colors[:, :3] * 255)
    window = float(low), float(high)
    count = axes["c"].size if "c" in axes else 1
    if noted is not None:
        return _keep_channels(noted, count, window=window, color=color)
    if "c" in axes:
        return [Channel("", color, window)] * count
    # napari splits channels into layers: one layer is one channel
    return [Channel(str(layer.name), color, window)]


def _keep_channels(
    noted: LayerFile, count: int, *, window: tuple[float, float], color: str | None
) -> list[Channel]:
    """Return the channels of the file, with what the user has changed since."""
    channels = list(noted.spec.channels)
    if len(channels) != count:
        channels = [Channel()] * count
    if window != noted.window:
        channels = [replace(channel, window=window) for channel in channels]
    if color != noted.color:
        channels = [replace(channel, color=color) for channel in channels]
    return channels
