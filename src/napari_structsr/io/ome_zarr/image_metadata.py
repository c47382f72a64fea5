"""What an OME-Zarr group says of its image: axes, pixel sizes, channels, names.

OME-Zarr attributes are read by yaozarrs, except for the display hints (omero), which
are read here and leniently.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import zarr
from pydantic import ValidationError
from yaozarrs import v04, v05

from napari_structsr.core.axes import Channel
from napari_structsr.errors import SourceError
from napari_structsr.io.arrays import guess_labels
from napari_structsr.io.ome_zarr.metadata import Folder
from napari_structsr.io.units import Step, find_unit_name

if TYPE_CHECKING:
    Array = zarr.Array[Any]

_LOGGER = logging.getLogger(__name__)

Multiscale = v04.Multiscale | v05.Multiscale


def raise_no_image(group: zarr.Group, *, origin: str) -> NoReturn:
    """Raise SourceError for a group that is no image, naming what it holds."""
    parts = ", ".join(sorted(group)[:8])
    raise SourceError(
        f"{origin} holds no image of its own, only the parts {parts or '(none)'}; "
        f"give the path of one, such as {origin}/{(parts or '0').split(',')[0]}"
    )


def read_image(
    attributes: dict[str, Any], group: Any, number: int, *, origin: str
) -> tuple[Multiscale, Any]:
    """Return a multiscale image of a group and its display hints."""
    ome = attributes.get("ome", attributes)
    if not isinstance(ome, Mapping) or "multiscales" not in ome:
        raise_no_image(group, origin=origin)
    # without omero: a wrong display hint must not keep an image closed
    kind = v05.Image if "ome" in attributes else v04.Image
    try:
        image = kind.model_validate(
            {key: value for key, value in ome.items() if key != "omero"}
        )
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise SourceError(
            f"the OME-Zarr metadata of {origin} are not valid at {where}: "
            f"{fault['msg']}; versions 0.4 and 0.5 are read: write the image again, or "
            "open one of its arrays with axes of your own"
        ) from error
    return image.multiscales[number], ome.get("omero")


def read_steps(multiscale: Multiscale, level: int) -> list[Step]:
    """Combine the transforms of a level with those of the whole image."""
    count = len(multiscale.axes)
    scales, shifts = [1.0] * count, [0.0] * count
    for transform in (
        *multiscale.datasets[level].coordinateTransformations,
        # those of all levels are applied last
        *(multiscale.coordinateTransformations or ()),
    ):
        if transform.type == "scale":
            scales = [a * b for a, b in zip(scales, transform.scale, strict=True)]
            shifts = [a * b for a, b in zip(shifts, transform.scale, strict=True)]
        else:
            shifts = [a + b for a, b in zip(shifts, transform.translation, strict=True)]
    return [
        Step(scale, shift, find_unit_name(axis.unit))
        for scale, shift, axis in zip(scales, shifts, multiscale.axes, strict=True)
    ]


def read_channels(omero: Any) -> list[Channel]:
    """Read display hints, as far as they make sense."""
    entries = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(entries, list):
        return []
    channels = []
    for entry in entries:
        if not isinstance(entry, Mapping):
            _LOGGER.warning("omero channels hold %r; no channels are read", entry)
            return []
        color, window = _read_color(entry.get("color")), entry.get("window")
        title = str(entry.get("label") or "")
        channels.append(Channel(title, color, _read_window(window)))
    return channels


def _read_color(value: Any) -> str | None:
    # what follows six digits is the opacity
    digits = re.match("[0-9A-F]{6}", str(value).removeprefix("#").upper())
    return digits.group() if digits else None


def _read_window(value: Any) -> tuple[float, float] | None:
    match value:
        case {"start": int() | float() as low, "end": int() | float() as high}:
            # whole numbers of JSON have no end
            if max(abs(low), abs(high)) <= sys.float_info.max:
                return float(low), float(high)
    return None


def read_labels(array: Array) -> list[str | None]:
    """Return the names that an array gives its dimensions, or what it looks like."""
    # _ARRAY_DIMENSIONS is how xarray names them in zarr 2
    labels = getattr(array.metadata, "dimension_names", None) or array.attrs.get(
        "_ARRAY_DIMENSIONS"
    )
    if isinstance(labels, (list, tuple)) and len(labels) == array.ndim:
        return [str(label) if label else None for label in labels]
    return guess_labels(array.shape, array.dtype)


def make_name(path: Folder) -> str:
    """Return the name of an image by that of its store."""
    around: list[Folder] = [path, *path.parents]
    for part in around:
        if part.suffix == ".zarr":
            return part.name.removesuffix(".zarr").removesuffix(".ome")
    return path.name
