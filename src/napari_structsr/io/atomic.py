"""Files and folders that are whole or not there, whenever the program or power ends.

What is being written lies beside its place under a hidden name, ``.NAME.HEX.part`` for
a file and ``.NAME.HEX.new`` for a folder. It takes its name once it is on disk: a name
that reached the disk before its content would stand for nothing after a power cut.
A folder that is replaced is ``.NAME.HEX.old`` until the new one is in its place, and
one that is being deleted ``.NAME.HEX.gone``. Whoever holds the lock of NAME may sweep
what a killed run has left of these, see `locks`.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOGGER = logging.getLogger(__name__)
_HIDDEN = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.(?P<kind>part|new|old|gone)")


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """Yield the path to write a file to; the file replaces `path` when the block ends.

    A block that raises, or is killed, leaves `path` as it was. Others may read the file
    as far as the umask lets them.
    """
    part = hide(path, "part")
    try:
        part.touch()
        mode = part.stat().st_mode
        yield part
        # safetensors makes files that their owner alone can read.
        part.chmod(mode)
        put_in_place(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def put_in_place(part: Path, path: Path) -> None:
    """Let a file that is written take its name, where it replaces what is there."""
    sync(part)
    part.replace(path)
    sync(path.parent)


def hide(path: Path, kind: str) -> Path:
    """Return a hidden path beside `path`, of the kind part, new, old or gone.

    Renaming replaces a file at once within one file system alone.
    """
    # A name of its own: two programs that write one file do not share it.
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.{kind}")


@contextmanager
def create_beside(path: Path) -> Iterator[Path]:
    """Yield the path to make a folder at, which replaces `path` when the block ends.

    A folder at `path` stays until then.
    """
    new = hide(path, "new")
    try:
        yield new
        for folder, _, files in os.walk(new):
            for name in files:
                sync(Path(folder, name))
            sync(Path(folder))
        # a folder that holds anything cannot be replaced by renaming
        old = hide(path, "old")
        if os.path.lexists(path):
            path.rename(old)
        new.rename(path)
    except BaseException:
        # on Ctrl-C too: nothing half written stays behind
        shutil.rmtree(new, ignore_errors=True)
        raise
    sync(path.parent)
    if os.path.lexists(old):
        remove(old)


def remove_folder(path: Path) -> None:
    """Delete a folder with all it holds; from the first moment on it is not there."""
    # A run that is killed while it deletes leaves no half folder of that name.
    gone = hide(find_target(path) or path, "gone")
    path.rename(gone)
    shutil.rmtree(gone)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    if os.name != "posix" and path.is_dir():
        # only POSIX opens folders
        return
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_beside(path: Path) -> None:
    """Remove what killed runs have left beside `path`; its lock must be held.

    A folder that was moved away and not replaced comes back.
    """
    for entry in list_hidden(path.parent):
        if find_target(entry) != path:
            continue
        try:
            if _parse(entry)[1] == "old" and not os.path.lexists(path):
                entry.rename(path)
            else:
                remove(entry)
        except OSError as error:
            # it costs space alone, and may belong to somebody else
            _LOGGER.warning("%s was left by a killed run: %s", entry, error)


def list_hidden(folder: Path) -> list[Path]:
    """Return what was hidden in a folder by the functions above."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _HIDDEN.fullmatch(entry.name)]
    return [folder / name for name in sorted(names)]


def find_target(hidden: Path) -> Path | None:
    """Return the path in whose place a hidden one was to come; None for others."""
    name, _ = _parse(hidden)
    return None if name is None else hidden.with_name(name)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all it holds."""
    if path.is_dir() and not path.is_symlink():
        remove_folder(path)
    else:
        path.unlink()


def _parse(path: Path) -> tuple[str | None, str | None]:
    """Return name and kind of a hidden path."""
    found = _HIDDEN.fullmatch(path.name)
    return (found["name"], found["kind"]) if found else (None, None)
