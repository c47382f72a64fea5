"""What tells a folder that is a zarr, and what an OME-Zarr group says of its image.

It owns the translation of `ImageSpec` to OME-Zarr 0.4 and 0.5 by way of yaozarrs.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from yaozarrs import v04, v05

from napari_structsr.core.axes import Axes, Channel, ImageSpec
from napari_structsr.errors import SourceError
from napari_structsr.io.limits import read_text
from napari_structsr.io.remote.place import RemotePlace

Folder = Path | RemotePlace
"""Where a zarr lies."""

_KINDS = {"t": "time", "c": "channel"}
_COLOURS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
_RGB = (("Red", "FF0000"), ("Green", "00FF00"), ("Blue", "0000FF"), ("Alpha", "FFFFFF"))

# zarr 3 and zarr 2
_GROUP = ("zarr.json", ".zgroup")
MARKS = (*_GROUP, ".zarray")
"""Files of which an array or a group holds one."""


def is_zarr(path: Folder) -> bool:
    """Tell whether a folder is a zarr array or group."""
    return any((path / mark).is_file() for mark in MARKS)


def is_zarr_group(path: Folder) -> bool:
    """Tell whether a folder can be a zarr group; in version 3 an array looks alike."""
    return any((path / mark).is_file() for mark in _GROUP)


def check_finished(path: Folder) -> None:
    """Refuse what belongs to a result that is still being written.

    Its pixels that are not written yet would be read as zeros, by whatever name they
    are opened: the store itself, one of its levels, or anything else in it.

    Parameters
    ----------
    path
        A folder or file; it and everything around it are looked at, at an address the
        groups around it.

    Raises
    ------
    SourceError
        If the run that writes it has not finished.
    """
    for folder in _list_around(path):
        if _is_partial(folder):
            raise SourceError(
                f"{path} is an unfinished result"
                + (f", a part of {folder}" if folder != path else "")
                + "; resume and finish the run that writes it, then open it again"
            )


def _list_around(path: Folder) -> Iterator[Folder]:
    if isinstance(path, Path):
        yield from {
            *(path.absolute(), *path.absolute().parents),
            # through a link, another store lies around it
            *(path.resolve(), *path.resolve().parents),
        }
        return
    yield path
    for parent in path.parents:
        # every look costs time: groups that are parts of one lie in each other
        if not is_zarr_group(parent):
            return
        yield parent


def read_entry(folder: Folder, name: str) -> str:
    """Return the text of a file of metadata.

    Raises
    ------
    OSError
        If it cannot be read, or is longer than a text may be.
    """
    if isinstance(folder, Path):
        return read_text(folder / name)
    return (folder / name).read_limited().decode("utf-8")


def _is_partial(folder: Folder) -> bool:
    """Tell whether a folder is a group that says of itself that it is unfinished."""
    for name, keys in (("zarr.json", ("attributes",)), (".zattrs", ())):
        try:
            entry: Any = json.loads(read_entry(folder, name))
            for key in (*keys, "structsr", "status"):
                entry = entry[key]
        # whoever opens it says what is wrong with it
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue
        if entry == "partial":
            return True
    return False


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
        "axes": [
            {"name": axis.name, "type": _KINDS.get(axis.name, "space")}
            | ({"unit": axis.unit} if axis.unit else {})
            for axis in levels[0].items
        ],
        "datasets": [
            {
                "path": str(number),
                # scale first, as the format asks
                "coordinateTransformations": [
                    {"type": "scale", "scale": [a.scale for a in axes.items]},
                    {
                        "type": "translation",
                        "translation": [a.translate for a in axes.items],
                    },
                ],
            }
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
        return image.model_dump(mode="json", exclude_none=True)
    checked = v05.Image.model_validate({"version": "0.5", **entries})
    return {"ome": checked.model_dump(mode="json", exclude_none=True)}


def _describe_channels(spec: ImageSpec) -> list[dict[str, Any]]:
    channels = spec.channels
    if "s" in spec.axes:
        window = (*channels, Channel())[0].window
        parts = _RGB[: spec.axes.samples]
        channels = tuple(Channel(name, colour, window) for name, colour in parts)
    # one channel is shown in white, several in turns
    colours = itertools.cycle(("FFFFFF",) if len(channels) == 1 else _COLOURS)
    return [
        _describe_channel(channel, colour, spec.dtype)
        for channel, colour in zip(channels, colours, strict=False)
    ]


def _describe_channel(channel: Channel, colour: str, dtype: np.dtype) -> dict[str, Any]:
    """Describe one channel; OME-Zarr wants every entry of a window."""
    start, end = low, high = channel.window or (0.0, 1.0)
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
