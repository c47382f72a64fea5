"""PNG and JPEG pictures, and arrays that numpy has saved.

A picture is unpacked when it is opened, an array is mapped and never in memory as a
whole. Neither says how large a pixel is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from napari_structsr.core.types import Array
from napari_structsr.errors import SourceError
from napari_structsr.io.arrays import ArraySource, check_level, guess_labels, make_spec
from napari_structsr.io.fingerprint import WatchedFiles
from napari_structsr.io.formats.image_list import find_image
from napari_structsr.io.limits import PIECE_BYTES, find_excess, read_limited
from napari_structsr.io.tiff.image_sizes import find_image_pixels
from napari_structsr.io.units import make_axes, name_axes, spread_names

PNG, JPEG, NPY = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x93NUMPY"
"""First bytes of these files."""

# numbers of the compressions in TIFF
_CODES = {PNG: 34933, JPEG: 7}
_GREY_AND_OPACITY = 2


def list_names(path: Path) -> tuple[str, ...]:
    """Return one name: such a file holds one image."""
    return ("0",)


def open_file(
    path: Path,
    *,
    axes: str | None,
    level: int,
    series: int | str | None,
    name: str | None,
) -> ArraySource:
    """Open a picture or an array; see `open_source`."""
    find_image(("0",), series, origin=str(path))
    check_level(level, 1, origin=str(path))
    watch = WatchedFiles([path])
    with open(path, "rb") as file:
        is_array = file.read(len(NPY)) == NPY
    # without pickles: numpy refuses arrays of objects then
    pixels = (
        np.load(path, mmap_mode="r", allow_pickle=False)
        if is_array
        else _read_picture(path)
    )
    labels = guess_labels(pixels.shape, pixels.dtype)
    names = (
        name_axes(labels, pixels.shape, squeeze=True)
        if axes is None
        else spread_names(axes, pixels.shape)
    )
    spec = make_spec(
        name or path.stem, make_axes(names, pixels.shape, {}), pixels.dtype
    )
    return ArraySource(pixels, spec, names=names, origin=str(path), watch=watch)


def _read_picture(path: Path) -> Array:
    data = read_limited(path, PIECE_BYTES)
    kind = PNG if data.startswith(PNG) else JPEG
    count = find_image_pixels(_CODES[kind], data)
    # four samples of two bytes at most; before the codec takes memory
    excess = "it does not say how large it is"
    if count is not None:
        excess = find_excess(len(data), 8 * count) or ""
    if excess:
        raise SourceError(f"{path} is not read: {excess}; write it again as TIFF")
    decode: Any = imagecodecs.png_decode if kind == PNG else imagecodecs.jpeg8_decode
    pixels: Array = decode(data)
    # grey values beside an opacity are the image
    if pixels.ndim > 2 and pixels.shape[-1] == _GREY_AND_OPACITY:
        pixels = pixels[..., 0]
    return pixels
