"""What a file from a stranger may ask for, looked at before memory is taken.

The limits stand in docs/security.md. They lie far beyond what instruments and programs
write, and where one is met a sentence says so.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

TEXT_BYTES = 1 << 26
"""Bytes of a card, recipe, record or other text that is read whole: 64 MiB."""

WEIGHTS_BYTES = 1 << 33
"""Bytes of a file of weights, which is read whole: 8 GiB."""

PIECE_BYTES = 1 << 32
"""Bytes to which one strip, tile or chunk may unpack, whatever its size: 4 GiB."""

FREE_PIECE_BYTES = 1 << 28
"""Bytes to which any strip, tile or chunk may unpack: 256 MiB. Beyond, see below."""

UNPACKED_RATIO = 1500
"""Bytes to which one byte may unpack where a piece is larger than that.

deflate reaches 1032 and LZW 1365, both with an image of zeros: neither is refused.
"""

CACHE_BYTES = 1 << 28
"""Bytes of unpacked strips and tiles that a compressed TIFF keeps: 256 MiB."""

DECODE_SECONDS = 60.0
"""Seconds that a codec which cannot be trusted may take for one strip or tile."""

NAME_LENGTH = 200
"""Letters of the name of an image or a channel; what follows is left out."""

PLANES = 1 << 24
"""Planes of an image, over all times, channels and slices: 16.8 million."""

IMAGES = 1 << 16
"""Images of one file: 65,536."""

OPTION = 4096
"""Largest option of a network on a card, such as its width or its blocks."""

PARAMETERS = 1 << 28
"""Weights of a network that a card describes: 268 million, 1 GiB in float32."""

BATCH = 4096
"""Patches of a step of a training."""

PATCH = 512
"""Measured pixels along the side of a training patch."""

MINUTES = 60.0 * 24 * 28
"""Minutes of a training: four weeks."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, as it is on disk, and nothing else.

    A pipe would keep its reader waiting until somebody writes to it, and a device may
    never end.

    Raises
    ------
    OSError
        If it is missing, closed to the user, or a pipe, socket, device or folder.
    """
    # without waiting: a pipe is opened at once, and looked at before it is read
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    try:
        check_regular(path, os.fstat(handle))
    except OSError:
        os.close(handle)
        raise
    return open(handle, "rb")


def check_regular(path: Path, found: os.stat_result | None = None) -> os.stat_result:
    """Return what the system says of a file.

    Parameters
    ----------
    path
        The file.
    found
        What is known of it already.

    Raises
    ------
    OSError
        As in `open_regular`.
    """
    found = found or path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(found.st_mode):
        kind = "it is a pipe, a socket or a device, and no file"
        raise OSError(errno.EINVAL, kind, str(path))
    return found


def read_limited(path: Path, limit: int | None = None) -> bytes:
    """Return the bytes of a file that is read whole.

    Raises
    ------
    OSError
        As in `open_regular`, or if it holds more than `limit` bytes, by default
        `TEXT_BYTES`.
    """
    limit = TEXT_BYTES if limit is None else limit
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # it may grow while it is read: its size is no promise, and to ask for the limit
        # would take that much memory
        data = file.read(size + 1) if size <= limit else b""
    if max(size, len(data)) > limit:
        raise OSError(errno.EFBIG, f"it holds more than {limit} bytes", str(path))
    return data


def read_text(path: Path) -> str:
    """Return the text of a card, recipe or configuration.

    Raises
    ------
    OSError
        As in `read_limited`.
    UnicodeDecodeError
        If it is no UTF-8.
    """
    text = read_limited(path).decode("utf-8")
    # as in text files of Python, whatever system the file comes from
    return text.replace("\r\n", "\n").replace("\r", "\n")


def find_excess(packed: int, unpacked: int) -> str | None:
    """Say why a strip, tile or chunk is not unpacked; None where it may be.

    Parameters
    ----------
    packed, unpacked
        Its bytes in the file, and those that it asks for.
    """
    if unpacked <= max(FREE_PIECE_BYTES, packed * UNPACKED_RATIO):
        if unpacked <= PIECE_BYTES:
            return None
        return f"{unpacked} bytes in one piece are more than the {PIECE_BYTES} allowed"
    return f"its {packed} bytes ask for {unpacked}, which no image needs"
