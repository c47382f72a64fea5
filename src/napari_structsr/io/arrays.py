"""Any sliceable array as a source.

This module owns how an array's dimensions become (samples, rows, columns), and which
pixels can be upscaled at all. It opens no files; TIFF, zarr and layers build on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from napari_structsr.core.axes import Axes, Channel, ImageSpec, check_plane
from napari_structsr.core.intensity import check_dtype
from napari_structsr.core.types import Array
from napari_structsr.errors import AxesError, SettingsError, SourceError
from napari_structsr.io.fingerprint import (
    Fingerprint,
    Index,
    Watch,
    hash_pixels,
    watch_array,
)
from napari_structsr.io.limits import NAME_LENGTH, PLANES
from napari_structsr.io.units import make_axes, name_axes

# pixels along y and x to read at once where nothing is chunked
_UNCHUNKED = 1024


class PartReader(Protocol):
    """Reads parts of an array."""

    def read(self, index: Index, check: Callable[[Index], None]) -> Array | None:
        """Return a part; None where indexing does as well.

        `check` refuses what changed, and is called of all that is read from files.
        """
        ...

    def keep(self) -> None:
        """Keep what is unpacked from now on."""
        ...


class ArraySource:
    """A numpy, dask, zarr or similar array.

    Parameters
    ----------
    array
        Has ``shape``, ``dtype`` and basic indexing; a dask array is computed for
        each read, in the reading thread.
    spec
        What the image is; its axes follow the order of `names`.
    names
        Axis name of each dimension of `array`; None where only index 0 is read.
    origin
        Where the pixels come from.
    chunks
        Rows and columns stored together; taken from the array when left out, at most
        1024 where it has none.
    watch
        What notices that its files change; found from the array when left out.
    """

    levels = 1
    """Resolutions of the image; what else than 1 is set by those who know more."""

    depths: Mapping[str, int] = MappingProxyType({})
    """Planes along each axis that are stored together, where there are several."""

    parts: PartReader | None = None
    """Reads parts of the array where that is quicker than indexing."""

    def __init__(
        self,
        array: Any,
        spec: ImageSpec,
        *,
        names: Sequence[str | None],
        origin: str,
        chunks: tuple[int, int] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch or watch_array(array)
        self.options: Mapping[str, Any] = {}
        self.images: tuple[str, ...] = ()
        self.series: int | None = None
        self._array = array
        self._names = tuple(names)
        self.spec = spec
        self.origin = origin
        self.chunks = chunks or _find_chunks(array, self._names)

    @property
    def names(self) -> tuple[str | None, ...]:
        """Axis name of each dimension of the array; None where there is one entry."""
        return self._names

    def fingerprint(self) -> Fingerprint | None:
        """Return what tells these pixels from others; see `Source`."""
        if self._watch is not None:
            return self._watch.fingerprint()
        return hash_pixels(self._array) if isinstance(self._array, np.ndarray) else None

    def keep_chunks(self) -> None:
        """Keep chunks that are read, for the next tile; see `Source`."""
        if self.parts is not None:
            self.parts.keep()

    def read(self, plane: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """Read a rectangle of one plane; see `Source.read`."""
        # a dimension without a name holds one entry
        where: dict[str | None, int | slice] = {
            None: 0,
            "s": slice(None),
            "y": rows,
            "x": columns,
        }
        loops = [axis.name for axis in self.spec.axes.loops]
        where.update(zip(loops, plane, strict=True))
        index = tuple(where[name] for name in self._names)
        # the colours of a pixel are read whole
        files = tuple(
            slice(0, size) if part == slice(None) else part
            for part, size in zip(index, self._array.shape, strict=True)
        )
        if self._watch is not None:
            self._watch.check_kinds(files)
        try:
            block = self.parts and self.parts.read(files, self._check_unchanged)
            if block is None:
                block = self._array[index]
                if hasattr(block, "compute"):
                    # in this thread: tiles are read in several threads already
                    block = block.compute(scheduler="synchronous")
                # after reading: what changes from here on is not in the block
                self._check_unchanged(files)
            block = np.asarray(block)
        except MemoryError:
            # no damage: a run may go on with smaller blocks
            raise
        except Exception as error:
            # what was written anew meanwhile is no damage of the image
            if not isinstance(error, FileNotFoundError):
                self._check_unchanged(files)
            indices = (f"{axis}={n}" for axis, n in zip(loops, plane, strict=True))
            place = f"plane {', '.join(indices)}".strip()
            raise SourceError(
                f"{place} of {self.origin} cannot be read: "
                f"{error or type(error).__name__}; check the image in another program, "
                "or copy it again from where it came from"
            ) from error
        order = [name for name in self._names if name in ("s", "y", "x")]
        if "s" not in order:
            block, order = block[np.newaxis], ["s", *order]
        block = block.transpose([order.index(name) for name in "syx"])
        return np.array(block, dtype=self.spec.dtype, order="C")

    def _check_unchanged(self, index: Index) -> None:
        if self._watch is not None:
            self._watch.check(index)


def open_array(
    array: Any, *, axes: str | None, level: int, name: str | None
) -> ArraySource:
    """Open a numpy, dask or similar array; see `open_source`."""
    origin = f"{type(array).__module__.partition('.')[0]} array"
    check_level(level, 1, origin=origin)
    shape = tuple(int(size) for size in array.shape)
    labels = guess_labels(shape, array.dtype)
    names = name_axes(labels, shape, squeeze=True, given=axes)
    spec = make_spec(name or "image", make_axes(names, shape, {}), array.dtype)
    return ArraySource(array, spec, names=names, origin=origin)


def guess_labels(shape: Sequence[int], dtype: np.dtype[Any]) -> list[str | None]:
    """Label an array that has no labels: 3 or 4 bytes or words at the end are s."""
    labels: list[str | None] = [None] * len(shape)
    # as RGB(A) images are stored; floats of that shape are rarely colours
    if len(shape) > 2 and shape[-1] in (3, 4) and dtype in ("uint8", "uint16"):
        labels[-1] = "s"
    return labels


def make_spec(
    name: str, axes: Axes, dtype: Any, channels: Sequence[Channel] = ()
) -> ImageSpec:
    """Return the spec of an image that can be upscaled.

    Channels are kept when there is one for each index along c, or a single one where
    there is no axis c.

    Raises
    ------
    PixelError
        If the pixels are not real numbers, or a plane has a side of one pixel.
    AxesError
        If there are more planes than any instrument takes.
    """
    dtype = np.dtype(dtype)
    check_dtype(dtype)
    check_plane(axes)
    planes = math.prod(axis.size for axis in axes.loops)
    if planes > PLANES:
        raise AxesError(
            f"{name[:NAME_LENGTH]} says that it has {planes} planes, and up to "
            f"{PLANES} are read; write the image again, or a part of it"
        )
    count = axes["c"].size if "c" in axes else 1
    kept = tuple(channels) if len(channels) == count else ()
    kept = tuple(replace(one, name=one.name[:NAME_LENGTH]) for one in kept)
    # channels that say nothing are as good as none
    if all(channel == Channel() for channel in kept):
        kept = ()
    # a file may have the other byte order; results have the machine's
    return ImageSpec(name[:NAME_LENGTH], axes, dtype.newbyteorder("="), kept)


def check_level(level: int, count: int, *, origin: str) -> None:
    """Raise SettingsError unless `level` is one of `count` levels."""
    if not 0 <= level < count:
        there = "only level 0" if count == 1 else f"the levels 0 to {count - 1}"
        raise SettingsError(
            f"{origin} has {there}, not {level}; choose one that is there"
        )


def _find_chunks(array: Any, names: Sequence[str | None]) -> tuple[int, int]:
    # dask lists every chunk along an axis in `chunks`, the largest in `chunksize`
    sizes = getattr(array, "chunksize", None) or getattr(array, "chunks", None)
    if sizes is None:
        sizes = [min(size, _UNCHUNKED) for size in array.shape]
    row, column = (
        min(int(np.max(sizes[axis])), int(array.shape[axis]))
        for axis in (names.index("y"), names.index("x"))
    )
    return row, column
