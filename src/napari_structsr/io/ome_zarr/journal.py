"""The journal of a result: which tiles are written, in which files, and their sums.

A line holds the pyramid level and the index of a tile, and of each of its files the
name within the level, the size and the checksum::

    0 12 c/0/3/1:482113:9f3a01bc

Lines are added as tiles are written, so that a kill loses no tile. A power cut may
lose or tear files that are named here, which the sums tell: files, their folders and
the journal are therefore synced now and then, and not for every tile.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from napari_structsr.io.atomic import replace_whole, sync

JOURNAL = "structsr-journal.txt"
"""Its name in the folder of a result."""

_LINE = re.compile(r"(\d{1,9}) (\d{1,18})((?: [c\d][\d/]*:\d{1,18}:[0-9a-f]{8})*)")
# a power cut costs the work of this time
_SYNC_EVERY = 5.0  # seconds
_READERS = 4  # threads that compare sums: most disks read several files at once faster

Key = tuple[int, int]
"""Level and index of a tile."""


@dataclass(frozen=True)
class FileSum:
    """A file as it was written.

    Parameters
    ----------
    name
        Path from the folder of the level.
    size
        In bytes.
    checksum
        CRC-32C as eight digits.
    """

    name: str
    size: int
    checksum: str

    @classmethod
    def of(cls, folder: Path, name: str) -> FileSum:
        """Return the sum of a file as it is now."""
        data = (folder / name).read_bytes()
        return cls(name, len(data), f"{google_crc32c.value(data):08x}")

    def is_there(self, folder: Path) -> bool:
        """Tell whether there is a file of that name and size."""
        file = folder / self.name
        return file.is_file() and file.stat().st_size == self.size

    def holds(self, folder: Path) -> bool:
        """Tell whether the file is still what was written."""
        # a file that has grown is not read
        return self.is_there(folder) and FileSum.of(folder, self.name) == self


class Journal:
    """Which tiles of a result are written: a text file in the folder of the result.

    It is created when it is missing. Lines that are torn or no lines of a journal are
    left out: their tiles are computed again.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / JOURNAL
        self._entries: dict[Key, tuple[FileSum, ...]] = {}
        text = self._path.read_text("ascii", "replace") if self._path.exists() else ""
        for line in text.splitlines(keepends=True):
            # without its end the last line may be the beginning of a longer one
            if line.endswith("\n") and (found := _LINE.fullmatch(line[:-1])):
                sums = (word.split(":") for word in found[3].split())
                self._entries[int(found[1]), int(found[2])] = tuple(
                    FileSum(name, int(size), checksum) for name, size, checksum in sums
                )
        self._lock = threading.Lock()
        self._unsynced: list[Path] = []
        self._synced = time.monotonic()
        self._keep(self._entries, text)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_there(self) -> bool:
        """Whether the file is still in its place, and with it the result."""
        return self._path.exists()

    def finished(self, level: int) -> frozenset[int]:
        """Return the finished tiles of a level."""
        return frozenset(index for found, index in self._entries if found == level)

    def add(self, level: int, index: int, names: Iterable[str]) -> None:
        """Note a tile whose files are written; from any thread."""
        folder = self._root / str(level)
        sums = tuple(FileSum.of(folder, name) for name in names)
        with self._lock:
            self._entries[level, index] = sums
            self._file.write(_format_line((level, index), sums))
            # to the system: what a process has handed over outlives it
            self._file.flush()
            self._unsynced += [folder / one.name for one in sums]
            due = time.monotonic() - self._synced > _SYNC_EVERY
        if due:
            self.sync()

    def sync(self) -> None:
        """Wait until all that is noted is on disk, and the notes after it."""
        with self._lock:
            files, self._unsynced = self._unsynced, []
            self._synced = time.monotonic()
        # a new file is on disk once its folder is, and that once the one above is
        folders = {
            above for file in files for above in file.relative_to(self._root).parents
        }
        for path in [
            *files,
            *(self._root / folder for folder in sorted(folders)[::-1]),
        ]:
            sync(path)
        os.fsync(self._file.fileno())

    def check(self, levels: Iterable[int]) -> Iterator[Key]:
        """Yield the tiles of some levels whose files are damaged or gone."""
        chosen = set(levels)
        keys = [key for key in self._entries if key[0] in chosen]
        with ThreadPoolExecutor(_READERS) as pool:
            for key, whole in zip(keys, pool.map(self.holds, keys), strict=True):
                if not whole:
                    yield key

    def holds(self, key: Key) -> bool:
        """Tell whether the files of a tile are what was written; from any thread."""
        folder = self._root / str(key[0])
        sums = self._entries[key]
        # journals before sums were kept name no files
        return bool(sums) and all(one.holds(folder) for one in sums)

    def find_missing(self) -> Key | None:
        """Return a tile whose files are gone or of another size, None if there is none.

        It is quick: no file is read.
        """
        for key, sums in self._entries.items():
            folder = self._root / str(key[0])
            if not all(one.is_there(folder) for one in sums):
                return key
        return None

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget tiles: they are computed again."""
        gone = set(keys)
        if gone:
            self._file.close()
            left = {k: sums for k, sums in self._entries.items() if k not in gone}
            self._keep(left, text="")

    def remove(self) -> None:
        """Close and delete the file: everything is finished."""
        self.close()
        self._path.unlink()
        sync(self._root)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def _keep(self, entries: Mapping[Key, tuple[FileSum, ...]], text: str) -> None:
        """Open the file with these entries; it holds a text now."""
        self._entries = dict(entries)
        wanted = "".join(_format_line(key, sums) for key, sums in entries.items())
        if wanted != text or not self._path.exists():
            with replace_whole(self._path) as part:
                part.write_text(wanted, "ascii")
        self._file = self._path.open("a", encoding="ascii")


def count_files(root: Path) -> int:
    """Return how many files the journal of a result names, without looking at them."""
    path = root / JOURNAL
    return path.read_bytes().count(b":") // 2 if path.exists() else 0


def _format_line(key: Key, sums: Iterable[FileSum]) -> str:
    words = [f"{one.name}:{one.size}:{one.checksum}" for one in sums]
    return " ".join([*map(str, key), *words]) + "\n"
