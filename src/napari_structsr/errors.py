"""Everything that can go wrong for a user, each error in a sentence with the remedy.

Every message says what came, what was expected and what to do, and is shown as it
stands by the command line and by docks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


# never a RuntimeError: napari's generator workers drop one without a word
class StructsrError(Exception):
    """Root of the family."""


class SourceError(StructsrError):
    """An image is missing, unreadable, damaged or of a kind that is not read."""


class AxesError(StructsrError):
    """Axes are missing, unknown, doubled or do not fit the shape."""


class PixelError(StructsrError):
    """Pixel values cannot be upscaled: complex, boolean, or no number at all."""


class ModelError(StructsrError):
    """A model is unknown, damaged, or does not offer what was asked of it."""


class SettingsError(StructsrError):
    """Settings contradict each other or lie outside their range."""


class SinkError(StructsrError):
    """The result cannot be written where it was asked for."""


class DeviceError(StructsrError):
    """The device is missing or computes wrong numbers."""


class MemoryShortageError(StructsrError):
    """Memory is too short even for the smallest tile."""


class TrainingError(StructsrError):
    """A training cannot start, go on, or be continued as asked."""


class UnexpectedError(StructsrError):
    """A fault of the program; ``__cause__`` holds it."""


def describe_faults(errors: Iterable[Mapping[str, Any]], *, most: int = 8) -> str:
    """Return in words what pydantic's `ValidationError.errors` lists, entry by entry.

    A damaged list may have thousands of faults: `most` of them are named.
    """
    faults = []
    for fault in errors:
        place = ".".join(map(str, fault["loc"]))
        message = fault["msg"].removeprefix("Value error, ")
        # A fault of several entries together has no place of its own.
        faults.append(f"{place}: {message}" if place else message)
    more = [f"and {len(faults) - most} more"] if len(faults) > most else []
    return "; ".join(faults[:most] + more)
