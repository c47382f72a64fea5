"""TIFF files as sources: plain, ImageJ, OME, tiled, compressed, pyramidal, big.

Uncompressed contiguous pixels are mapped for each read and let go again; everything
else goes through tifffile's zarr store, strip by strip or tile by tile, of which a few
are kept, so that memory stays flat.
"""

from __future__ import annotations

import contextlib
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import tifffile

from napari_structsr.core.types import Array
from napari_structsr.errors import StructsrError, describe_error
from napari_structsr.io.arrays import ArraySource, check_level, make_spec
from napari_structsr.io.formats.image_list import find_image, name_images
from napari_structsr.io.remote.place import RemotePlace
from napari_structsr.io.tiff.decoding import open_compressed
from napari_structsr.io.tiff.integrity import (
    PageFacts,
    check_chain,
    check_directories,
    check_ome,
    check_pixels,
    raise_damaged,
)
from napari_structsr.io.tiff.metadata import read_tiff_metadata
from napari_structsr.io.tiff.tiff_file import RangedArray, open_tiff, watch_tiff
from napari_structsr.io.units import make_axes, name_axes, scale_axes, spread_names

_OME_ENDING = re.compile(r"\.ome\.(tiff?|tf8|btf|zarr)\Z", re.IGNORECASE)
# photometric: white is zero, black is zero, palette
_GREY = (0, 1, 3)


class TiffSource(ArraySource):
    """An image of a TIFF file.

    Axes are those of tifffile. Axes that it cannot tell apart become z, then t; samples
    of a pixel are the colour axis s if the file says that they are colours, else c.

    Parameters
    ----------
    path
        The file, or what lies at an address.
    axes, level, series, name
        As in `open_source`, and so are errors; by default the image is called as the
        file, without its ending, and as its series where there are several.
    """

    def __init__(
        self,
        path: Path | RemotePlace,
        *,
        axes: str | None = None,
        level: int = 0,
        series: int | str | None = None,
        name: str | None = None,
    ) -> None:
        path = path if isinstance(path, RemotePlace) else Path(path).absolute()
        origin = str(path)
        # before it is opened: what is written from now on is a change
        watch = watch_tiff(path)
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open_tiff(path))
                found = _list_series(file, path)
                names = name_images(each.name for each in found)
                number = find_image(names, series, origin=origin)
                image = found[number]
                check_directories(file, origin=origin)
                check_level(level, len(image.levels), origin=origin)
                chosen = image.levels[level]
                # the chosen one last, since pages are looked at in this order
                for each in sorted(image.levels, key=lambda one: one is chosen):
                    pages = check_pixels(file, each, origin=origin)
                watch.add(pages.files, layout=pages.layout)
                array, close = _open_pixels(path, chosen, pages)
                steps, channels = read_tiff_metadata(file, image, origin=origin)
            except (StructsrError, OSError, MemoryError):
                raise
            except Exception as error:
                # bytes that make no sense let tifffile raise nearly anything
                reason = f"it cannot be read as TIFF ({describe_error(error)})"
                raise_damaged(origin, reason, error)
            labels = _name_dimensions(image, axes)
            full = make_axes(labels, image.shape, steps)
            shape = [n for n, axis in zip(chosen.shape, labels, strict=True) if axis]
            ending = _OME_ENDING.search(path.name)
            title = path.name[: ending.start()] if ending else path.stem
            if series is not None and len(names) > 1:
                title = f"{title} {names[number]}"
            spec = make_spec(
                name or title, scale_axes(full, shape), chosen.dtype, channels
            )
            super().__init__(array, spec, names=labels, origin=origin, watch=watch)
            self.steps, self.images = steps, names
            self.levels = len(image.levels)
            self.series = None if series is None else number
            if close is None:
                return
            # zarr reads on from the open file, until close() or the last reference
            stack.callback(close)
            self._close = weakref.finalize(self, stack.pop_all().close)

    def close(self) -> None:
        """Close the file; reading is over."""
        # mapped pixels hold no file open
        if finalizer := getattr(self, "_close", None):
            finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def list_names(path: Path | RemotePlace) -> tuple[str, ...]:
    """Return the names of all images of a TIFF file; see `ImageEntry`.

    Raises
    ------
    SourceError
        If it is damaged.
    """
    with open_tiff(path) as file:
        return name_images(each.name for each in _list_series(file, path))


def _list_series(
    file: tifffile.TiffFile, path: Path | RemotePlace
) -> list[tifffile.TiffPageSeries]:
    """Return the images of a file, the first and those that are none of a thumbnail."""
    check_ome(file, path)
    check_chain(file, path)
    found = file.series
    if not found:
        raise_damaged(str(path), "it holds no image")
    # the thumbnail of an LSM says that it is a smaller copy
    return [found[0], *(each for each in found[1:] if not each.keyframe.is_reduced)]


class _MappedArray:
    """An array that lies uncompressed in a file; maps it for the time of a read."""

    def __init__(self, series: tifffile.TiffPageSeries, offset: int) -> None:
        file = series.keyframe.parent
        self.path = Path(file.filehandle.path)
        self.offset = offset
        self.shape = series.shape
        self.dtype = series.dtype.newbyteorder(file.byteorder)

    def __getitem__(self, index: tuple[int | slice, ...]) -> Array:
        # mapped anew for each read: pages read would stay with a map that is kept
        whole = np.memmap(
            self.path, self.dtype, mode="r", offset=self.offset, shape=self.shape
        )
        return np.array(whole[index])


def _open_pixels(
    path: Path | RemotePlace, series: tifffile.TiffPageSeries, pages: PageFacts
) -> tuple[Any, Callable[[], None] | None]:
    """Return the pixels, and what to call when reading is over."""
    offset, final = series.dataoffset, series.transform is None
    # uncompressed and in one piece: mapped, and never decoded
    if offset is not None and final and not series.is_multifile:
        if isinstance(path, RemotePlace):
            return RangedArray(series, offset, path), None
        return _MappedArray(series, offset), None
    return open_compressed(series, pages.keyframes)


def _name_dimensions(
    series: tifffile.TiffPageSeries, axes: str | None
) -> tuple[str | None, ...]:
    shape = series.shape
    labels = [letter if letter in "TCZYXS" else None for letter in series.axes]
    if "S" in labels and "C" not in labels and series.keyframe.photometric in _GREY:
        # samples of a grey image are no colours but channels
        labels[labels.index("S")] = "C"
    if axes is None:
        return name_axes(labels, shape, squeeze=True)
    return spread_names(axes, shape)
