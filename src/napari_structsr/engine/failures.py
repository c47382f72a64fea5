"""How an error of any kind becomes the last event of a job, in words for the user."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterator

from napari_structsr.engine.device import is_out_of_memory
from napari_structsr.engine.events import Event, Failed
from napari_structsr.errors import (
    MemoryShortageError,
    SinkError,
    StructsrError,
    UnexpectedError,
)

logger = logging.getLogger(__name__)

# what an operating system refuses, in words
_DISK = {
    errno.ENOSPC: "the disk is full; free some space, and start again",
    errno.EDQUOT: "your share of the disk is full; free some space, and start again",
    errno.EACCES: "you may not write there; choose a folder of yours, or ask for it",
    errno.EPERM: "you may not write there; choose a folder of yours, or ask for it",
    errno.EROFS: "nothing can be written there; choose another folder",
    errno.EEXIST: "there is a file of that name; choose another one",
    errno.ENOTDIR: "a part of its path is a file; choose another folder",
}

# as newer and older versions of safetensors write it
_NUMBER = re.compile(r"\((?:os error |Os \{ code: )(?P<number>\d+)\b")


def yield_failures(events: Iterator[Event], doing: str) -> Iterator[Event]:
    """Yield the events of a job, and `Failed` last if it raises.

    Unexpected errors go to the log as well, where `doing` names the job.
    """
    try:
        yield from events
    except StructsrError as error:
        yield Failed(error)
    except Exception as error:
        found = explain_error(error)
        # a traceback does not help where the disk refused
        if not isinstance(found, SinkError):
            logger.exception("%s broke", doing)
        yield Failed(found)


def explain_error(error: Exception) -> StructsrError:
    """Return the error to show for any error; ``__cause__`` holds what happened."""
    if isinstance(error, StructsrError):
        return error
    found: StructsrError
    # torch and numpy tell a shortage in several ways
    if is_out_of_memory(error):
        found = explain_shortage(str(error))
    elif refusal := _explain_refusal(error):
        found = SinkError(refusal)
    else:
        found = UnexpectedError(
            f"{type(error).__name__}: {error}; this is a fault of the program: "
            "please report it with the log"
        )
    found.__cause__ = error
    return found


def _explain_refusal(error: Exception) -> str | None:
    """Say what the operating system refused; None if that is not what happened."""
    number, file = getattr(error, "errno", None), getattr(error, "filename", None)
    # safetensors tells its number in the text alone
    if number is None and (found := _NUMBER.search(str(error))):
        number = int(found["number"])
    words = _DISK.get(number) if isinstance(number, int) else None
    # of the system, whatever its number
    if words is None and isinstance(error, OSError) and error.strerror:
        place = file or "a file or a folder"
        remedy = "check that it is there and that you may use it"
        return f"{place} cannot be used ({error.strerror}); {remedy}"
    return f"{file} cannot be written: {words}" if words and file else words


def explain_shortage(what: str) -> MemoryShortageError:
    """Return the error for a shortage of memory, with what to do."""
    return MemoryShortageError(
        f"memory is short ({what}); close other programs, or write to OME-Zarr "
        "instead of keeping the result in memory"
    )
