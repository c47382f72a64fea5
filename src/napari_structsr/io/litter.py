"""What killed runs have left in a folder, to be named and removed.

The next run that writes to the same place sweeps most of it. What stays belongs to
places to which nobody writes any more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_structsr.errors import SourceError
from napari_structsr.io.atomic import find_target, list_hidden, remove
from napari_structsr.io.locks import is_lock, is_locked
from napari_structsr.io.ome_zarr.journal import JOURNAL
from napari_structsr.io.ome_zarr.metadata import is_zarr
from napari_structsr.io.records import read_zarr_record
from napari_structsr.io.remote.local_state import find_states, read_address

_STORE = re.compile(r"\.(?P<name>.+\.tiff?)\.ome\.zarr", re.IGNORECASE)
# as earlier versions wrote: of TIFF files, and of files that are replaced whole
_PART = re.compile(r"\..+\.tiff?\.part|.+\.(safetensors|json|csv|zip)\.part")
_SCORES = "scores-journal.jsonl"


@dataclass(frozen=True)
class Litter:
    """Something that a run has left.

    Parameters
    ----------
    path
        File or folder.
    what
        What it is, in words.
    nbytes
        Its size.
    old
        The path from which a folder was moved and not replaced; it comes back.
    """

    path: Path
    what: str
    nbytes: int
    old: Path | None = None

    def remove(self) -> None:
        """Remove it, or bring it back to where it was."""
        # what is gone by now has been cleaned by somebody else
        with suppress(FileNotFoundError):
            if self.old is not None:
                self.path.rename(self.old)
            else:
                remove(self.path)


def find_litter(folder: Path) -> list[Litter]:
    """Return what killed runs have left in a folder and in those below it.

    What a run that is alive writes to is left out.
    """
    return sorted(_find(folder), key=lambda one: one.path)


def find_remote_litter() -> list[Litter]:
    """Return what this machine notes of unfinished results at addresses.

    Chunks that are at the address stay there: another run may have begun there.
    """
    states = find_states()
    if not states.is_dir():
        return []
    found = find_litter(states)
    for path in sorted(states.iterdir()):
        if is_zarr(path) and not is_locked(path):
            what = f"notes of an unfinished result at {read_address(path)}, to go on"
            found.append(_weigh(path, f"{what}; what lies there stays"))
    return found


def _find(folder: Path) -> Iterator[Litter]:
    if is_zarr(folder):
        # its folders are chunks; only the journal can be too much
        journal = folder / JOURNAL
        if journal.is_file() and _is_finished(folder) and not is_locked(folder):
            yield _weigh(journal, "the journal of a finished result")
        return
    for hidden in list_hidden(folder):
        target = find_target(hidden)
        if target is None or is_locked(target) or is_locked(folder):
            continue
        if hidden.suffix == ".old" and not os.path.lexists(target):
            what = f"{target.name}, moved away and not replaced: it is moved back"
            yield _weigh(hidden, what, old=target)
        else:
            yield _weigh(hidden, f"an unfinished write of {target.name}")
    with os.scandir(folder) as entries:
        paths = sorted(Path(entry.path) for entry in entries if not entry.is_symlink())
    for path in paths:
        if is_lock(path):
            yield from _find_lock(path)
        elif path.is_dir() and (found := _STORE.fullmatch(path.name)):
            if not is_locked(path.with_name(found["name"])):
                what = f"the unfinished store of {found['name']}, to go on from"
                yield _weigh(path, what)
        elif path.is_file() and _PART.fullmatch(path.name):
            yield _weigh(path, "an unfinished write of an earlier version")
        elif path.name == _SCORES and (folder / "inspection.json").exists():
            if not is_locked(folder):
                yield _weigh(path, "the journal of scores that are written")
        elif path.is_dir() and find_target(path) is None:
            # a folder that may not be read, or is gone, holds nothing to be removed
            with suppress(PermissionError, FileNotFoundError):
                yield from _find(path)


def _find_lock(path: Path) -> Iterator[Litter]:
    # .NAME.lock beside NAME, or a lock in the folder itself
    name = path.name.removeprefix(".").removesuffix(".lock")
    if not (is_locked(path.parent) or is_locked(path.with_name(name))):
        yield _weigh(path, "the lock of a run that was killed")


def _is_finished(store: Path) -> bool:
    try:
        return read_zarr_record(store)[0] == "finished"
    except SourceError:
        return False


def _weigh(path: Path, what: str, *, old: Path | None = None) -> Litter:
    nbytes = 0
    for file in [path] if path.is_file() else path.rglob("*"):
        # it may be on its way out
        with suppress(FileNotFoundError):
            nbytes += file.stat().st_size if file.is_file() else 0
    return Litter(path, what, nbytes, old)
