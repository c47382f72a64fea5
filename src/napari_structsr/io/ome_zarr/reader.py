"""zarr arrays and OME-Zarr images as sources, from a folder or an address.

What a group says of its image is read by `image_metadata`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr
from zarr.storage import LocalStore

from napari_structsr.core.axes import ImageSpec
from napari_structsr.errors import SourceError
from napari_structsr.io.arrays import ArraySource, check_level, make_spec
from napari_structsr.io.formats.image_list import find_image
from napari_structsr.io.limits import NAME_LENGTH
from napari_structsr.io.ome_zarr.bounded_codecs import bound_codecs
from napari_structsr.io.ome_zarr.contents import list_places
from napari_structsr.io.ome_zarr.image_metadata import (
    make_name,
    raise_no_image,
    read_channels,
    read_image,
    read_labels,
    read_steps,
)
from napari_structsr.io.ome_zarr.kept_chunks import ChunkReader
from napari_structsr.io.ome_zarr.metadata import (
    MARKS,
    Folder,
    check_finished,
    is_zarr,
    is_zarr_group,
)
from napari_structsr.io.remote.object_store import RemoteStore
from napari_structsr.io.remote.place import RemotePlace
from napari_structsr.io.units import make_axes, name_axes

if TYPE_CHECKING:
    Array = zarr.Array[Any]

_LOGGER = logging.getLogger(__name__)
_TYPES = {"time": "t", "channel": "c"}


def open_zarr(
    image: Folder | Array | zarr.Group,
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
    node: Array | zarr.Group
    path: Folder | None
    if isinstance(image, (Path, RemotePlace)):
        node, path = open_node(image), image
    else:
        node, path = image, _find_folder(image)
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
    names = name_axes(read_labels(node), node.shape, squeeze=True, given=axes)
    title = name or (make_name(path) if path else node.basename) or "image"
    spec = make_spec(title, make_axes(names, node.shape, {}), node.dtype)
    return _make_source(node, spec, names, origin)


def list_names(path: Folder) -> tuple[str, ...]:
    """Return the names of all images of a zarr; see `ImageEntry`.

    Raises
    ------
    SourceError
        If it is damaged, or no zarr.
    """
    node = open_node(path)
    if not isinstance(node, zarr.Group):
        return ("0",)
    places = list_places(node, origin=str(path))
    if not places:
        raise_no_image(node, origin=str(path))
    return tuple(place.name for place in places)


def _open_series(
    group: zarr.Group, *, origin: str, series: int | str | None, **options: Any
) -> ArraySource:
    """Open one of the images of a group."""
    places = list_places(group, origin=origin)
    if not places:
        raise_no_image(group, origin=origin)
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
    multiscale, omero = read_image(attributes, group, number, origin=origin)
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
        for axis, step in zip(names, read_steps(multiscale, level), strict=False)
        if axis is not None
    }
    local = _find_folder(group)
    # the folder was named by a person, the multiscale often by a program
    title = (make_name(local) if local else multiscale.name) or "image"
    if number:
        title = f"{title} {multiscale.name or number}"
    spec = make_spec(
        name or title,
        make_axes(names, shape, steps),
        array.dtype,
        read_channels(omero),
    )
    source = _make_source(array, spec, names, origin)
    source.levels = len(multiscale.datasets)
    return source


def _make_source(
    array: Array, spec: ImageSpec, names: Sequence[str | None], origin: str
) -> ArraySource:
    bounded = _bound(array, origin)
    source = ArraySource(bounded, spec, names=names, origin=origin)
    folder = _find_folder(array)
    source.parts = ChunkReader(
        array,
        bounded,
        folder if isinstance(folder, Path) else None,
        (names.index("y"), names.index("x")),
    )
    loops = {axis.name for axis in spec.axes.loops}
    source.depths = {
        axis: size
        for axis, size in zip(names, array.chunks, strict=True)
        if axis in loops and size > 1
    }
    return source


def _bound(array: Array, origin: str) -> Array:
    """Return an array whose chunks cannot take all memory."""
    try:
        return bound_codecs(array)
    except ValueError as error:
        raise SourceError(
            f"{origin} cannot be read: {error}; write the image again"
        ) from error


def open_node(path: Folder) -> Array | zarr.Group:
    """Open the array or group of a folder, to be read.

    Raises
    ------
    SourceError
        If there is none, or its metadata are damaged.
    """
    if not is_zarr(path):
        tiffs = isinstance(path, Path) and (
            any(path.glob("*.tif")) or any(path.glob("*.tiff"))
        )
        raise SourceError(
            f"the folder {path} holds no zarr metadata ({', '.join(MARKS)}); "
            + (
                f'give its TIFF files as a pattern, "{path}/*.tif"'
                if tiffs
                else "give the path of an OME-Zarr image or a zarr array"
            )
        )
    if isinstance(path, Path):
        _check_marks(path)
    place = path if isinstance(path, Path) else RemoteStore(path)
    try:
        return zarr.open(place, mode="r")
    except OSError:
        raise
    except Exception as error:
        raise SourceError(
            f"the zarr metadata of {path} are damaged ({error or type(error).__name__}"
            "); copy the image again from where it came from"
        ) from error


def _check_marks(path: Path) -> None:
    """Refuse what would never end: zarr waits for whoever writes to a pipe."""
    for name in (*MARKS, ".zattrs", ".zmetadata"):
        mark = path / name
        if mark.exists() and not mark.is_file():
            raise SourceError(
                f"{mark} is no file; copy the image again from where it came from"
            )


def _find_folder(node: Array | zarr.Group) -> Folder | None:
    """Return the folder of an open array or group; None of another kind of store."""
    if isinstance(node.store, RemoteStore):
        return node.store.place / node.path if node.path else node.store.place
    if not isinstance(node.store, LocalStore):
        return None
    return (Path(node.store.root) / node.path).absolute()


def _find_image_around(path: Folder, *, lenient: bool) -> tuple[zarr.Group, int] | None:
    """Return the OME-Zarr group around an array, and the array's level in it.

    Lenient, a group whose metadata are not valid is none.
    """
    for parent in path.parents:
        if not is_zarr_group(parent):
            return None
        group = open_node(parent)
        attributes = dict(group.attrs)
        if "ome" not in attributes and "multiscales" not in attributes:
            continue
        try:
            multiscale, _ = read_image(attributes, group, 0, origin=str(parent))
        except SourceError as error:
            if not lenient:
                raise
            _LOGGER.warning("%s; %s is opened without them", error, path)
            return None
        paths = [dataset.path.strip("/") for dataset in multiscale.datasets]
        inside = str(path)[len(str(parent)) + 1 :].replace("\\", "/")
        if inside in paths and isinstance(group, zarr.Group):
            return group, paths.index(inside)
        return None
    return None
