"""What a job does to files, event by event, seen from within its process.

Python tells an audit hook of each file that is opened, renamed or removed before it
happens; `os.fsync` is wrapped. So a fault is planted at exactly the n-th event. Native
code that opens files by itself is not seen; random kills hit it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# which arguments are paths, and the folder handles these are relative to
_PATHS: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.rename": ((0, 2), (1, 3)),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.mkdir": ((0, 2),),
    "os.link": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
}


class FileEvents:
    """Watches the files of one folder in this process, until it ends.

    Parameters
    ----------
    folder
        What lies elsewhere is left alone.
    before
        Called before each event with its number, its name and its paths; may raise
        OSError, which the job then meets, or end the process.
    notes
        File to which `power_loss` reads what was synchronised and renamed; its
        neighbour ``shadow`` keeps what was removed. None notes nothing.
    """

    def __init__(
        self,
        folder: Path,
        before: Callable[[int, str, list[str]], None],
        *,
        notes: Path | None = None,
    ) -> None:
        self._folder = str(folder)
        self._before = before
        self._count = 0
        self._kept = 0
        self._busy = threading.local()
        self._lock = threading.Lock()
        self._notes = None
        if notes is not None:
            self._shadow = notes.parent / "shadow"
            self._notes = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._sync = os.fsync
        os.fsync = self._fsync
        if hasattr(os, "fdatasync"):
            os.fdatasync = self._fsync
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if getattr(self._busy, "now", False):
            return
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITES:
                return
            paths = [self._resolve(path, None)]
        elif event in _PATHS:
            paths = [
                self._resolve(
                    arguments[index],
                    arguments[handle]
                    if handle is not None and handle < len(arguments)
                    else None,
                )
                for index, handle in _PATHS[event]
            ]
        else:
            return
        self._tell(event, paths)

    def _fsync(self, handle: Any) -> None:
        number = handle if isinstance(handle, int) else handle.fileno()
        path = self._resolve(number, None)
        self._tell("os.fsync", [path])
        self._sync(number)
        if self._notes is not None and self._holds(path):
            found = os.fstat(number)
            self._note("sync", str(found.st_ino), str(found.st_size), path)

    def _tell(self, event: str, paths: list[str]) -> None:
        paths = [path for path in paths if path]
        if not any(self._holds(path) for path in paths):
            return
        self._busy.now = True
        try:
            with self._lock:
                number = self._count
                self._count += 1
                if self._notes is not None:
                    self._keep(event, paths)
                self._before(number, event, paths)
        finally:
            self._busy.now = False

    def _keep(self, event: str, paths: list[str]) -> None:
        """Note a change of names, with what it does away with."""
        gone = paths[-1]
        kept = ""
        if event in ("os.rename", "os.remove") and os.path.isfile(gone):  # noqa: PTH113
            kept = str(self._shadow / str(self._kept))
            self._kept += 1
            os.link(gone, kept)
        if event == "os.rename":
            self._note("rename", paths[0], gone, kept)
        elif event == "os.remove" and kept:
            self._note("remove", gone, kept)
        elif event == "os.mkdir" and not os.path.lexists(gone):
            self._note("mkdir", gone)
        elif event == "os.rmdir":
            self._note("rmdir", gone)
        elif event == "open" and not os.path.lexists(gone):
            self._note("create", gone)

    def _note(self, *words: str) -> None:
        assert self._notes is not None
        os.write(self._notes, ("\t".join(words) + "\n").encode())

    def _holds(self, path: str) -> bool:
        return path == self._folder or path.startswith(self._folder + os.sep)

    @staticmethod
    def _resolve(path: Any, handle: Any) -> str:
        try:
            if isinstance(path, int):
                return os.readlink(f"/proc/self/fd/{path}")  # noqa: PTH115
            name = os.fsdecode(path)
            if isinstance(handle, int) and handle >= 0 and name[:1] != os.sep:
                name = f"{os.readlink(f'/proc/self/fd/{handle}')}/{name}"  # noqa: PTH115
            return os.path.abspath(name)  # noqa: PTH100
        except (OSError, TypeError, ValueError):
            return ""
