"""Which tiles are safely on disk: an append-only text file inside the result.

A line holds the pyramid level and the index of a tile. It is written after the
pixels have reached the disk, so that after a power cut everything in the journal is
there; what is not in it is computed again.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Self

__all__ = ["Journal"]


class Journal:
    """Finished tiles of one result.

    Parameters
    ----------
    path
        The file; created when missing. A torn last line is dropped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text("ascii") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, "ascii")
        self._done: set[tuple[int, int]] = set()
        for line in whole.splitlines():
            level, index = line.split()
            self._done.add((int(level), int(index)))
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="ascii")

    def __len__(self) -> int:
        return len(self._done)

    def finished(self, level: int) -> frozenset[int]:
        """Return the finished tiles of a level."""
        return frozenset(index for found, index in self._done if found == level)

    def add(self, level: int, index: int) -> None:
        """Note a tile whose pixels are on disk."""
        with self._lock:
            self._file.write(f"{level} {index}\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._done.add((level, index))

    def remove(self) -> None:
        """Close and delete the file: everything is finished."""
        self.close()
        self._path.unlink()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
