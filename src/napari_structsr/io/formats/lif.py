"""LIF files of Leica, through the library liffile.

Every image of the tree is one here, and every tile of a mosaic.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_structsr.core.axes import Channel
from napari_structsr.core.types import Array
from napari_structsr.errors import SourceError
from napari_structsr.io.formats.frames import FrameArray
from napari_structsr.io.formats.image_list import name_images
from napari_structsr.io.formats.instrument_source import (
    FileImage,
    FileImages,
    InstrumentSource,
    open_instrument,
)
from napari_structsr.io.formats.libraries import explain_missing
from napari_structsr.io.limits import IMAGES
from napari_structsr.io.units import (
    Step,
    convert_unit,
    find_unit_name,
    is_pixel_size,
)

_TILES = "M"
# numbers of dimensions in the file
_AXES = {"1": "x", "2": "y", "3": "z", "4": "t"}
_COLORS = {
    "red": "FF0000",
    "green": "00FF00",
    "blue": "0000FF",
    "cyan": "00FFFF",
    "magenta": "FF00FF",
    "yellow": "FFFF00",
    "gray": "FFFFFF",
    "grey": "FFFFFF",
}


class _Image(NamedTuple):
    entry: Any
    name: str
    tile: int | None = None


def list_names(path: Path) -> tuple[str, ...]:
    """Return the names of all images, from the tree of the file; see `ImageEntry`."""
    with _open(path) as file:
        return _find_images(file, path).names


def open_file(path: Path, **options: Any) -> InstrumentSource:
    """Open one image of a LIF file; see `open_source`."""
    return open_instrument(path, _open, _find_images, **options)


def _open(path: Path) -> Any:
    with explain_missing(path, kind="a LIF file of Leica"):
        import liffile
    return liffile.LifFile(path)


def _find_images(file: Any, path: Path) -> FileImages:
    images = _list_images(file, path)

    def read(number: int) -> FileImage:
        image, _, tile = images[number]
        frame = image.frames.frame_sizes
        loops = {key: n for key, n in image.sizes.items() if key not in frame}
        array = FrameArray(
            [size for key, size in loops.items() if key != _TILES or tile is None],
            list(frame.values()),
            image.dtype,
            partial(_read_frame, image, tuple(loops), tile),
            origin=str(path),
        )
        labels = [key for key in (*loops, *frame) if key != _TILES or tile is None]
        about = image.xml_element
        return FileImage(array, labels, read_steps(about), read_channels(about))

    return FileImages(name_images(image.name for image in images), read)


def _list_images(file: Any, path: Path) -> list[_Image]:
    # one more than there may be: a file may count tiles without end
    found = list(itertools.islice(_split_tiles(file.images), IMAGES + 1))
    if not found:
        raise SourceError(f"{path} holds no image; export one in the program LAS X")
    if len(found) > IMAGES:
        raise SourceError(
            f"{path} holds more than {IMAGES} images, the most that are read; export "
            "some of them in the program LAS X"
        )
    return found


def _split_tiles(images: Sequence[Any]) -> Iterator[_Image]:
    for image in images:
        # histograms of lifetimes are no images
        if image.is_flim:
            continue
        tiles = image.sizes.get(_TILES, 1)
        if tiles == 1:
            yield _Image(image, image.path)
        else:
            for tile in range(tiles):
                yield _Image(image, f"{image.path}/{tile}", tile)


def _read_frame(
    image: Any, loops: tuple[str, ...], tile: int | None, place: tuple[int, ...]
) -> Array:
    counted = iter(place)
    index = [
        tile if key == _TILES and tile is not None else next(counted) for key in loops
    ]
    return np.asarray(image.frames[tuple(index) if index else 0])


def read_steps(image: Any) -> dict[str, Step]:
    """Return distances by axis, from the XML of an image."""
    steps = {}
    for entry in image.iter("DimensionDescription"):
        axis = _AXES.get(entry.get("DimID", ""))
        count = int(entry.get("NumberOfElements", 0))
        if axis is None or count < 2:
            continue
        # from the first centre to the last
        size = float(entry.get("Length", 0)) / (count - 1)
        target = "second" if axis == "t" else "micrometer"
        size = convert_unit(size, find_unit_name(entry.get("Unit")), target) or 0.0
        # a stack may run downwards
        if is_pixel_size(size):
            steps[axis] = Step(abs(size), unit=target)
    return steps


def read_channels(image: Any) -> list[Channel]:
    """Return names and colours of channels, from the XML of an image."""
    found = []
    for entry in image.iter("ChannelDescription"):
        named = [
            one.findtext("Value", "")
            for one in entry.iter("ChannelProperty")
            if one.findtext("Key") == "DyeName"
        ]
        color = _COLORS.get(entry.get("LUTName", "").lower())
        found.append(Channel(named[0] if named else "", color))
    return found
