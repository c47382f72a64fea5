"""A file or folder at an address, with the few things that readers ask of a path.

fsspec does the talking. What it raises becomes errors of the system with a plain text,
from which credentials are taken out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from napari_structsr.core.names import expand_home
from napari_structsr.errors import SourceError, StructsrError, describe_error
from napari_structsr.io.limits import TEXT_BYTES
from napari_structsr.io.remote.address import (
    Address,
    hide_credentials,
    is_remote,
    split_address,
)

# by the scheme of the address; the extra `remote` brings them
_LIBRARIES = {"s3": "s3fs", "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp"}
# local files have paths, and the others read files that an address or a file names
_REFUSED = ("file", "local", "reference", "dask", "data")
_AT_ONCE = 8  # questions to a server
_MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
# of what tells a version of an object, the first that a server gives
_TAGS = (
    *("ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "Digest"),
    *("LastModified", "last_modified", "Last-Modified", "updated", "mtime"),
    *("modified", "created"),
)

State = tuple[int, str]
"""Bytes of an object, and the tag or time that changes with it."""


@dataclass(frozen=True)
class RemotePlace:
    """A file or folder at an address.

    Parameters
    ----------
    address
        How it is shown and recorded.
    fs
        The file system of fsspec; it asks nobody before it is used.
    path
        What that calls it; credentials may be in it.
    query
        What follows the path of an address of http, such as a signature.
    """

    address: str
    fs: Any = field(repr=False)
    path: str = field(repr=False)
    query: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, name: str) -> RemotePlace:
        address, path = f"{self.address}/{name}", f"{self.path}/{name}"
        return RemotePlace(address, self.fs, path, self.query)

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self.address.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return Path(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return Path(self.name).stem

    @property
    def parents(self) -> list[RemotePlace]:
        """The folders around it, up to the host or bucket."""
        found = []
        address, path = self.address, self.path
        while address.count("/") > 2:
            address, path = address.rpartition("/")[0], path.rpartition("/")[0]
            found.append(RemotePlace(address, self.fs, path, self.query))
        return found

    @property
    def is_listed(self) -> bool:
        """Whether its server says what is there: of http, each has a way of its own."""
        return not self.address.startswith(("http:", "https:"))

    @contextmanager
    def translate(self) -> Iterator[None]:
        """Turn whatever goes wrong into an error of the system, in a few words."""
        try:
            yield
        except (MemoryError, StructsrError):
            raise
        except Exception as error:
            raise_plain(error, self)

    def read_info(self) -> dict[str, Any]:
        """Return what the server says of a file.

        Raises
        ------
        OSError
            If there is none, or the server cannot be asked.
        """
        with self.translate():
            info: dict[str, Any] = self.fs.info(self.path + self.query)
            if info.get("type") == "directory":
                raise IsADirectoryError(errno.EISDIR, "it is a folder", str(self))
            return info

    def read_state(self) -> State:
        """Return size and tag of a file; errors are those of `read_info`."""
        return find_state(self.read_info())

    def is_file(self) -> bool:
        """Tell whether there is a file."""
        try:
            self.read_info()
        except _MISSING:
            return False
        except PermissionError:
            # how some servers say that nothing is there, to who may not list
            return False
        return True

    def read_head(self, size: int) -> bytes:
        """Return the first bytes of a file, of which a server must give parts."""
        with self.translate():
            # of a server that knows no parts this takes no more than was asked for
            file = self.fs.open(self.path + self.query, "rb", cache_type="none")
            with file:
                first = file.read(1)
                try:
                    # from the second byte on, which such a server refuses
                    file.seek(1)
                    return bytes(first + file.read(size - 1))
                except (ValueError, OSError) as error:
                    if not first:
                        return b""
                    raise OSError(
                        errno.ENOTSUP, "the server gives whole files alone", str(self)
                    ) from error

    def read_range(self, start: int, stop: int) -> bytes:
        """Return some bytes of a file; fewer where it ends."""
        with self.translate():
            target = self.path + self.query
            return bytes(self.fs.cat_file(target, start=start, end=stop))

    def read_limited(self, limit: int = TEXT_BYTES) -> bytes:
        """Return the bytes of a file that is read whole.

        Raises
        ------
        OSError
            As in `read_info`, or if it is larger than `limit` bytes.
        """
        size = self.read_info().get("size") or 0
        if size > limit:
            raise OSError(errno.EFBIG, f"it holds more than {limit} bytes", str(self))
        with self.translate():
            return bytes(self.fs.cat_file(self.path + self.query))

    def list_states(self) -> dict[str, State]:
        """Return name, from here on, and state of every file below."""
        with self.translate():
            found = self.fs.find(self.path, detail=True)
        start = len(self.fs._strip_protocol(self.path)) + 1
        return {name[start:]: find_state(info) for name, info in found.items()}

    def write(self, data: bytes) -> None:
        """Write a file whole, in the place of what is there."""
        with self.translate():
            self.fs.pipe_file(self.path, data)

    def remove(self) -> None:
        """Remove a file, or a folder with all it holds, if it is there."""
        with self.translate(), suppress(*_MISSING):
            self.fs.rm(self.path, recursive=True)

    def remove_files(self, names: Sequence[str]) -> None:
        """Remove files by their names from here on."""
        if names:
            with self.translate():
                self.fs.rm([f"{self.path}/{name}" for name in names])


def open_place(text: str) -> RemotePlace:
    """Return the file or folder at an address; nobody is asked yet.

    Raises
    ------
    SourceError
        If it is no address that is read, or what knows its kind is not installed.
    """
    try:
        parts = split_address(text)
    except ValueError:
        parts = None
    shown = hide_credentials(text)
    if parts is None or "::" in parts.full or parts.scheme in _REFUSED:
        raise SourceError(
            f"{shown} is no address that is read; give one such as https://, s3:// or "
            "another of one server that fsspec knows, and a local file by its path"
        )
    with _explain_missing(shown, parts.scheme):
        from fsspec import url_to_fs

        try:
            # what a server had an hour ago is of no use
            fs, path = url_to_fs(parts.full, use_listings_cache=False)
        except ValueError as error:
            raise SourceError(
                f"{shown} cannot be read: nobody here knows {parts.scheme}:// "
                f"({hide_credentials(describe_error(error))}); give an address of "
                "https:// or s3://, or copy the image to a local folder"
            ) from None
    return RemotePlace(parts.shown, fs, path, _find_query(parts))


def find_place(path: str | os.PathLike[str]) -> Path | RemotePlace:
    """Return a local path, absolute, or what is at an address; see `open_place`."""
    text = os.fsdecode(path)
    return open_place(text) if is_remote(text) else expand_home(text).absolute()


def _find_query(parts: Address) -> str:
    # elsewhere it is no part of what is asked for
    return parts.query if parts.scheme in ("http", "https") else ""


@contextmanager
def _explain_missing(shown: str, scheme: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        needed = _LIBRARIES.get(scheme) or error.name or f"that of {scheme}"
        remedy = (
            'run pip install "napari-structsr[remote]"'
            if scheme in _LIBRARIES
            else f"install it ({describe_error(error)})"
        )
        raise SourceError(
            f"{shown} needs the package {needed}, which is not installed; {remedy}"
        ) from None


def find_state(info: dict[str, Any]) -> State:
    """Return size and tag of a file from what a server says of it."""
    found = (info[key] for key in _TAGS if info.get(key))
    # of times some file systems give a text in one place and an object in another
    tags = (one.isoformat() if isinstance(one, datetime) else str(one) for one in found)
    return int(info.get("size") or 0), next(tags, "").strip('"')


def ask_all(
    places: Sequence[RemotePlace], ask: Callable[[RemotePlace], State]
) -> list[State | None]:
    """Ask for several files at once; None of those that are not there."""

    def ask_one(place: RemotePlace) -> State | None:
        try:
            return ask(place)
        except _MISSING:
            return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask_one, places))


def raise_plain(error: Exception, place: RemotePlace) -> NoReturn:
    """Raise an error of the system that says what another one says, and no secret."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):
        # how fsspec says of http that a question was refused, or reached nobody
        refused = type(cause).__module__.startswith("aiohttp")
        if refused and getattr(cause, "status", None) not in (404, 410):
            error = cause
    if isinstance(error, _MISSING):
        kind = next(one for one in _MISSING if isinstance(error, one))
        text = "nothing is there" if kind is FileNotFoundError else "it is a folder"
        raise kind(errno.ENOENT, text, str(place)) from None
    text, name = hide_credentials(describe_error(error)), type(error).__name__
    status = getattr(error, "status", None)
    if status is not None:
        # the text holds the whole address, and the server chooses the rest of it
        text = f"the server answers {status}"
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        text += (
            "; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile, or "
            "FSSPEC_S3_ANON=true for a bucket that is open to all"
        )
    if isinstance(error, PermissionError) or status in (401, 403):
        raise PermissionError(errno.EACCES, text, str(place)) from None
    raise OSError(errno.EIO, text or name, str(place)) from None
