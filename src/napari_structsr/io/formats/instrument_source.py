"""Images of files that a library keeps open, as sources.

Readers for instruments differ in what they ask their libraries. What is made of the
answers is the same.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from napari_structsr.core.axes import Channel, ImageSpec
from napari_structsr.io.arrays import ArraySource, check_level, make_spec
from napari_structsr.io.fingerprint import WatchedFiles
from napari_structsr.io.formats.image_list import find_image
from napari_structsr.io.units import Step, make_axes, name_axes, spread_names


class FileImage(NamedTuple):
    """What a library says of one image of a file.

    Parameters
    ----------
    array
        Its pixels, to be sliced.
    labels
        Letter of each dimension; see `name_dimensions`.
    steps
        Distances by axis.
    channels
        Of which some may be unknown.
    close
        Called when reading is over; None closes the file.
    """

    array: Any
    labels: Sequence[str]
    steps: Mapping[str, Step]
    channels: Sequence[Channel]
    close: Callable[[], None] | None = None


class FileImages(NamedTuple):
    """The images of an open file.

    Parameters
    ----------
    names
        Of all of them; see `ImageEntry`.
    read
        Returns the one of a number.
    """

    names: tuple[str, ...]
    read: Callable[[int], FileImage]


class InstrumentSource(ArraySource):
    """An image of a file that a library keeps open.

    Parameters
    ----------
    array, spec, names
        As for `ArraySource`.
    path
        The file.
    watch
        What the file was before it was opened.
    close
        Called when reading is over, by `close` or with the last reference.
    """

    def __init__(
        self,
        array: Any,
        spec: ImageSpec,
        *,
        names: Sequence[str | None],
        path: Path,
        watch: WatchedFiles,
        close: Callable[[], None],
    ) -> None:
        super().__init__(array, spec, names=names, origin=str(path), watch=watch)
        self._close = weakref.finalize(self, close)

    def close(self) -> None:
        """Close the file; reading is over."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_instrument(
    path: Path,
    open_library: Callable[[Path], Any],
    find_images: Callable[[Any, Path], FileImages],
    *,
    axes: str | None,
    level: int,
    series: int | str | None,
    name: str | None,
) -> InstrumentSource:
    """Open one image of a file; see `open_source`.

    Parameters
    ----------
    path
        The file.
    open_library
        Opens it; what it returns has a ``close``.
    find_images
        Returns the images of the open file.
    axes, level, series, name
        As for `open_source`.
    """
    watch = WatchedFiles([path])
    file = open_library(path)
    try:
        images = find_images(file, path)
        number = find_image(images.names, series, origin=str(path))
        check_level(level, 1, origin=str(path))
        image = images.read(number)
        shape = image.array.shape
        given = name_dimensions(image.labels, shape, axes)
        several = len(images.names) > 1
        title = f"{path.stem} {images.names[number]}" if several else path.stem
        source = InstrumentSource(
            image.array,
            make_spec(
                name or title,
                make_axes(given, shape, image.steps),
                image.array.dtype,
                image.channels,
            ),
            names=given,
            path=path,
            watch=watch,
            close=image.close or file.close,
        )
    except BaseException:
        file.close()
        raise
    source.images = images.names
    source.series = number if several and series is not None else None
    return source


def name_dimensions(
    labels: Sequence[str], shape: Sequence[int], axes: str | None
) -> tuple[str | None, ...]:
    """Return the axis of each dimension; those of one entry that count nothing go.

    Parameters
    ----------
    labels
        Letters that the library uses; others than T, C, Z, Y, X and S become the axes
        that are free.
    shape
        Sizes of the dimensions.
    axes
        Names that the user gave.
    """
    if axes is not None:
        return spread_names(axes, shape)
    known = [
        label if label in "YXS" or (size > 1 and label in "TCZ") else None
        for label, size in zip(labels, shape, strict=True)
    ]
    return name_axes(known, shape, squeeze=True)
