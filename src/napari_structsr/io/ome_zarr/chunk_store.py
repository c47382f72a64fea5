"""A pyramid of chunked zarr arrays that is filled tile by tile and can be resumed.

Where its chunks lie is the `layout`; which tiles are there stands in the `journal`;
what the group says about itself as an image is written by `writer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_structsr.core.grid import Tile, TileGrid
from napari_structsr.core.intensity import to_dtype
from napari_structsr.core.part import RunPart
from napari_structsr.core.types import Array
from napari_structsr.errors import SinkError
from napari_structsr.io.atomic import remove
from napari_structsr.io.ome_zarr.chunk_files import ChunkFiles, FileSum, LocalFiles
from napari_structsr.io.ome_zarr.chunk_packing import list_chunks
from napari_structsr.io.ome_zarr.journal import Journal, Key
from napari_structsr.io.ome_zarr.kept_chunks import ChunkReader
from napari_structsr.io.ome_zarr.layout import Layout, make_write_grid


def halve(pixels: Array) -> Array:
    """Halve the last two axes by the mean of 2 x 2 finite pixels.

    An odd last row or column stands for itself.
    """
    rows, columns = pixels.shape[-2:]
    edges = [(0, 0)] * (pixels.ndim - 2) + [(0, rows % 2), (0, columns % 2)]
    even = np.pad(pixels, edges, mode="edge") if rows % 2 or columns % 2 else pixels
    if pixels.dtype.kind != "f":
        # sums of four 16-bit numbers are exact in float32
        exact = np.dtype(np.float32 if pixels.dtype.itemsize <= 2 else np.float64)
        return to_dtype(_add_corners(even, exact) / 4, pixels.dtype)
    exact = np.dtype(np.float64)
    # infinities of both signs, and four holes, are a hole
    with np.errstate(invalid="ignore"):
        total = _add_corners(even, exact)
        if np.isfinite(total).all():
            return to_dtype(total / 4, pixels.dtype)
        finite = np.isfinite(even)
        total = _add_corners(np.where(finite, even, 0), exact)
        return to_dtype(total / _add_corners(finite, exact), pixels.dtype)


def _add_corners(pixels: Array, dtype: np.dtype) -> npt.NDArray[np.floating[Any]]:
    # rows first, since they lie one after the other
    rows = np.add(pixels[..., ::2, :], pixels[..., 1::2, :], dtype=dtype)
    sums: npt.NDArray[np.floating[Any]] = rows[..., ::2] + rows[..., 1::2]
    return sums


class Notes(Protocol):
    """Where tiles that are written are noted."""

    @property
    def is_there(self) -> bool:
        """Whether the result is still in its place."""

    def add(self, level: int, index: int, sums: Sequence[FileSum]) -> None:
        """Note a tile whose files are written; from any thread."""


class ChunkArrays:
    """The open arrays of one result, in the folder of its group.

    Several processes may write into one result, as long as no tile is given to two.

    Parameters
    ----------
    root, layout
        The folder, and how the image lies in it.
    notes
        Where tiles that are written are noted.
    files
        Where the chunks lie, if not in the folder.
    """

    def __init__(
        self,
        root: Path,
        layout: Layout,
        notes: Notes,
        *,
        files: ChunkFiles | None = None,
    ) -> None:
        self.root = root
        self.layout = layout
        self._notes = notes
        self._files = files or LocalFiles(root)
        self.arrays: list[Any] = [
            self._files.open_array(number) for number in range(len(layout.levels))
        ]
        names = layout.axes.names
        self._readers = [
            ChunkReader(
                array,
                array,
                None if files else root / str(number),
                (names.index("y"), names.index("x")),
            )
            for number, array in enumerate(self.arrays)
        ]

    def grid_of(self, level: int) -> TileGrid:
        """Return the tiles that write a coarser level."""
        axes = self.layout.levels[level]
        return make_write_grid(axes, self.layout.unit_of(axes))

    def write(self, tile: Tile, pixels: Array) -> None:
        """Write one tile of the finest level; shape (samples, rows, columns)."""
        place = [slice(index, index + 1) for index in tile.plane]
        if len(place) + 2 < len(self.layout.axes.items):
            # colour samples lie along c, which no plane counts
            place.insert(self.layout.axes.names.index("c"), slice(0, len(pixels)))
        self._write_pixels(0, tile.index, (*place, *tile.write), pixels)

    def coarsen(self, level: int, index: int) -> None:
        """Make one tile of a level from the level below, which must be complete."""
        grid = self.grid_of(level)
        tile = grid[index]
        plane = [slice(index, index + 1) for index in tile.plane]
        size = (part.stop - part.start for part in (*plane, *tile.write))
        pixels = np.empty(tuple(size), self.layout.dtype)
        # chunk by chunk: of a whole shard four times the pixels would be in memory
        for part in grid.split(tile, self.layout.chunk):
            finer = [slice(2 * span.start, 2 * span.stop) for span in part.write]
            place = (..., *part.relative_to(tile).write)
            pixels[place] = halve(self.read(level - 1, (*plane, *finer)))
        self._write_pixels(level, tile.index, (*plane, *tile.write), pixels)

    def check_there(self) -> None:
        """Raise SinkError if the folder is not there any more."""
        if not self._notes.is_there:
            raise SinkError(
                f"{self.root} has been deleted or moved while it was being written; "
                "start the same command again"
            )

    def read(self, level: int, place: tuple[Any, ...]) -> Array:
        """Read back pixels of a level, by numbers and slices.

        Raises
        ------
        SinkError
            If they are damaged; what is missing reads as zeros.
        """
        try:
            # nothing is kept, and so nothing is to be checked: it is being written
            found = self._readers[level].read(place, lambda _: None)
            return np.asarray(self.arrays[level][place]) if found is None else found
        # of the codecs: a sum that differs, bytes that do not unpack
        except (ValueError, RuntimeError) as error:
            raise SinkError(self._describe_damage(level)) from error

    def _describe_damage(self, level: int) -> str:
        return (
            f"a part of {self.root / str(level)} has been damaged or deleted since it "
            "was written; start the same command again, which computes it again"
        )

    def _write_pixels(
        self, level: int, index: int, place: tuple[slice, ...], pixels: Array
    ) -> None:
        array = self.arrays[level]
        # zarr makes folders that are missing, and would leave a part of a result
        self.check_there()
        pixels = pixels.reshape([part.stop - part.start for part in place])
        sums = self._files.write(array, level, place, pixels)
        try:
            self.check_there()
            self._notes.add(level, index, sums)
        except (SinkError, FileNotFoundError):
            # what was deleted while this was written does not come back in parts
            if not self._notes.is_there:
                self._files.remove(level, list_chunks(array, place))
            self.check_there()
            raise


class ChunkStore(ChunkArrays):
    """The arrays of one result, and the journal of what is written of them.

    Tiles that an earlier run has noted are looked at: what is damaged or gone is not
    in the journal any more.

    Parameters
    ----------
    root, layout
        As in `ChunkArrays`.
    part
        Which part of the result this run makes, beside others; None makes the whole.
    files
        As in `ChunkArrays`.
    """

    def __init__(
        self,
        root: Path,
        layout: Layout,
        part: RunPart | None = None,
        *,
        files: ChunkFiles | None = None,
    ) -> None:
        if part is None:
            # zarr and we write a file beside its place and rename it: a kill leaves
            # these; where others write beside us, they may be theirs
            for torn in [*root.rglob("*.partial"), *root.rglob(".*.part")]:
                remove(torn)
        self.journal = Journal(root, part, files=files)
        super().__init__(root, layout, self.journal, files=files)
        # whether others have looked at all that was written
        self.checked = False
        self._drop_damaged()

    def rounds(self) -> Iterator[tuple[int, list[int]]]:
        """Yield each coarser level, and its tiles that are still to be made.

        A level is asked for once the finer one is complete.
        """
        for level in range(1, len(self.arrays)):
            done = self.journal.finished(level)
            wanted = range(len(self.grid_of(level)))
            yield level, [index for index in wanted if index not in done]

    def passes(self) -> Iterator[Sequence[Callable[[], None]]]:
        """Yield the work of each coarser level, then a look at all that was written."""
        for level, left in self.rounds():
            yield [partial(self.coarsen, level, index) for index in left]
        self.journal.sync()
        if not self.checked:
            tiles = self.journal.list_tiles()
            yield [partial(self.check_tile, key) for key in tiles]

    def check_files(self) -> None:
        """Raise SinkError if something that was written is gone, or cut short."""
        self.check_there()
        if key := self.journal.find_missing():
            raise SinkError(self._describe_damage(key[0]))

    def _drop_damaged(self) -> None:
        for level in range(len(self.arrays)):
            damaged = list(self.journal.check([level]))
            if damaged:
                # coarser levels were made from it, maybe since it was damaged
                coarser = range(level + 1, len(self.arrays))
                above = [
                    (number, index)
                    for number in coarser
                    for index in self.journal.finished(number)
                ]
                self.journal.drop([*damaged, *above])

    def check_tile(self, key: Key) -> None:
        """Raise SinkError if a tile is not what was written."""
        if not self.journal.holds(key):
            self.check_there()
            raise SinkError(self._describe_damage(key[0]))
