"""How the channels of a layer were taken, as the file says from which it was read.

Readers of napari hand on pixels and often neither objective nor pixel size, but a layer
knows the path of its file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from napari.layers import Image

from napari_structsr.core.axes import Axes, Channel, ImageSpec
from napari_structsr.core.optics import Optics
from napari_structsr.gui.upscale.layer_image import open_calibrated, read_file
from napari_structsr.gui.upscale.optics.optics_choice import OpticsChoice
from napari_structsr.io.source import Source
from napari_structsr.io.units import compute_pixel_size
from napari_structsr.upscaling.measured_width import measure_marks

LEAST_WIDTH = 0.25
"""Measured pixels; the engine takes no smaller width."""


def open_measured(layer: Image, choice: OpticsChoice) -> Source:
    """Open a layer, with what its file says of the optics where that is needed.

    Parameters
    ----------
    layer
        What is upscaled.
    choice
        What the user says of the optics.
    """
    source = open_calibrated(layer)
    known = read_file(layer) if choice.needs_image and not layer.rgb else None
    if known is None or source.spec.axes.plane != known.axes.plane:
        return source  # no file, or cropped or binned: no longer its image
    own = source.spec
    axes = own.axes
    if compute_pixel_size(axes) is None:
        axes = _take_pixel_sizes(axes, known.axes)
    count = axes["c"].size if "c" in axes else 1
    channels = own.channels or (Channel(),) * count
    optics = _match_optics(own, known.channels)
    if len(optics) == len(channels):
        channels = tuple(
            replace(channel, optics=one, name=name or channel.name)
            for channel, (name, one) in zip(channels, optics, strict=True)
        )
    # views hand on what their source says, and a new spec is theirs alone
    source.spec = replace(own, axes=axes, channels=channels)
    return source


def find_command_settings(layer: Image, choice: OpticsChoice) -> dict[str, Any]:
    """Return the settings with which a command undoes as much blur as the dock."""
    settings = choice.to_settings()
    known = read_file(layer)
    follows = "aperture" in settings or choice.marked is not None
    if not choice.undo or not follows or not layer.source.path:
        return settings
    source = open_measured(layer, choice)
    size = compute_pixel_size(source.spec.axes)
    in_file = None if known is None else compute_pixel_size(known.axes)
    same_size = size is None or (in_file is not None and math.isclose(size, in_file))
    if choice.marked:
        shape = None if known is None else known.axes.canonical().shape
        if same_size and shape == source.spec.axes.canonical().shape:
            return settings
        # the planes of the file are others, or its pixels
        found = measure_marks(source, choice.to_marks())
        return {"psf_sigma": round(max(found.low, LEAST_WIDTH), 3)}
    if same_size or size is None:
        return settings
    # the command reads the file, whose pixel size is not the one of the layer
    optics = Optics(choice.aperture or 0, choice.wavelength or 0, choice.confocal)
    return {"psf_sigma": round(max(optics.cautious_sigma(size), LEAST_WIDTH), 3)}


def _take_pixel_sizes(axes: Axes, known: Axes) -> Axes:
    same = [
        known[axis.name]
        for axis in axes.items
        if axis.name in known and known[axis.name].size == axis.size
    ]
    return axes.with_axes(*same)


def _match_optics(
    own: ImageSpec, channels: Sequence[Channel]
) -> list[tuple[str, Optics | None]]:
    """Return name and optics of the channels of a layer; none where that is unclear."""
    named = [(channel.name, channel.optics) for channel in channels]
    if "c" in own.axes:
        return named if len(named) == own.axes["c"].size else []
    # a layer of one channel: the file has no other, all were taken alike, or one of
    # them gave the layer its name
    if len({optics for _, optics in named}) == 1:
        return [("", named[0][1])]
    words = [
        ("", optics)
        for name, optics in named
        if name and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", own.name)
    ]
    return words if len(words) == 1 else []
