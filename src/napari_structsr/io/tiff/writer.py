"""Tiled OME-TIFF as a sink: filled as a temporary store, then written in one go.

TIFF cannot be continued after a kill, a store can. The store lies beside the result
as ``.name.ome.zarr``, hidden, and is deleted once the file is whole.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_structsr.core.axes import ImageSpec
from napari_structsr.core.grid import Tile
from napari_structsr.core.part import RunPart
from napari_structsr.core.record import Record
from napari_structsr.core.types import Array
from napari_structsr.errors import SinkError
from napari_structsr.io.atomic import hide, put_in_place
from napari_structsr.io.locks import check_unlocked, lock_output
from napari_structsr.io.ome_zarr.chunk_store import ChunkStore
from napari_structsr.io.ome_zarr.disk import translate_os_errors
from napari_structsr.io.ome_zarr.writer import OmeZarrSink, OmeZarrWriter
from napari_structsr.io.units import find_unit_symbol

_TILE = 512
_TYPES = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")


class TiffSink:
    """A file that becomes a tiled, compressed BigTIFF with OME metadata and pyramid.

    Parameters
    ----------
    path
        The file, by custom ``name.ome.tif``.
    overwrite
        Whether a file that is in the way is replaced when the result is whole.
    part
        As in `OmeZarrSink`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        part: RunPart | None = None,
    ) -> None:
        self.part = part
        self.path = Path(path).absolute()
        self.overwrite = overwrite
        self._store = OmeZarrSink(
            self.path.with_name(f".{self.path.name}.ome.zarr"),
            overwrite=overwrite,
            result=self.path,
            part=part,
        )

    def unit(self, spec: ImageSpec) -> tuple[int, int]:
        """Return the write unit of the temporary store."""
        return self._store.unit(spec)

    def check(self, spec: ImageSpec) -> None:
        """Refuse what is in the way, or what TIFF cannot hold; see `Sink.check`."""
        check_unlocked(self.path, self.part)
        self._check_free()
        if spec.dtype.name not in _TYPES:
            raise SinkError(
                f"OME-TIFF holds no pixels of type {spec.dtype}; write OME-Zarr "
                "instead, or use --dtype float32"
            )
        # with the levels, and both are compressed
        self._store.check(spec, besides=spec.nbytes * 2 // 3)

    @property
    def whole(self) -> TiffSink:
        """The same place for a run without part."""
        return TiffSink(self.path)

    def count_noted(self) -> int:
        """Return how many tiles runs have finished, of whichever part."""
        return self._store.count_noted()

    @property
    def is_finished(self) -> bool:
        """Whether a finished result is there."""
        return self.path.exists()

    def open(self, spec: ImageSpec, record: Record) -> _TiffWriter:
        """Create or continue the temporary store; see `Sink.open`."""
        with ExitStack() as held, translate_os_errors(self.path):
            begun = held.enter_context(lock_output(self.path, self.part))
            # another run may have finished since the check
            self._check_free()
            store = self._store.open(spec, record)
            if self.part:
                begun.close()
            return _TiffWriter(store, self.path, spec, record, held.pop_all())

    def _check_free(self) -> None:
        if self.path.is_dir():
            raise SinkError(f"{self.path} is a folder; choose the name of a file")
        if self.path.exists() and not self.overwrite:
            raise SinkError(
                f"{self.path} exists already; choose another name, or replace it "
                "with --overwrite"
            )


class _TiffWriter:
    def __init__(
        self,
        store: OmeZarrWriter,
        path: Path,
        spec: ImageSpec,
        record: Record,
        held: ExitStack,
    ) -> None:
        self._store, self._spec, self._record = store, spec, record
        self._path, self._held = path, held
        # the file is written here, and takes its name when it is whole
        self._part = hide(path, "part")
        self.done: Container[int] = store.done
        self.warnings = store.warnings

    @property
    def store(self) -> ChunkStore:
        """The temporary store that tiles are written into."""
        return self._store.store

    def write(self, tile: Tile, pixels: Array) -> None:
        self._store.write(tile, pixels)

    def passes(self) -> Iterator[Sequence[Callable[[], None]]]:
        """Yield the levels of the pyramid, then the writing of the file."""
        yield from self._store.passes()
        yield [self._assemble]

    def finish(self) -> Path:
        """Put the file in its place and delete the store."""
        with translate_os_errors(self._path):
            # what was gone before it was copied was read as zeros
            self._store.check_files()
            # the file appears whole, and the store goes after it
            put_in_place(self._part, self._path)
            self._store.discard()
        return self._path

    def __enter__(self) -> Self:
        self._held.callback(self._part.unlink, missing_ok=True)
        self._held.enter_context(self._store)
        return self

    def __exit__(self, *error: Any) -> None:
        """Close the store; it stays when the run is to be continued."""
        self._held.__exit__(*error)

    def _assemble(self) -> None:
        import tifffile

        levels = self._store.levels
        coloured = "s" in self._spec.axes
        floats = self._spec.dtype.kind == "f"
        options: dict[str, Any] = {
            "tile": (_TILE, _TILE),
            # every reader of TIFF knows it
            "compression": "zlib",
            # of whole numbers the differences compress better
            "predictor": None if floats else 2,
            "photometric": "rgb" if coloured else "minisblack",
        }
        with (
            translate_os_errors(self._path),
            tifffile.TiffWriter(self._part, bigtiff=True, ome=True) as file,
        ):
            for number, array in enumerate(levels):
                shape = list(array.shape)
                if coloured:
                    shape.append(shape.pop(self._store.colour_axis))
                # coarser levels are sub-images of the first page, as OME-TIFF asks
                place: dict[str, Any] = {"subfiletype": 1, "metadata": None}
                if number == 0:
                    entries = make_ome_entries(self._spec, self._record)
                    place = {"subifds": len(levels) - 1, "metadata": entries}
                file.write(
                    self._yield_tiles(number, array.shape, coloured),
                    shape=tuple(shape),
                    dtype=self._spec.dtype,
                    **place,
                    **options,
                )

    def _yield_tiles(
        self, level: int, shape: tuple[int, ...], coloured: bool
    ) -> Iterator[Array]:
        """Yield the tiles of a level, plane by plane, row by row."""
        height, width = shape[-2:]
        where = self._store.colour_axis if coloured else None
        loops = [n for axis, n in enumerate(shape[:-2]) if axis != where]
        for plane in np.ndindex(*loops):
            index: list[Any] = list(plane)
            if where is not None:
                index.insert(where, slice(None))
            for top in range(0, height, _TILE):
                for left in range(0, width, _TILE):
                    span = slice(top, top + _TILE), slice(left, left + _TILE)
                    pixels = self._store.read(level, (*index, *span))
                    yield np.moveaxis(pixels, 0, -1) if coloured else pixels


def make_ome_entries(spec: ImageSpec, record: Record) -> dict[str, Any]:
    """Return the OME metadata of an image, in the words of tifffile.

    The position of a plane is the centre of its first pixel.
    """
    axes = spec.axes
    text = json.dumps(record.to_json())
    entries: dict[str, Any] = {
        "axes": axes.names.upper(),
        "Name": spec.name,
        # not a random one: the same run leaves the same bytes
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, text)),
        "MapAnnotation": {"structsr": text},
    }
    planes: dict[str, list[Any]] = {}
    # tifffile wants an entry for each plane
    count = math.prod(axis.size for axis in axes.loops)
    for name in (name for name in "zyx" if name in axes):
        unit = find_unit_symbol(axes[name].unit)
        entries[f"PhysicalSize{name.upper()}"] = axes[name].scale
        entries[f"PhysicalSize{name.upper()}Unit"] = unit
        if name != "z":
            planes[f"Position{name.upper()}"] = [axes[name].translate] * count
            planes[f"Position{name.upper()}Unit"] = [unit] * count
    if "t" in axes and axes["t"].unit:
        entries["TimeIncrement"] = axes["t"].scale
        entries["TimeIncrementUnit"] = find_unit_symbol(axes["t"].unit)
    entries["Plane"] = planes
    if "c" in axes and spec.channels:
        names = [c.name or f"Channel {n}" for n, c in enumerate(spec.channels)]
        entries["Channel"] = {"Name": names}
        colors = [channel.color for channel in spec.channels if channel.color]
        if len(colors) == len(names):
            # OME packs red, green, blue and alpha in a signed integer
            packed = (bytes.fromhex(f"{color}FF") for color in colors)
            entries["Channel"]["Color"] = [
                int.from_bytes(four, "big", signed=True) for four in packed
            ]
    return entries
