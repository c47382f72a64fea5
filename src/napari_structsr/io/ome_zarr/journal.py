"""The journal of a result: which tiles are written, in which files, and their sums.

A line holds the pyramid level and the index of a tile, and of each of its files the
name within the level, the size and the checksum::

    0 12 c/0/3/1:482113:9f3a01bc

Lines are added as tiles are written, so that a kill loses no tile. A power cut may
lose or tear files that are named here, which the sums tell: files, their folders and
the journal are therefore synced now and then, and not for every tile.

Runs that make one result together, part by part, have a journal each. Whoever opens the
whole result takes them into its own.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from napari_structsr.core.part import RunPart
from napari_structsr.io.atomic import replace_whole, sync
from napari_structsr.io.ome_zarr.chunk_files import (
    ChunkFiles,
    FileSum,
    LocalFiles,
    sync_files,
)

JOURNAL = "structsr-journal.txt"
"""Its name in the folder of a result."""

_OF_PART = "structsr-journal.{}.txt"
_LINE = re.compile(r"(\d{1,9}) (\d{1,18})((?: [c\d][\d/]*:\d{1,18}:[0-9a-f]{8})*)")
# a power cut costs the work of this time
_SYNC_EVERY = 5.0  # seconds
_READERS = 4  # threads that compare sums: most disks read several files at once faster

Key = tuple[int, int]
"""Level and index of a tile."""


class FileNotes:
    """What one process of many has written, for the journal that another one keeps.

    Parameters
    ----------
    root
        Folder of the result, which holds a journal.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._noted: dict[Key, tuple[FileSum, ...]] = {}

    @property
    def is_there(self) -> bool:
        """Whether the result is still in its place."""
        return (self._root / JOURNAL).exists()

    def add(self, level: int, index: int, sums: Sequence[FileSum]) -> None:
        """Note a tile whose files are written; from any thread."""
        with self._lock:
            self._noted[level, index] = tuple(sums)

    def take(self) -> dict[Key, tuple[FileSum, ...]]:
        """Return what was noted since the last call, once all of it is on disk."""
        with self._lock:
            noted, self._noted = self._noted, {}
        files = [
            self._root / str(level) / one.name
            for (level, _), sums in noted.items()
            for one in sums
        ]
        sync_files(self._root, files)
        return noted


class Journal:
    """Which tiles of a result are written: a text file in the folder of the result.

    It is created when it is missing. Lines that are torn or no lines of a journal are
    left out: their tiles are computed again.

    Parameters
    ----------
    root
        The folder.
    part
        Keep a journal of one part of the result; tiles that others have noted are
        known as well. Without it theirs are taken over, and their files removed.
    files
        Where the chunks of the result lie, if not in its folder.
    """

    def __init__(
        self,
        root: Path,
        part: RunPart | None = None,
        *,
        files: ChunkFiles | None = None,
    ) -> None:
        self._root = root
        self._files = files or LocalFiles(root)
        self._path = root / (_OF_PART.format(part.label) if part else JOURNAL)
        self._lock = threading.Lock()
        self._unsynced: list[tuple[int, FileSum]] = []
        self._synced = time.monotonic()
        others = [path for path in _find_journals(root) if path != self._path]
        noted = [entry for path in others for entry in _parse(_read(path))]
        text = _read(self._path)
        own = dict(_parse(text))
        self._others = dict(noted) if part else {}
        self._keep(own if part else own | dict(noted), text)
        # only now: whatever ends this, a tile that was noted stays so
        for path in () if part else others:
            path.unlink()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_there(self) -> bool:
        """Whether the file is still in its place, and with it the result."""
        return self._path.exists()

    def finished(self, level: int) -> frozenset[int]:
        """Return the finished tiles of a level."""
        keys = (*self._others, *self._entries)
        return frozenset(index for found, index in keys if found == level)

    def list_tiles(self) -> list[Key]:
        """Return all tiles that it holds, level by level, to be looked at."""
        self._files.look()
        return sorted(self._entries)

    def sums_of(self, key: Key) -> tuple[FileSum, ...]:
        """Return the files of a tile as they were written."""
        return self._entries[key]

    def add(self, level: int, index: int, sums: Sequence[FileSum]) -> None:
        """Note a tile whose files are written; from any thread."""
        noted = {(level, index): tuple(sums)}
        self._write(noted, unsynced=[(level, one) for one in sums])

    def take_over(self, noted: Mapping[Key, tuple[FileSum, ...]]) -> None:
        """Note tiles that another process has written and synced."""
        self._write(noted, unsynced=())

    def sync(self) -> None:
        """Wait until all that is noted is on disk, and the notes after it."""
        with self._lock:
            files, self._unsynced = self._unsynced, []
            self._synced = time.monotonic()
        self._files.sync(files)
        os.fsync(self._file.fileno())

    def check(self, levels: Iterable[int]) -> Iterator[Key]:
        """Yield the tiles of some levels whose files are damaged or gone."""
        chosen = set(levels)
        keys = [key for key in self._entries if key[0] in chosen]
        if keys:
            self._files.look()
        with ThreadPoolExecutor(_READERS) as pool:
            for key, whole in zip(keys, pool.map(self.holds, keys), strict=True):
                if not whole:
                    yield key

    def holds(self, key: Key) -> bool:
        """Tell whether the files of a tile are what was written; from any thread."""
        return self._files.hold(key[0], self._entries[key])

    def find_missing(self) -> Key | None:
        """Return a tile whose files are gone or of another size, None if there is none.

        It is quick: no file is read.
        """
        self._files.look()
        for key, sums in self._entries.items():
            if not self._files.are_there(key[0], sums):
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

    def _write(
        self,
        noted: Mapping[Key, tuple[FileSum, ...]],
        *,
        unsynced: Sequence[tuple[int, FileSum]],
    ) -> None:
        with self._lock:
            self._entries.update(noted)
            self._file.write("".join(_format_line(*entry) for entry in noted.items()))
            # to the system: what a process has handed over outlives it
            self._file.flush()
            self._unsynced += unsynced
            due = time.monotonic() - self._synced > _SYNC_EVERY
        if due:
            self.sync()

    def _keep(self, entries: Mapping[Key, tuple[FileSum, ...]], text: str) -> None:
        """Open the file with these entries; it holds a text now."""
        self._entries = dict(entries)
        wanted = "".join(_format_line(key, sums) for key, sums in entries.items())
        if wanted != text or not self._path.exists():
            with replace_whole(self._path) as part:
                part.write_text(wanted, "ascii")
        self._file = self._path.open("a", encoding="ascii")


def count_files(root: Path) -> int:
    """Return how many files the journals of a result name, without looking at them."""
    return sum(path.read_bytes().count(b":") // 2 for path in _find_journals(root))


def find_noted(root: Path, level: int) -> frozenset[int]:
    """Return the tiles of a level that any journal of a result names."""
    entries = (key for path in _find_journals(root) for key, _ in _parse(_read(path)))
    return frozenset(index for found, index in entries if found == level)


def _find_journals(root: Path) -> list[Path]:
    paths = [root / JOURNAL, *sorted(root.glob(_OF_PART.format("part-*")))]
    return [path for path in paths if path.exists()]


def _read(path: Path) -> str:
    return path.read_text("ascii", "replace") if path.exists() else ""


def _parse(text: str) -> Iterator[tuple[Key, tuple[FileSum, ...]]]:
    for line in text.splitlines(keepends=True):
        # without its end the last line may be the beginning of a longer one
        if line.endswith("\n") and (found := _LINE.fullmatch(line[:-1])):
            sums = (word.split(":") for word in found[3].split())
            yield (
                (int(found[1]), int(found[2])),
                tuple(FileSum(name, int(size), check) for name, size, check in sums),
            )


def _format_line(key: Key, sums: Iterable[FileSum]) -> str:
    words = [f"{one.name}:{one.size}:{one.checksum}" for one in sums]
    return " ".join([*map(str, key), *words]) + "\n"
