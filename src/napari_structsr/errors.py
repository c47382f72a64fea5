"""Everything that can go wrong for a user, each error in a sentence with the remedy.

Every message says what came, what was expected and what to do, and is shown as it
stands by the command line and by docks.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)


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


class BusyError(SinkError):
    """Another run is writing there."""


class DeviceError(StructsrError):
    """The device is missing or computes wrong numbers."""


class MemoryShortageError(StructsrError):
    """Memory is too short even for the smallest tile."""


class ClusterError(StructsrError):
    """A cluster cannot be reached, or one of its machines cannot do the work."""


class TrainingError(StructsrError):
    """A training cannot start, go on, or be continued as asked."""


class ArgumentError(StructsrError, TypeError):
    """A function was called with something of a kind that it does not take."""


class CancelError(StructsrError):
    """A run was cancelled before it had a result."""


class UnexpectedError(StructsrError):
    """A fault of the program; ``__cause__`` holds it."""


def check_kind(
    name: str, value: object, kinds: type | tuple[type, ...], *, remedy: str
) -> None:
    """Raise ArgumentError unless an argument is of a kind that is taken.

    Parameters
    ----------
    name, value
        The argument.
    kinds
        As for `isinstance`.
    remedy
        What to give instead, as part of a sentence.
    """
    if not isinstance(value, kinds):
        kind = "missing" if value is None else f"of the kind {type(value).__name__}"
        raise ArgumentError(f"{name} is {kind}; {remedy}")


@contextmanager
def blame_file(
    path: str | Path, kind: type[StructsrError], *, what: str, remedy: str
) -> Iterator[None]:
    """Turn whatever a file makes its reader raise into one error that names it.

    A file of a stranger may hold anything, and libraries raise anything in turn: a
    division by zero, a recursion without end. So this encloses nothing but the reading
    and checking of one file. Errors of the family pass, and so do shortages of memory,
    disk and handles, which are no fault of the file.

    Parameters
    ----------
    path
        The file.
    kind
        Of the error that is raised.
    what, remedy
        Which kind of file was expected, and what to do, as parts of a sentence.
    """
    try:
        yield
    except (StructsrError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        said = describe_error(error)
        if isinstance(error, FileNotFoundError) and not Path(path).exists():
            said = f"it does not exist{suggest_name(Path(path))}"
        raise kind(f"{path} cannot be read as {what} ({said}); {remedy}") from error


def suggest_name(path: Path) -> str:
    """Return the end of a sentence about a missing file: a name that is nearly its."""
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent})"
    there = [entry.name for entry in path.parent.iterdir()]
    close = difflib.get_close_matches(path.name, there, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""


def describe_error(error: BaseException) -> str:
    """Return in a few words what an error of another library says."""
    if isinstance(error, RecursionError):
        return "its entries lie too deep in each other"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # pydantic's own text takes a paragraph for each fault
    if callable(faults := getattr(error, "errors", None)):
        return describe_faults(faults())
    name, line = type(error).__name__, str(error).strip().partition("\n")[0]
    # the text of a KeyError is the key alone
    text = f"{name}: {line}" if isinstance(error, LookupError) else line
    return text[:300] or name


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
