"""What tells a folder that is a zarr, and what an OME-Zarr group says of its image.

It owns the translation of `ImageSpec` to OME-Zarr 0.4 and 0.5 by way of yaozarrs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from yaozarrs import v04, v05

from napari_structsr.core.axes import Axes, Axis, Channel, ImageSpec

__all__ = ["MARKS", "is_zarr", "is_zarr_group", "make_attributes"]

_KINDS = {"t": "time", "c": "channel"}
_COLOURS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
_RGB = (("Red", "FF0000"), ("Green", "00FF00"), ("Blue", "0000FF"), ("Alpha", "FFFFFF"))


_GROUP = ("zarr.json", ".zgroup")
MARKS = (*_GROUP, ".zarray")
"""Files of which an array or a group holds one."""


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a zarr array or group."""
    return any((path / mark).is_file() for mark in MARKS)


def is_zarr_group(path: Path) -> bool:
    """Tell whether a folder can be a zarr group; in version 3 an array looks alike."""
    return any((path / mark).is_file() for mark in _GROUP)


def make_attributes(
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
        "axes": [_describe_axis(axis) for axis in levels[0].items],
        "datasets": [
            {"path": str(number), "coordinateTransformations": _describe_position(axes)}
            for number, axes in enumerate(levels)
        ],
        "type": "mean",
    }
    entries: dict[str, Any] = {"multiscales": [multiscale]}
    if channels := _describe_channels(spec):
        entries["omero"] = {"channels": channels}
    if version == "0.4":
        multiscale["version"] = "0.4"
        # yaozarrs checks what is to be written
        image = v04.Image.model_validate(entries)
        plain: dict[str, Any] = image.model_dump(mode="json", exclude_none=True)
        return plain
    checked = v05.Image.model_validate({"version": "0.5", **entries})
    return {"ome": checked.model_dump(mode="json", exclude_none=True)}


def _describe_axis(axis: Axis) -> dict[str, str]:
    entry = {"name": axis.name, "type": _KINDS.get(axis.name, "space")}
    if axis.unit:
        entry["unit"] = axis.unit
    return entry


def _describe_position(axes: Axes) -> list[dict[str, Any]]:
    return [
        {"type": "scale", "scale": [axis.scale for axis in axes.items]},
        {"type": "translation", "translation": [axis.translate for axis in axes.items]},
    ]


def _describe_channels(spec: ImageSpec) -> list[dict[str, Any]]:
    if "s" in spec.axes:
        known = spec.channels[0] if spec.channels else Channel()
        pairs = _RGB[: spec.axes.samples]
        return [
            _describe_channel(Channel(name, colour, known.window), colour, spec.dtype)
            for name, colour in pairs
        ]
    # one channel is shown in white, several in turns
    plain = ["FFFFFF"] if len(spec.channels) == 1 else list(_COLOURS)
    return [
        _describe_channel(channel, plain[number % len(plain)], spec.dtype)
        for number, channel in enumerate(spec.channels)
    ]


def _describe_channel(channel: Channel, colour: str, dtype: np.dtype) -> dict[str, Any]:
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
            # a window that exceeds the range of the type widens it
            "min": min(float(low), float(start)),
            "max": max(float(high), float(end)),
        },
    }
    if channel.name:
        entry["label"] = channel.name
    return entry
