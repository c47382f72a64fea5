"""What is visible of a layer, and how that alone is upscaled for a preview.

It is computed from the visible pixels, with a margin that gives their border
neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer

from napari_structsr.core.axes import ImageSpec
from napari_structsr.engine.events import Cancel, Event
from napari_structsr.gui.upscale.optics.optics_choice import OpticsChoice
from napari_structsr.gui.upscale.run import run_upscaling
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.io.arrays import open_array
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import MemorySink
from napari_structsr.io.source import Source

MARGIN = 16
"""Pixels around the visible region, so that its border has neighbours."""

_LARGEST = 512  # pixels along a side, so that a preview takes a second or two


@dataclass(frozen=True)
class Region:
    """A rectangle of one plane of a layer.

    Parameters
    ----------
    position
        Index along every dimension of the layer; the first row and column along y
        and x.
    plane
        Index along the looped axes of the source.
    rows, columns
        Pixels along y and x.
    """

    position: tuple[int, ...]
    plane: tuple[int, ...]
    rows: slice
    columns: slice


def find_view_obstacle(viewer: Viewer, layer: Image | None) -> str | None:
    """Say in words why the view cannot be previewed; None if it can."""
    if layer is None:
        return None
    if viewer.dims.ndisplay != 2:
        return "A preview needs the 2D view."
    names = open_source(layer).spec.axes.names.replace("s", "")
    shown = [n - viewer.dims.ndim + layer.ndim for n in viewer.dims.displayed]
    if any(n < 0 for n in shown) or {names[n] for n in shown} != {"y", "x"}:
        return "A preview needs a view of y and x; change the order of the axes."
    return None


def find_visible_region(viewer: Viewer, layer: Image, source: Source) -> Region:
    """Return what the canvas shows of a layer, or the middle of it if that is much."""
    axes = source.spec.axes
    names = axes.names.replace("s", "")  # napari keeps samples out of the dimensions
    point = layer.world_to_data(viewer.dims.point[-layer.ndim :])
    sizes = [axis.size for axis in axes.items if axis.name != "s"]
    index = [
        int(np.clip(round(p), 0, n - 1)) for p, n in zip(point, sizes, strict=True)
    ]
    corners = np.array(layer.corner_pixels, dtype=float)
    if layer.multiscale:  # napari counts in pixels of the level that it shows
        corners *= layer.downsample_factors[layer.data_level]
    sides = {}
    for name in "yx":
        dim = names.index(name)
        start = int(corners[0, dim]) - MARGIN
        stop = int(corners[1, dim]) + 1 + MARGIN
        # of more than that, the middle
        surplus = max(0, stop - start - _LARGEST)
        start, stop = start + surplus // 2, stop - (surplus - surplus // 2)
        start = int(np.clip(start, 0, max(0, sizes[dim] - 2)))
        stop = int(np.clip(stop, start + 2, sizes[dim]))
        sides[name] = slice(start, stop)
        index[dim] = start
    plane = tuple(index[names.index(axis.name)] for axis in axes.loops)
    return Region(tuple(index), plane, sides["y"], sides["x"])


def describe_view_planes(viewer: Viewer, layer: Image) -> str:
    """Return the plane that is shown, such as "t=0,z=5"; "" for an image of one."""
    axes = open_source(layer).spec.axes
    names = axes.names.replace("s", "")
    point = layer.world_to_data(viewer.dims.point[-layer.ndim :])
    shown = []
    for axis in axes.loops:
        if axis.name in "tz":
            place = round(float(point[names.index(axis.name)]))
            shown.append(f"{axis.name}={int(np.clip(place, 0, axis.size - 1))}")
    return ",".join(shown)


def _keep_optics(
    crop: ImageSpec, whole: ImageSpec, plane: tuple[int, ...]
) -> ImageSpec:
    """Return the spec of a part of a plane, with the pixel size and optics of it."""
    axes = [
        replace(axis, size=crop.axes[axis.name].size)
        for axis in whole.axes.items
        if axis.name in "yx"
    ]
    channels = whole.channels
    if channels:
        channels = (channels[whole.axes.channel_of(plane)],)
    return replace(crop, axes=crop.axes.with_axes(*axes), channels=channels)


def upscale_region(
    source: Source,
    region: Region,
    choice: Choice,
    *,
    widths: Sequence[float] = (),
    cancel: Cancel,
) -> Iterator[Event]:
    """Upscale a rectangle of a plane as it would be in the whole.

    Parameters
    ----------
    source, region
        Of a layer.
    choice
        What the user wants.
    widths
        Told of each channel, where they were measured in the whole.
    cancel
        Looked at before each tile.
    """
    axes = source.spec.axes
    # an image of its own: the margin gives its border neighbours
    pixels = source.read(region.plane, region.rows, region.columns)
    colored = "s" in axes
    pixels = np.moveaxis(pixels, 0, -1) if colored else pixels[0]
    names, name = "yxs" if colored else "yx", source.spec.name
    crop = open_array(pixels, axes=names, level=0, name=name)
    optics = choice.optics
    if optics.measures:  # marks have other places here, or none
        channel = axes.channel_of(region.plane)
        width = widths[min(channel, len(widths) - 1)]
        choice = replace(
            choice, optics=OpticsChoice(undo=True, source="hand", psf_sigma=width)
        )
    elif optics.needs_image:
        crop.spec = _keep_optics(crop.spec, source.spec, region.plane)
    yield from run_upscaling(crop, choice, MemorySink(), cancel=cancel)
