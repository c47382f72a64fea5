"""What an image on disk was when it was opened, so that a change is noticed.

A result is made over hours, and over several starts. If the image changes meanwhile,
tiles of two images would stand side by side, and nothing would show it. So the size and
the time of every file are kept: their digest stands in the record of a run, and every
read is followed by a look at the files it came from.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np

from napari_structsr.errors import SourceError
from napari_structsr.io.limits import check_regular

Index = tuple[int | slice, ...]
Fingerprint = dict[str, Any]
State = tuple[int, int | str]
"""Size of a file, and its time or what else changes with it."""

# what zarr calls its chunks: c/0/1, 0/1, 0.1 or c.0.1; other files do not count
_CHUNK_FOLDER = re.compile(r"c|\d+")
_CHUNK_FILE = re.compile(r"c|(c\.)?\d+(\.\d+)*")
METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
"""Files that say what an array or a group is."""


class Watch(Protocol):
    """The files that an image lies in."""

    def fingerprint(self) -> Fingerprint:
        """Return what tells these files from others, as plain values."""
        ...

    def check_kinds(self, index: Index) -> None:
        """Refuse to read what would never end, such as a pipe in the place of a file.

        Raises
        ------
        SourceError
            If there is one.
        """
        ...

    def check(self, index: Index) -> None:
        """Refuse what was read if its files are not as they were.

        Raises
        ------
        SourceError
            If one of them was changed, replaced or deleted.
        """
        ...


class WatchedFiles:
    """Whole files, such as TIFF.

    Parameters
    ----------
    files
        All that are known, as they are now.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._found: dict[Path, tuple[int, int]] = {}
        self._layout = b""
        self.add(files)

    def add(self, files: Iterable[Path], *, layout: bytes = b"") -> None:
        """Take in more files, as they are now.

        `layout` is anything else that tells the image, such as where its pixels lie.
        """
        for file in files:
            if file not in self._found:
                self._found[file] = _describe(check_regular(file))
        self._layout += layout

    def fingerprint(self) -> Fingerprint:
        """Return number, bytes and digest of the files; see `Watch.fingerprint`."""
        digest = hashlib.sha256(self._layout)
        total = 0
        for number, (size, changed) in enumerate(self._found.values()):
            digest.update(f"{number} {size} {changed}\n".encode())
            total += size
        return {
            "files": len(self._found),
            "bytes": total,
            "sha256": digest.hexdigest(),
        }

    def check_kinds(self, index: Index = ()) -> None:
        """Do nothing: they were looked at; see `Watch.check_kinds`."""

    def check(self, index: Index = ()) -> None:
        """Look at all files; see `Watch.check`."""
        for file in self._found:
            self.check_file(file)

    def check_file(self, file: Path) -> None:
        """Look at one file; see `Watch.check`."""
        try:
            found = _describe(check_regular(file))
        except OSError as error:
            raise_changed(file, error.strerror or str(error), error)
        if found != self._found[file]:
            raise_changed(file, _compare(self._found[file], found))


class WatchedChunks:
    """The chunks of a zarr array in a folder.

    Parameters
    ----------
    folder
        That of the array.
    shape
        Pixels of a file along each dimension: those of a shard, or else of a chunk.
    encode
        Returns the name of a chunk from its place.
    """

    def __init__(self, folder: Path, shape: Sequence[int], encode: Any) -> None:
        self._folder = folder
        self._shape = tuple(shape)
        self._encode = encode
        self._fingerprint: Fingerprint | None = None
        # hashes of name, size and time, and of the name alone; sorted, since Python
        # would need ten times the memory for as many entries of a set
        self._states, self._names = array("q"), array("q")

    def fingerprint(self) -> Fingerprint:
        """Walk over all chunks, once; see `Watch.fingerprint`.

        From then on `check` looks at what is read.
        """
        if self._fingerprint is None:
            digest = hashlib.sha256()
            for text in self._read_metadata():
                digest.update(text)
            states, names, total = array("q"), array("q"), 0
            try:
                for name, (size, changed) in self._list_states():
                    digest.update(f"{name} {size} {changed}\n".encode())
                    states.append(hash((name, size, changed)))
                    names.append(hash(name))
                    total += size
            except OSError as error:
                raise_unreadable(error)
            for entries in (states, names):
                np.asarray(entries).sort()
            self._states, self._names = states, names
            self._fingerprint = {
                "files": len(names),
                "bytes": total,
                "sha256": digest.hexdigest(),
            }
        return self._fingerprint

    def check_kinds(self, index: Index) -> None:
        """Look at the chunks that will be read; see `Watch.check_kinds`."""
        # those that were walked over are files
        if self._fingerprint is not None:
            return
        for name in self.list_chunks(index):
            try:
                check_regular(self._folder / name)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise_unreadable(error)

    def list_chunks(self, index: Index) -> Iterator[str]:
        """Yield the names of the chunks of a part of the array."""
        spans = (
            range(part // size, part // size + 1)
            if isinstance(part, int)
            else range(part.start // size, -(-part.stop // size))
            for part, size in zip(index, self._shape, strict=True)
        )
        return (self._encode(place) for place in product(*spans))

    def check(self, index: Index) -> None:
        """Look at the chunks of a read; see `Watch.check`."""
        if self._fingerprint is None:
            return
        for name in self.list_chunks(index):
            path = self._folder / name
            try:
                state = _describe(check_regular(path))
            except FileNotFoundError:
                state = None
            except OSError as error:
                raise_changed(path, error.strerror or str(error), error)
            self.check_state(name, state, path)

    def check_state(self, name: str, state: State | None, where: Any) -> None:
        """Refuse a chunk that is not as it was; see `Watch.check`.

        Parameters
        ----------
        name
            Of the chunk.
        state
            What it is now; None where it is not there.
        where
            What it is called in messages.
        """
        if state is None:
            # a chunk of nothing but one value need not be there
            if self.knows(name):
                raise_changed(where, "it was deleted")
        elif not _holds(self._states, hash((name, *state))):
            raise_changed(where, "it was written anew")

    def knows(self, name: str) -> bool:
        """Tell whether a chunk was there when all were walked over."""
        return _holds(self._names, hash(name))

    def _list_states(self) -> Iterator[tuple[str, State]]:
        """Yield name and state of all chunks, in a fixed order."""
        return _walk(self._folder, len(self._shape))

    def _read_metadata(self) -> Iterator[bytes]:
        """Yield the metadata of the array and of the groups around it."""
        for folder in (self._folder, *self._folder.parents):
            files = [folder / name for name in METADATA]
            found = [file.read_bytes() for file in files if file.is_file()]
            if not found:
                return
            yield from found


def watch_array(pixels: Any) -> Watch | None:
    """Return what watches the files of an array; None where it has none of its own."""
    if type(pixels).__module__.partition(".")[0] == "zarr":
        from zarr.storage import LocalStore

        # a store at an address knows how to look there
        watch = getattr(pixels.store, "watch", None)
        if watch is not None:
            found: Watch = watch(pixels)
            return found
        encode = pixels.metadata.encode_chunk_key
        if not isinstance(pixels.store, LocalStore):
            return None
        folder = (Path(pixels.store.root) / pixels.path).absolute()
        return WatchedChunks(folder, pixels.shards or pixels.chunks, encode)
    # a part of a mapped file is an array whose base is mapped
    base = pixels
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.filename is not None:
            return WatchedFiles([Path(base.filename)])
        base = base.base
    return None


def hash_pixels(pixels: np.ndarray) -> Fingerprint:
    """Return a digest of all pixels of an array in memory."""
    digest = hashlib.sha256()
    # plane by plane: a part of a larger array is copied to be read in order
    for place in np.ndindex(pixels.shape[:-2]):
        digest.update(np.ascontiguousarray(pixels[place]).view(np.uint8).data)
    return {"sha256": digest.hexdigest()}


def raise_changed(file: Any, how: str, error: OSError | None = None) -> NoReturn:
    """Raise SourceError for a file that changed while it was read."""
    raise SourceError(
        f"{file} has changed since the image was opened: {how}. Nothing of the new "
        "image was taken; once nobody writes to it any more, open it again, and start "
        "a result on disk anew with --overwrite"
    ) from error


def raise_unreadable(error: OSError) -> NoReturn:
    """Raise SourceError for a file that the system does not let be read."""
    raise SourceError(
        f"{error.filename} cannot be read ({error.strerror}); copy the image again "
        "from where it came from"
    ) from error


def _walk(folder: Path, depth: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield names, from `folder` on, and states of all chunks, in a fixed order."""
    # a chunk lies as many folders deep as the array has dimensions, and c around them
    waiting = [("", str(folder), depth + 1)]
    while waiting:
        above, path, left = waiting.pop()
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            name = entry.name
            state = entry.stat() if _CHUNK_FILE.fullmatch(name) else None
            if state is None:
                continue
            if not stat.S_ISDIR(state.st_mode):
                yield above + name, _describe(check_regular(Path(entry.path), state))
            elif left and _CHUNK_FOLDER.fullmatch(name):
                waiting.append((f"{above}{name}/", entry.path, left - 1))


def _describe(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _compare(then: tuple[int, int], now: tuple[int, int]) -> str:
    if then[0] != now[0]:
        return f"it had {then[0]} bytes and has {now[0]}"
    return "it was written anew"


def _holds(entries: Sequence[int], wanted: int) -> bool:
    """Tell whether a sorted sequence holds a value."""
    place = bisect_left(entries, wanted)
    return place < len(entries) and entries[place] == wanted
