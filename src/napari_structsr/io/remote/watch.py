"""What an image at an address was when it was opened, so that a change is noticed.

A server is asked for the ETag of an object, or for its time and size where it has
none. Where it lists what it has, all chunks are known by one listing. One that lists
nothing, as with http, is asked for some of them, spread over the image.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_structsr.io.fingerprint import (
    METADATA,
    Fingerprint,
    Index,
    State,
    WatchedChunks,
    raise_changed,
    raise_unreadable,
)
from napari_structsr.io.remote.place import RemotePlace, ask_all

# what zarr calls its chunks: c/0/1, 0/1, 0.1 or c.0.1; other objects do not count
_CHUNK = re.compile(r"c([./]\d+)*|\d+([./]\d+)*")
_ASKED = 64
"""Chunks that a server which lists nothing is asked for."""


class WatchedObject:
    """One object that is an image, such as a TIFF; see `Watch`.

    Parameters
    ----------
    place
        Where it is.
    """

    def __init__(self, place: RemotePlace) -> None:
        self._place = place
        self._state = place.read_state()
        self._layout = b""

    def add(self, files: Iterable[Path], *, layout: bytes = b"") -> None:
        """Take in where the pixels lie; other files are none of an object."""
        self._layout += layout

    def fingerprint(self) -> Fingerprint:
        """Return bytes and digest of the object; see `Watch.fingerprint`."""
        size, tag = self._state
        digest = hashlib.sha256(self._layout)
        digest.update(f"0 {size} {tag}\n".encode())
        return {"files": 1, "bytes": size, "sha256": digest.hexdigest()}

    def check_kinds(self, index: Index = ()) -> None:
        """Do nothing: no object is a pipe; see `Watch.check_kinds`."""

    def check(self, index: Index = ()) -> None:
        """Ask for the object again; see `Watch.check`."""
        try:
            found = self._place.read_state()
        except OSError as error:
            raise_changed(self._place, error.strerror or str(error), error)
        if found != self._state:
            raise_changed(self._place, "it was written anew")


class WatchedObjects(WatchedChunks):
    """The chunks of a zarr array at an address.

    Parameters
    ----------
    array
        In a `RemoteStore`.
    """

    def __init__(self, array: Any) -> None:
        place = array.store.place
        self._place: RemotePlace = place / array.path if array.path else place
        self._counts = [
            math.ceil(size / part)
            for size, part in zip(
                array.shape, array.shards or array.chunks, strict=True
            )
        ]
        self._by_size = False
        self._name_chunk = array.metadata.encode_chunk_key
        # no folder of this machine: whatever asks for one is replaced below
        super().__init__(Path(), array.shards or array.chunks, self._name_chunk)

    def check_kinds(self, index: Index) -> None:
        """Do nothing: no object is a pipe; see `Watch.check_kinds`."""

    def check(self, index: Index) -> None:
        """Ask for the chunks of a read; see `Watch.check`."""
        if self._fingerprint is None:
            return
        names = list(self.list_chunks(index))
        if not self._place.is_listed:
            # of the others nothing is known
            names = [name for name in names if self.knows(name)]
        places = [self._place / name for name in names]
        try:
            states = ask_all(places, self._ask)
        except OSError as error:
            raise_changed(error.filename, error.strerror or str(error), error)
        for name, state, place in zip(names, states, places, strict=True):
            self.check_state(name, state, place)

    def _list_states(self) -> Iterator[tuple[str, State]]:
        if self._place.is_listed:
            found = self._place.list_states()
            chunks = sorted(name for name in found if _CHUNK.fullmatch(name))
            # where a listing tells other tags than an answer does, sizes must do
            if chunks and self._ask(self._place / chunks[0]) != found[chunks[0]]:
                self._by_size = True
                found = {name: (size, "") for name, (size, _) in found.items()}
            yield from ((name, found[name]) for name in chunks)
            return
        names = self._choose_names()
        states = ask_all([self._place / name for name in names], self._ask)
        for name, state in zip(names, states, strict=True):
            if state is not None:
                yield name, state

    def _ask(self, place: RemotePlace) -> tuple[int, str]:
        size, tag = place.read_state()
        return size, "" if self._by_size else tag

    def _choose_names(self) -> list[str]:
        """Return the names of some chunks, spread over the array."""
        total = math.prod(self._counts)
        if not total:
            return []
        chosen = np.linspace(0, total - 1, min(total, _ASKED)).round().astype(int)
        places = np.unravel_index(np.unique(chosen), self._counts)
        rows = zip(*places, strict=True) if places else [()]
        return [self._name_chunk(tuple(int(n) for n in row)) for row in rows]

    def _read_metadata(self) -> Iterator[bytes]:
        for folder in (self._place, *self._place.parents):
            found = list(self._read_folder(folder))
            if not found:
                return
            yield from found

    def _read_folder(self, folder: RemotePlace) -> Iterator[bytes]:
        for name in METADATA:
            try:
                yield (folder / name).read_limited()
            except (FileNotFoundError, PermissionError):
                continue
            except OSError as error:
                raise_unreadable(error)
