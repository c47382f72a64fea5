"""The image that a layer shows: calibrated by its file where the layer says nothing.

napari's own reader hands on pixels and neither pixel size nor names of axes, but a
layer knows the path of its file. What of an image comes from there is said.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari.layers import Image

from napari_structsr.core.axes import Axes, Channel, ImageSpec, check_plane
from napari_structsr.gui.widgets.controls import format_number
from napari_structsr.io.layer_file import find_layer_file
from napari_structsr.io.layer_source import is_uncalibrated, is_unlabelled, shape_of
from napari_structsr.io.open import open_source, read_layer_spec
from napari_structsr.io.source import Source
from napari_structsr.io.units import find_unit_symbol


def read_file(layer: Image) -> ImageSpec | None:
    """Return what the file of a layer holds; None where there is none to be read."""
    noted = find_layer_file(layer)
    return noted.spec if noted else read_layer_spec(layer)


def open_calibrated(layer: Image) -> Source:
    """Open a layer; pixel sizes it lacks are those of its file, if the shape agrees."""
    source, known = open_source(layer), _find_calibration(layer)
    if known is None:
        return source
    own, title = source.spec, layer.name
    # napari calls a layer as the file, without the last of its endings
    if title == Path(str(layer.source.path)).stem:
        title = known.name
    channels = _keep_display(layer, own, known)
    source.spec = replace(own, name=title, axes=known.axes, channels=channels)
    return source


def describe_origin(layer: Image) -> tuple[str, str]:
    """Return the names of the axes, such as "zyx", and what is not the layer's own.

    The second is a sentence for the user, empty where all is said by the layer.
    """
    names = open_source(layer).spec.axes.names
    known, words = _find_calibration(layer), []
    path = Path(str(layer.source.path)).name
    # of two axes there is nothing to say
    if layer.ndim > 2 and is_unlabelled(layer):
        named = read_file(layer)
        if named is not None and named.axes.names == names:
            words.append(f"Axes from {path}.")
        else:
            words.append("Axes guessed: correct them if they are wrong.")
    if known is not None and (size := _describe_size(known.axes)):
        words.append(f"Pixel size from {path}: {size}.")
    return names.replace("s", ""), " ".join(words)


def name_layer_axes(layer: Image, names: str) -> None:
    """Give the axes of a layer other names, one letter each.

    Raises
    ------
    StructsrError
        If there is no such axis, or they are more or fewer than the layer has.
    """
    shape = shape_of(layer)
    check_plane(Axes.of(names + "s" * layer.rgb, shape))
    layer.axis_labels = tuple(names)


def is_calibrated_by_file(layer: Image) -> bool:
    """Say whether `open_calibrated` takes pixel sizes from a file."""
    return _find_calibration(layer) is not None


def _find_calibration(layer: Image) -> ImageSpec | None:
    """Return the image of the file, if pixel sizes are taken from it."""
    if find_layer_file(layer) is not None or not is_uncalibrated(layer):
        return None
    known = read_layer_spec(layer)
    axes = open_source(layer).spec.axes
    if known is None or (known.axes.names, known.axes.shape) != (
        axes.names,
        axes.shape,
    ):
        return None
    return known


def _keep_display(
    layer: Image, own: ImageSpec, known: ImageSpec
) -> tuple[Channel, ...]:
    """Return the channels of the file, with what the user has changed in the viewer."""
    count = own.axes["c"].size if "c" in own.axes else 1
    channels = known.channels or (Channel(),) * count
    if layer.rgb or not own.channels:
        return known.channels
    shown = own.channels[0]
    # what napari chose by itself is no wish of the user
    if list(layer.contrast_limits) != list(layer.contrast_limits_range):
        channels = tuple(replace(one, window=shown.window) for one in channels)
    if layer.colormap.name != "gray":
        channels = tuple(replace(one, color=shown.color) for one in channels)
    return () if all(one == Channel() for one in channels) else channels


def _describe_size(axes: Axes) -> str:
    """Return pixel sizes in words, such as "z 0.4, y and x 0.065 µm"."""
    sizes: dict[tuple[float, str], list[str]] = {}
    for axis in axes.items:
        if axis.unit is not None:
            step = abs(axis.scale), find_unit_symbol(axis.unit)
            sizes.setdefault(step, []).append(axis.name)
    return ", ".join(
        f"{' and '.join(names)} {format_number(size)} {unit}"
        for (size, unit), names in sizes.items()
    )
