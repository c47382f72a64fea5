"""zarr arrays and OME-Zarr images as sources.

OME-Zarr attributes are read by yaozarrs, except for the display hints (omero), which
are read here and leniently.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import zarr
from pydantic import ValidationError
from yaozarrs import v04, v05
from zarr.storage import LocalStore

from napari_structsr.core.axes import Channel
from napari_structsr.errors import SourceError
from napari_structsr.io.arrays import ArraySource, check_level, guess_labels, make_spec
from napari_structsr.io.formats.image_list import find_image
from napari_structsr.io.limits import NAME_LENGTH
from napari_structsr.io.ome_zarr.bounded_codecs import bound_codecs
from napari_structsr.io.ome_zarr.contents import list_places
from napari_structsr.io.ome_zarr.metadata import (
    MARKS,
    check_finished,
    is_zarr,
    is_zarr_group,
)
from napari_structsr.io.units import Step, find_unit_name, make_axes, name_axes

if TYPE_CHECKING:
    Array = zarr.Array[Any]

_LOGGER = logging.getLogger(__name__)
_TYPES = {"time": "t", "channel": "c"}

Multiscale = v04.Multiscale | v05.Multiscale


def open_zarr(
    image: Path | Array | zarr.Group,
    *,
    axes: str | None,
    level: int,
    series: int | str | None = None,
    name: str | None,
) -> ArraySource:
    """Open a zarr array, or a level of an image of an OME-Zarr group.

    An array that is a level of an OME-Zarr image is opened as that level. Arguments
    and errors are those of `open_source`.
    """
    node = _open_node(image) if isinstance(image, Path) else image
    path = image if isinstance(image, Path) else _find_folder(image)
    if path:
        check_finished(path)
    origin = str(path or f"zarr {type(node).__name__.lower()} {node.name}")
    if not isinstance(node, zarr.Group):
        find_image(("0",), series, origin=origin)
        check_level(level, 1, origin=origin)
        # the group around a level knows its axes and pixel sizes
        if path and (owner := _find_image_around(path, lenient=axes is not None)):
            node, level = owner
            series = None
    if isinstance(node, zarr.Group):
        return _open_series(
            node, origin=origin, axes=axes, level=level, series=series, name=name
        )
    names = name_axes(_read_labels(node), node.shape, squeeze=True, given=axes)
    title = name or (_make_name(path) if path else node.basename) or "image"
    spec = make_spec(title, make_axes(names, node.shape, {}), node.dtype)
    return ArraySource(_bound(node, origin), spec, names=names, origin=origin)


def list_names(path: Path) -> tuple[str, ...]:
    """Return the names of all images of a zarr; see `ImageEntry`.

    Raises
    ------
    SourceError
        If it is damaged, or no zarr.
    """
    node = _open_node(path)
    if not isinstance(node, zarr.Group):
        return ("0",)
    places = list_places(node, origin=str(path))
    if not places:
        _raise_no_image(node, origin=str(path))
    return tuple(place.name for place in places)


def _open_series(
    group: zarr.Group, *, origin: str, series: int | str | None, **options: Any
) -> ArraySource:
    """Open one of the images of a group."""
    places = list_places(group, origin=origin)
    if not places:
        _raise_no_image(group, origin=origin)
    names = tuple(place.name for place in places)
    chosen = places[find_image(names, series, origin=origin)]
    part = group.get(chosen.path) if chosen.path else group
    if not isinstance(part, zarr.Group):
        raise SourceError(
            f"{origin} names the image {chosen.path}, which is not there; copy the "
            "image again from where it came from"
        )
    if chosen.path:
        origin = f"{origin}/{chosen.path}"
        if local := _find_folder(part):
            check_finished(local)
    source = _open_level(part, origin=origin, number=chosen.number, **options)
    if chosen.path and not options["name"]:
        title = f"{source.spec.name} {chosen.name}"[:NAME_LENGTH]
        source.spec = replace(source.spec, name=title)
    source.images = names
    # its own path opens it again, unless several lie in one group
    source.series = chosen.number or None
    return source


def _open_level(
    group: zarr.Group,
    *,
    origin: str,
    number: int,
    axes: str | None,
    level: int,
    name: str | None,
) -> ArraySource:
    attributes = dict(group.attrs)
    # in a store that is no folder, such as a zip
    own = attributes.get("structsr")
    if isinstance(own, Mapping) and own.get("status") == "partial":
        raise SourceError(
            f"{origin} is an unfinished result; resume and finish the run that writes "
            "it, then open it again"
        )
    multiscale, omero = _read_image(attributes, group, number, origin=origin)
    check_level(level, len(multiscale.datasets), origin=origin)
    dataset = multiscale.datasets[level]
    try:
        array = group[dataset.path]
    except Exception as error:
        raise SourceError(
            f"level {level} of {origin} cannot be opened ({error}); copy the image "
            "again from where it came from, or choose another level"
        ) from error
    if not isinstance(array, zarr.Array):
        raise SourceError(
            f"level {level} of {origin} is a group, not an array; write the image again"
        )
    # a known name counts before the type: both may be written, or one
    own_names = [
        axis.name
        if len(axis.name) == 1 and axis.name.lower() in "tczyxs"
        else _TYPES.get(axis.type or "", axis.name)
        for axis in multiscale.axes
    ]
    shape = array.shape
    if len(own_names) != len(shape):
        raise SourceError(
            f"{origin} names the axes {own_names}, but level {level} has the shape "
            f"{shape}; write the image again"
        )
    names = name_axes(own_names, shape, squeeze=False, given=axes)
    steps = {
        axis: step
        for axis, step in zip(names, _read_steps(multiscale, level), strict=False)
        if axis is not None
    }
    local = _find_folder(group)
    # the folder was named by a person, the multiscale often by a program
    title = (_make_name(local) if local else multiscale.name) or "image"
    if number:
        title = f"{title} {multiscale.name or number}"
    spec = make_spec(
        name or title,
        make_axes(names, shape, steps),
        array.dtype,
        _read_channels(omero),
    )
    source = ArraySource(_bound(array, origin), spec, names=names, origin=origin)
    source.levels = len(multiscale.datasets)
    return source


def _bound(array: Array, origin: str) -> Array:
    """Return an array whose chunks cannot take all memory."""
    try:
        return bound_codecs(array)
    except ValueError as error:
        raise SourceError(
            f"{origin} cannot be read: {error}; write the image again"
        ) from error


def _open_node(path: Path) -> Array | zarr.Group:
    if not is_zarr(path):
        tiffs = any(path.glob("*.tif")) or any(path.glob("*.tiff"))
        raise SourceError(
            f"the folder {path} holds no zarr metadata ({', '.join(MARKS)}); "
            + (
                f'give its TIFF files as a pattern, "{path}/*.tif"'
                if tiffs
                else "give the path of an OME-Zarr image or a zarr array"
            )
        )
    for name in (*MARKS, ".zattrs", ".zmetadata"):
        mark = path / name
        # zarr reads all of them, and would wait for whoever writes to a pipe
        if mark.exists() and not mark.is_file():
            raise SourceError(
                f"{mark} is no file; copy the image again from where it came from"
            )
    try:
        return zarr.open(path, mode="r")
    except OSError:
        raise
    except Exception as error:
        raise SourceError(
            f"the zarr metadata of {path} are damaged ({error or type(error).__name__}"
            "); copy the image again from where it came from"
        ) from error


def _find_folder(node: Array | zarr.Group) -> Path | None:
    """Return the folder of an open array or group; None when it is not local."""
    if not isinstance(node.store, LocalStore):
        return None
    return (Path(node.store.root) / node.path).absolute()


def _find_image_around(path: Path, *, lenient: bool) -> tuple[zarr.Group, int] | None:
    """Return the OME-Zarr group around an array, and the array's level in it.

    Lenient, a group whose metadata are not valid is none.
    """
    for parent in path.parents:
        if not is_zarr_group(parent):
            return None
        group = _open_node(parent)
        attributes = dict(group.attrs)
        if "ome" not in attributes and "multiscales" not in attributes:
            continue
        try:
            multiscale, _ = _read_image(attributes, group, 0, origin=str(parent))
        except SourceError as error:
            if not lenient:
                raise
            _LOGGER.warning("%s; %s is opened without them", error, path)
            return None
        paths = [dataset.path.strip("/") for dataset in multiscale.datasets]
        inside = path.relative_to(parent).as_posix()
        if inside in paths and isinstance(group, zarr.Group):
            return group, paths.index(inside)
        return None
    return None


def _raise_no_image(group: zarr.Group, *, origin: str) -> NoReturn:
    parts = ", ".join(sorted(group)[:8])
    raise SourceError(
        f"{origin} holds no image of its own, only the parts {parts or '(none)'}; "
        f"give the path of one, such as {origin}/{(parts or '0').split(',')[0]}"
    )


def _read_image(
    attributes: dict[str, Any], group: Any, number: int, *, origin: str
) -> tuple[Multiscale, Any]:
    """Return a multiscale image of a group and its display hints."""
    ome = attributes.get("ome", attributes)
    if not isinstance(ome, Mapping) or "multiscales" not in ome:
        _raise_no_image(group, origin=origin)
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


def _read_steps(multiscale: Multiscale, level: int) -> list[Step]:
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


def _read_channels(omero: Any) -> list[Channel]:
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


def _read_labels(array: Array) -> list[str | None]:
    # _ARRAY_DIMENSIONS is how xarray names them in zarr 2
    labels = getattr(array.metadata, "dimension_names", None) or array.attrs.get(
        "_ARRAY_DIMENSIONS"
    )
    if isinstance(labels, (list, tuple)) and len(labels) == array.ndim:
        return [str(label) if label else None for label in labels]
    return guess_labels(array.shape, array.dtype)


def _make_name(path: Path) -> str:
    for part in (path, *path.parents):
        if part.suffix == ".zarr":
            return part.name.removesuffix(".zarr").removesuffix(".ome")
    return path.name
