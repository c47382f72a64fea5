"""Decoding in a process of its own, which may die of what it is given.

Some codecs end the program for a damaged byte, or never come to an end. What is given
to them is tried here first; a process is started once for each file, where needed.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import threading

from napari_structsr.io.limits import DECODE_SECONDS

# reads lengths and bytes from a pipe, and answers with the length and text of an error
_PROGRAM = """
import struct, sys
import imagecodecs
decode = getattr(imagecodecs, sys.argv[1])
source, answers = sys.stdin.buffer, sys.stdout.buffer
while head := source.read(8):
    data = source.read(*struct.unpack("<Q", head))
    try:
        decode(data)
        text = b""
    except Exception as error:
        text = str(error).encode()[:500] or b"it is damaged"
    answers.write(struct.pack("<Q", len(text)) + text)
    answers.flush()
"""


class CodecTrial:
    """Tries one codec of imagecodecs on the strips or tiles of a file."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def find_fault(self, codec: str, data: bytes) -> str | None:
        """Return why data cannot be decoded, None if it can.

        Parameters
        ----------
        codec
            Name of a function of imagecodecs; the same one in each call.
        data
            What it would be given.
        """
        with self._lock:
            process = self._process = self._process or _start(codec)
            try:
                fault = _ask(process, data)
            except (OSError, EOFError):
                fault = "its decoder broke down over it"
                self._stop()
            return fault

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _start(codec: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _PROGRAM, codec],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )


def _ask(process: subprocess.Popen[bytes], data: bytes) -> str | None:
    assert process.stdin is not None
    # a process that hangs is ended, which ends the reading of its answer
    timer = threading.Timer(DECODE_SECONDS, process.kill)
    timer.start()
    try:
        process.stdin.write(struct.pack("<Q", len(data)) + data)
        process.stdin.flush()
        (length,) = struct.unpack("<Q", _read(process, 8))
        return _read(process, length).decode(errors="replace") or None
    finally:
        timer.cancel()


def _read(process: subprocess.Popen[bytes], count: int) -> bytes:
    assert process.stdout is not None
    found = b""
    while len(found) < count:
        part = process.stdout.read(count - len(found))
        if not part:
            raise EOFError
        found += part
    return found
