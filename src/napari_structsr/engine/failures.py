"""Putting what nobody expected into a sentence for the user."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from napari_structsr.engine.device import is_out_of_memory
from napari_structsr.engine.events import Event, Failed
from napari_structsr.errors import MemoryShortageError, StructsrError, UnexpectedError

__all__ = ["explained", "guarded", "shortage"]

logger = logging.getLogger(__name__)


def guarded(events: Iterator[Event], doing: str) -> Iterator[Event]:
    """Yield the events of a job, and `Failed` last if it raises.

    What nobody expected goes to the log as well, where `doing` names the job.
    """
    try:
        yield from events
    except StructsrError as error:
        yield Failed(error)
    except Exception as error:
        logger.exception("%s broke", doing)
        yield Failed(explained(error))


def explained(error: Exception) -> StructsrError:
    """Return the error to show for any error; ``__cause__`` holds what happened."""
    if isinstance(error, StructsrError):
        return error
    found: StructsrError
    if is_out_of_memory(error):
        found = shortage(str(error))
    else:
        found = UnexpectedError(
            f"{type(error).__name__}: {error}; this is a fault of the program: "
            "please report it with the log"
        )
    found.__cause__ = error
    return found


def shortage(what: str) -> MemoryShortageError:
    """Say that memory is short."""
    return MemoryShortageError(
        f"memory is short ({what}); close other programs, choose a smaller tile, or "
        "write to OME-Zarr instead of keeping the result in memory"
    )
