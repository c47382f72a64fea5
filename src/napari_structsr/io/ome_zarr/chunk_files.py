"""The files of a result, and telling whether they are still what was written.

They lie in the folder of the result, or at an address, see `remote.remote_sink`.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import google_crc32c
import zarr

from napari_structsr.core.types import Array
from napari_structsr.io.atomic import sync
from napari_structsr.io.ome_zarr.chunk_packing import (
    ChunkPacker,
    Place,
    list_chunks,
    put_file,
)

_SYNCS = 8  # files that are synced at once


# ten million of them are kept in a large run
@dataclass(frozen=True, slots=True)
class FileSum:
    """A file as it was written.

    Parameters
    ----------
    name
        Path from the folder of the level.
    size
        In bytes.
    checksum
        CRC-32C, or another sum of that length, as eight digits.
    """

    name: str
    size: int
    checksum: str

    @classmethod
    def of(cls, folder: Path, name: str) -> FileSum:
        """Return the sum of a file as it is now."""
        return cls.of_data((folder / name).read_bytes(), name)

    @classmethod
    def of_data(cls, data: bytes, name: str) -> FileSum:
        """Return the sum of a file that holds these bytes."""
        return cls(name, len(data), f"{google_crc32c.value(data):08x}")

    def is_there(self, folder: Path) -> bool:
        """Tell whether there is a file of that name and size."""
        try:
            found = (folder / self.name).stat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == self.size

    def holds(self, folder: Path) -> bool:
        """Tell whether the file is still what was written."""
        # a file that has grown is not read
        return self.is_there(folder) and FileSum.of(folder, self.name) == self


class ChunkFiles(Protocol):
    """Where the chunks of a result lie; every call may come from any thread."""

    def open_array(self, level: int) -> Any:
        """Return the array of a level, to be read and written."""

    def write(
        self, array: Any, level: int, place: Place, pixels: Array
    ) -> tuple[FileSum, ...]:
        """Write pixels of the array of a level; return the sums of its files."""

    def look(self) -> None:
        """Look at what is there: `are_there` and `hold` answer by it."""

    def are_there(self, level: int, sums: Sequence[FileSum]) -> bool:
        """Tell whether there are files of these names and sizes; quick."""

    def hold(self, level: int, sums: Sequence[FileSum]) -> bool:
        """Tell whether files are still what was written."""

    def sync(self, written: Sequence[tuple[int, FileSum]]) -> None:
        """Wait until files, by level, are where no power cut takes them away."""

    def remove(self, level: int, names: Iterable[str]) -> None:
        """Remove files of a result that was deleted while they were written."""


class LocalFiles:
    """The files in the folder of a result; see `ChunkFiles`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._packers: dict[int, ChunkPacker | None] = {}

    def open_array(self, level: int) -> Any:
        """Return the array of a level."""
        with zarr.config.set({"array.write_empty_chunks": True}):
            array = zarr.open_array(self._root / str(level), mode="r+")
        self._packers[level] = ChunkPacker.of(array)
        return array

    def write(
        self, array: Any, level: int, place: Place, pixels: Array
    ) -> tuple[FileSum, ...]:
        """Write pixels of the array of a level; return the sums of its files."""
        folder, names = self._root / str(level), list_chunks(array, place)
        packer = self._packers[level]
        if packer is None or not packer.fits(place):
            array[place] = pixels
            return sum_files(folder, names)
        sums = []
        for name, data in zip(names, packer.pack(place, pixels), strict=True):
            put_file(folder / name, data)
            sums.append(FileSum.of_data(data, name))
        return tuple(sums)

    def look(self) -> None:
        """Do nothing: each file is looked at when it is asked for."""

    def are_there(self, level: int, sums: Sequence[FileSum]) -> bool:
        """Tell whether there are files of these names and sizes."""
        return all(one.is_there(self._root / str(level)) for one in sums)

    def hold(self, level: int, sums: Sequence[FileSum]) -> bool:
        """Tell whether files are still what was written."""
        return hold_sums(self._root / str(level), sums)

    def sync(self, written: Sequence[tuple[int, FileSum]]) -> None:
        """Wait until files are on disk, and their names as well."""
        files = [self._root / str(level) / one.name for level, one in written]
        sync_files(self._root, files)

    def remove(self, level: int, names: Iterable[str]) -> None:
        """Remove files, and the folders that hold no others."""
        for file in (self._root / str(level) / name for name in names):
            with suppress(OSError):
                file.unlink(missing_ok=True)
                for folder in file.parents:
                    # as far as the root, and no folder that holds anything
                    folder.rmdir()
                    if folder == self._root:
                        break


def sum_files(folder: Path, names: Iterable[str]) -> tuple[FileSum, ...]:
    """Return the sums of files as they are now."""
    return tuple(FileSum.of(folder, name) for name in names)


def hold_sums(folder: Path, sums: Sequence[FileSum]) -> bool:
    """Tell whether the files of a tile are what was written."""
    # journals before sums were kept name no files
    return bool(sums) and all(one.holds(folder) for one in sums)


def sync_files(root: Path, files: Sequence[Path]) -> None:
    """Wait until files below a folder are on disk, and their names as well."""
    # a new file is on disk once its folder is, and that once the one above is
    folders = {root}
    for file in files:
        folder = file.parent
        while folder not in folders:
            folders.add(folder)
            folder = folder.parent
    # many at once share a turn of the disk: one after another takes 20 times as long
    with ThreadPoolExecutor(_SYNCS) as pool:
        for paths in (files, folders):
            # raises what one of them has raised
            for _ in pool.map(sync, paths):
                pass
