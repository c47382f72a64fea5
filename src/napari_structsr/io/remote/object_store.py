"""Zarr stores at an address: to be read, and to be filled chunk by chunk."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Self

from zarr.abc.store import (
    ByteRequest,
    RangeByteRequest,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, WrapperStore

from napari_structsr.io.remote.place import RemotePlace, State
from napari_structsr.io.remote.watch import WatchedObjects

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
"""Files that say what a group or an array is."""

_TRIES = 3  # of a read whose connection breaks
_PAUSE = 0.5  # seconds, doubled each time


class RemoteStore(WrapperStore[FsspecStore]):
    """A zarr store at an address.

    Parameters
    ----------
    place
        Its folder.
    read_only
        Whether nothing can be written.
    """

    def __init__(
        self,
        place: RemotePlace,
        *,
        read_only: bool = True,
        store: FsspecStore | None = None,
    ) -> None:
        super().__init__(store or _open_store(place, read_only=read_only))
        self.place = place

    def _with_store(self, store: FsspecStore) -> Self:
        return type(self)(self.place, store=store)

    def watch(self, array: Any) -> WatchedObjects:
        """Return what notices that an array of this store changes."""
        return WatchedObjects(array)

    async def get(
        self,
        key: str,
        prototype: BufferPrototype,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return an object or a part of it; None where there is none."""
        place = self.place / key
        pause = _PAUSE
        for left in reversed(range(_TRIES)):
            try:
                with place.translate():
                    found = await self._get_once(key, prototype, byte_range)
                return _cut(found, byte_range, prototype)
            except PermissionError:
                # how some servers say that nothing is there, to who may not list
                if key.rpartition("/")[2] in METADATA:
                    return None
                raise
            except OSError:
                if not left:
                    raise
            await asyncio.sleep(pause)
            pause *= 2
        return None

    async def _get_once(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None
    ) -> Buffer | None:
        return await self._store.get(key, prototype, byte_range)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Return parts of several objects."""
        asked = [self.get(key, prototype, part) for key, part in key_ranges]
        return list(await asyncio.gather(*asked))

    async def exists(self, key: str) -> bool:
        """Tell whether there is an object."""
        with (self.place / key).translate():
            return await self._store.exists(key)

    async def set(self, key: str, value: Buffer) -> None:
        """Write an object whole."""
        with (self.place / key).translate():
            await self._store.set(key, value)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield what lies in a folder."""
        with (self.place / prefix).translate():
            async for name in self._store.list_dir(prefix):
                yield name


class ChunkUploads(RemoteStore):
    """A store whose metadata lie in a local folder, and whose chunks at an address.

    Parameters
    ----------
    place
        Where the chunks go.
    folder
        Where the metadata are.
    """

    def __init__(
        self, place: RemotePlace, folder: Path, *, store: FsspecStore | None = None
    ) -> None:
        super().__init__(place, read_only=False, store=store)
        self._folder = folder
        self.written: dict[str, State] = {}
        """Size and MD5 of each chunk that was written, until it is taken."""

    def _with_store(self, store: FsspecStore) -> Self:
        return type(self)(self.place, self._folder, store=store)

    async def _get_once(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None
    ) -> Buffer | None:
        if key.rpartition("/")[2] not in METADATA:
            return await super()._get_once(key, prototype, byte_range)
        file = self._folder / key
        if not file.is_file():
            return None
        return prototype.buffer.from_bytes(file.read_bytes())

    async def set(self, key: str, value: Buffer) -> None:
        """Write a chunk, and note it once it is there."""
        data = value.to_bytes()
        await super().set(key, value)
        self.written[key] = len(data), hash_object(data)


def hash_object(data: bytes) -> str:
    """Return the MD5 of an object, as S3 gives it: it finds damage, not forgery."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _open_store(place: RemotePlace, *, read_only: bool) -> FsspecStore:
    # zarr has an event loop of its own, and a file system belongs to one
    options: dict[str, Any] = {"use_listings_cache": False}
    address = place.fs.unstrip_protocol(place.path)
    return FsspecStore.from_url(address, storage_options=options, read_only=read_only)


def _cut(
    found: Buffer | None, part: ByteRequest | None, prototype: BufferPrototype
) -> Buffer | None:
    """Return the part that was asked for, where a server has sent the whole object."""
    if found is None or part is None:
        return found
    data = found.to_bytes()
    match part:
        case RangeByteRequest(start, end) if len(data) > end - start:
            data = data[start:end]
        case SuffixByteRequest(suffix) if len(data) > suffix:
            data = data[-suffix:]
        case _:
            return found
    return prototype.buffer.from_bytes(data)
