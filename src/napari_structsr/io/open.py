"""Opening an image: finds out of what kind it is, and hands it to that reader.

Each reader brings axes and metadata of its kind to `ImageSpec`.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.image_part import ImagePart
from napari_structsr.core.names import expand_home
from napari_structsr.errors import (
    AxesError,
    MemoryShortageError,
    PixelError,
    SettingsError,
    SourceError,
    StructsrError,
    blame_file,
    suggest_name,
)
from napari_structsr.io.formats.image_list import ImageEntry, find_image
from napari_structsr.io.formats.kinds import check_tiff, find_reader
from napari_structsr.io.remote.address import hide_credentials, is_remote
from napari_structsr.io.remote.place import RemotePlace, open_place
from napari_structsr.io.source import Source


def open_source(
    image: Any,
    *,
    axes: str | None = None,
    level: int = 0,
    series: int | str | None = None,
    channels: Sequence[int | str] | None = None,
    channel: int | str | None = None,
    planes: str | None = None,
    region: str | None = None,
    name: str | None = None,
) -> Source:
    """Open an image without reading its pixels.

    Parameters
    ----------
    image
        Path of a TIFF, an OME-Zarr, one of its levels or a zarr array, or its address,
        such as "https://host/a.ome.zarr" or "s3://bucket/a.tif"; a pattern such
        as "scan/*.tif" whose files become the axis z; a numpy, dask, zarr or xarray
        array, a zarr group; a napari image layer; or a source, of which channels,
        planes and region are taken and which is else returned as it is.
    axes
        Names of the dimensions, such as "tzyx"; for a pattern the first names the
        files. Pixel sizes that the image gives for these names are kept. By default
        the image's own names, and where it has none yx, zyx, tzyx or tczyx; a last
        dimension of 3 or 4 in uint8 or uint16 is the colour axis s.
    level
        Level of a pyramid, 0 the finest.
    series
        Number, from 0, or name of one of several images in a file, as `list_images`
        returns them; the first by default.
    channels
        Indices or names of the channels to keep, in this order; all by default.
    channel
        Index or name of a single channel, in the place of `channels`; the image then
        has no axis c, and is called as the image and the channel.
    planes
        Which planes of t or z to keep, such as "z=3:10" or "t=0,z=5", counted from 0,
        the last one left out; without a name where only one of them has several.
    region
        Rows and columns to keep, such as "10:200,30:400". A part stays where it lies
        in the world.
    name
        Short name; by default taken from the path or layer.

    Returns
    -------
    Source
        Readable from several threads. A TIFF stays open until ``close()`` is called
        or the source is dropped.

    Raises
    ------
    SourceError
        If the image is missing, damaged, unfinished or of a kind that is not read.
    AxesError
        If the axes do not fit.
    PixelError
        If the pixels are no real numbers or a plane is one pixel wide.
    SettingsError
        If there is no such level, series, channel or part.
    """
    if channel is not None and channels is not None:
        raise SettingsError(
            f"channel {channel!r} and channels {list(channels)} are both given; leave "
            "one of them out"
        )
    chosen = {
        "channels": None if channels is None else list(channels),
        "channel": channel,
        "planes": planes or None,
        "region": region or None,
    }
    noted: dict[str, Any]
    if isinstance(image, Source):
        if all(value is None for value in chosen.values()):
            return image
        source = image
        noted = dict(image.options)
        # one part of another could not be opened again by one set of options
        if again := sorted(noted.keys() & {k for k in chosen if chosen[k] is not None}):
            raise SettingsError(
                f"{image.origin} was opened with {' and '.join(again)} already; open "
                "the image once, with the whole choice"
            )
    else:
        source = _open_any(image, axes=axes, level=level, series=series, name=name)
        number = getattr(source, "series", None)
        noted = {"axes": axes, "level": level or None, "series": number}
    # readers are imported where they are needed: scipy, zarr and tifffile cost time
    if channels is not None:
        from napari_structsr.io.views import ChannelsView

        source = ChannelsView(source, channels)
    if channel is not None:
        from napari_structsr.io.views import OneChannelView

        source = OneChannelView(source, channel, name=name)
    if planes or region:
        from napari_structsr.io.views import PartView

        axes_of = source.spec.axes
        part = ImagePart.parse(axes_of, planes=planes or "", region=region or "")
        source = PartView(source, part)
    # what the record of a run notes, to open the same image again
    noted |= {key: value for key, value in chosen.items() if value is not None}
    source.options = {key: value for key, value in noted.items() if value is not None}
    return source


def _open_any(
    image: Any,
    *,
    axes: str | None,
    level: int,
    series: int | str | None,
    name: str | None,
) -> Source:
    if isinstance(image, (str, os.PathLike)):
        return _open_path(
            os.fsdecode(image), axes=axes, level=level, series=series, name=name
        )
    # by the name of its package: zarr is imported only where a zarr is given
    if type(image).__module__.partition(".")[0] == "zarr":
        from napari_structsr.io.ome_zarr.reader import open_zarr

        return open_zarr(image, axes=axes, level=level, series=series, name=name)
    # what is no file holds one image
    find_image(("0",), series, origin=f"a {type(image).__name__}")
    # a layer is known by what it has, since napari is not imported here
    if all(hasattr(image, part) for part in ("scale", "translate", "name", "data")):
        from napari_structsr.io.layer_source import is_unlabelled, open_layer, shape_of

        if axes is None and is_unlabelled(image):
            known = read_layer_spec(image)
            # napari's own reader takes channels for planes of a stack
            if known is not None and known.axes.shape == shape_of(image):
                axes = known.axes.names
        return open_layer(image, axes=axes, level=level, name=name)
    # an array of xarray, which is not imported either
    if all(hasattr(image, part) for part in ("dims", "coords", "isel", "dtype")):
        from napari_structsr.io.formats.data_array import open_data_array

        return open_data_array(image, axes=axes, level=level, name=name)
    if all(hasattr(image, part) for part in ("shape", "dtype", "__getitem__")):
        from napari_structsr.io.arrays import open_array

        return open_array(image, axes=axes, level=level, name=name)
    raise SourceError(
        f"a {type(image).__name__} is no image; give a path, a numpy, dask, zarr or "
        "xarray array, a zarr group, or a napari image layer"
    )


def read_layer_spec(layer: Any) -> ImageSpec | None:
    """Return what the file of a napari layer holds; None where none can be read.

    A layer may show a part of it, or other pixels.
    """
    path = getattr(getattr(layer, "source", None), "path", None)
    if not path:
        return None
    try:
        return _read_spec(str(path), Path(path).stat().st_mtime_ns)
    except OSError:
        return None


# opening checks every page of a file, and docks ask after each click
@lru_cache(maxsize=32)
def _read_spec(path: str, _changed: int) -> ImageSpec | None:
    try:
        return open_source(Path(path)).spec
    except StructsrError:
        return None


def list_images(path: str | os.PathLike[str]) -> tuple[ImageEntry, ...]:
    """Return every image of a file, without reading pixels.

    Parameters
    ----------
    path
        As in `open_source`: series of a TIFF, images of an OME-Zarr, fields of a plate.
        A pattern is one image.

    Raises
    ------
    SourceError
        If there is no file, or nothing in it can be read.
    """
    text = os.fsdecode(path)
    entries = []
    for number, name in enumerate(list_names(text)):
        try:
            spec = open_source(text, series=number).spec
        except (AxesError, PixelError, SourceError) as error:
            # the others may be what is wanted
            entries.append(ImageEntry(number, name, fault=str(error)))
        else:
            entries.append(ImageEntry(number, name, spec.axes, spec.dtype))
    return tuple(entries)


def list_names(path: str) -> tuple[str, ...]:
    """Return the names of all images of a file, as `list_images` would.

    Raises
    ------
    SourceError
        As in `list_images`.
    """
    with _blame(path):
        found = _find_path(path)
        if found is None:
            return ("0",)
        with _explain(found):
            return find_reader(found).list_names(found)


def _open_path(path: str, **options: Any) -> Source:
    with _blame(path):
        found = _find_path(path)
        if found is None:
            return _open_pattern(path, **options)
        with _explain(found):
            return find_reader(found).open(found, **options)


def _blame(path: str) -> AbstractContextManager[None]:
    """Name the file in whatever it lets its reader raise."""
    remedy = "check the path, or copy the image again from where it came from"
    path = hide_credentials(path)
    return blame_file(path, SourceError, what="an image", remedy=remedy)


@contextmanager
def _explain(path: Path | RemotePlace) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{path} cannot be opened ({error.strerror or error}); check that it "
            "exists and that you may read it"
        ) from error
    except MemoryError as error:
        # libraries ask for what a damaged file names
        raise MemoryShortageError(
            f"{path} cannot be opened: it asks for more memory than there is; copy "
            "the image again from where it came from, or close other programs"
        ) from error


def _find_path(path: str) -> Path | RemotePlace | None:
    """Return a file or folder, by absolute path or address; None for a pattern."""
    if is_remote(path):
        return open_place(path)
    if not path:
        raise SourceError("the path is empty; give the path of an image")
    absolute = expand_home(path).absolute()
    with _explain(absolute):
        if absolute.exists():
            return absolute
    # only now: brackets are allowed in names of files
    if glob.has_magic(path):
        return None
    raise SourceError(
        f"{absolute} does not exist; check the path{suggest_name(absolute)}"
    )


def _open_pattern(path: str, **options: Any) -> Source:
    given = expand_home(path)
    absolute = given.absolute()
    # Path.glob takes no absolute patterns
    pattern = str(given.relative_to(given.anchor))
    files = [file for file in Path(given.anchor).glob(pattern) if file.is_file()]
    if not files:
        raise SourceError(f"no file matches {absolute}; check the pattern")
    from napari_structsr.io.tiff.series import TiffFiles

    for file in files:
        check_tiff(file)
    return TiffFiles(absolute, files, **options)
