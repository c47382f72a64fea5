"""What an address is, and how it is shown: without password, signature and query.

An address may carry what opens a door. It is used to open the image, and nothing else:
records, messages, names and locks have what `hide_credentials` leaves.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from napari_structsr.errors import SinkError

# two letters at least: "C:/scan.tif" is a drive of Windows
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/|[a-zA-Z0-9+.-]+::")
# pathlib makes one slash of two
_PARTS = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]+):/{1,2}(?P<host>[^/?#]*)(?P<path>[^?#]*)(?P<query>.*)",
    re.DOTALL,
)
_INSIDE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/{1,2}[^\s'\"<>]+")


class Address(NamedTuple):
    """An address in parts.

    Parameters
    ----------
    scheme
        In small letters, such as "s3".
    user
        Name and password before the host, or nothing.
    host
        Host and port, or bucket.
    path
        What follows, with its first slash, and without the last.
    query
        With its question mark, or nothing.
    """

    scheme: str
    user: str
    host: str
    path: str
    query: str

    @property
    def full(self) -> str:
        """The address with all that opens it, but for the query."""
        user = f"{self.user}@" if self.user else ""
        return f"{self.scheme}://{user}{self.host}{self.path}"

    @property
    def shown(self) -> str:
        """The address for records and messages."""
        return f"{self.scheme}://{self.host}{self.path}"


def is_remote(text: object) -> bool:
    """Tell an address from a local path; both are text, and other objects are none."""
    return isinstance(text, str) and _URL.match(text) is not None


def is_stored(origin: str) -> bool:
    """Tell the place of an image from the word for a kind of object in memory."""
    return is_remote(origin) or Path(origin).is_absolute()


def split_address(text: str) -> Address:
    """Return the parts of an address.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = _PARTS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is no address")
    # a password may hold an @ itself
    user, _, host = found["host"].rpartition("@")
    query = found["query"].partition("#")[0]
    path = found["path"].rstrip("/")
    return Address(found["scheme"].lower(), user, host, path, query)


def hide_credentials(text: str) -> str:
    """Return a text whose addresses have no user, password and query any more.

    Local paths stay as they are.
    """
    return _INSIDE.sub(_hide, text)


def check_local(path: str | os.PathLike[str], what: str) -> None:
    """Refuse an address where a local folder is needed.

    Parameters
    ----------
    path
        Where something is to be written.
    what
        What that is, in the plural.

    Raises
    ------
    SinkError
        If it is an address.
    """
    text = os.fsdecode(path)
    if is_remote(text):
        raise SinkError(
            f"{hide_credentials(text)} is a remote address, and {what} are written to "
            "local folders alone; give one, and copy it there"
        )


def _hide(found: re.Match[str]) -> str:
    parts = split_address(found.group())
    # the last slash of a text is kept, since nothing is hidden by leaving it out
    ending = "/" if found.group().endswith("/") and not parts.query else ""
    return parts.shown + ending
