"""What an OME-Zarr group says about its image, by way of yaozarrs.

It owns the translation of `ImageSpec` to OME-Zarr 0.4 and 0.5, writing only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from yaozarrs import v04, v05

from napari_structsr.core.axes import Axes, Axis, Channel, ImageSpec

__all__ = ["image_attributes"]

_KINDS = {"t": "time", "c": "channel"}
_COLOURS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
_RGB = (("Red", "FF0000"), ("Green", "00FF00"), ("Blue", "0000FF"), ("Alpha", "FFFFFF"))


def image_attributes(
    spec: ImageSpec, levels: Sequence[Axes], *, version: Literal["0.4", "0.5"]
) -> dict[str, Any]:
    """Return the attributes of the group.

    Parameters
    ----------
    spec
        The finest level.
    levels
        Axes of every level as stored, the finest first; arrays are named 0, 1, ...
    version
        Of OME-Zarr.
    """
    multiscale: dict[str, Any] = {
        "name": spec.name,
        "axes": [_axis(axis) for axis in levels[0].items],
        "datasets": [
            {"path": str(number), "coordinateTransformations": _transforms(axes)}
            for number, axes in enumerate(levels)
        ],
        "type": "mean",
    }
    entries: dict[str, Any] = {"multiscales": [multiscale]}
    if channels := _channels(spec):
        entries["omero"] = {"channels": channels}
    if version == "0.4":
        multiscale["version"] = "0.4"
        image = v04.Image.model_validate(entries)
        plain: dict[str, Any] = image.model_dump(mode="json", exclude_none=True)
        return plain
    checked = v05.Image.model_validate({"version": "0.5", **entries})
    return {"ome": checked.model_dump(mode="json", exclude_none=True)}


def _axis(axis: Axis) -> dict[str, str]:
    """Describe one axis."""
    entry = {"name": axis.name, "type": _KINDS.get(axis.name, "space")}
    if axis.unit:
        entry["unit"] = axis.unit
    return entry


def _transforms(axes: Axes) -> list[dict[str, Any]]:
    """Place a level in the world."""
    return [
        {"type": "scale", "scale": [axis.scale for axis in axes.items]},
        {"type": "translation", "translation": [axis.translate for axis in axes.items]},
    ]


def _channels(spec: ImageSpec) -> list[dict[str, Any]]:
    """Name and colour the channels."""
    if "s" in spec.axes:
        known = spec.channels[0] if spec.channels else Channel()
        pairs = _RGB[: spec.axes.samples]
        return [
            _channel(Channel(name, colour, known.window), colour, spec.dtype)
            for name, colour in pairs
        ]
    plain = ["FFFFFF"] if len(spec.channels) == 1 else list(_COLOURS)
    return [
        _channel(channel, plain[number % len(plain)], spec.dtype)
        for number, channel in enumerate(spec.channels)
    ]


def _channel(channel: Channel, colour: str, dtype: np.dtype) -> dict[str, Any]:
    """Describe one channel; OME-Zarr wants every entry of a window."""
    start, end = channel.window or (0.0, 1.0)
    low, high = start, end
    if dtype.kind in "ui":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    entry: dict[str, Any] = {
        "color": channel.color or colour,
        "active": True,
        "window": {
            "start": float(start),
            "end": float(end),
            "min": min(float(low), float(start)),
            "max": max(float(high), float(end)),
        },
    }
    if channel.name:
        entry["label"] = channel.name
    return entry
