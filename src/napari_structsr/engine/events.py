"""What a long job says while it runs.

Every job yields `Started` first, unless it cannot start, and exactly one of
`Finished`, `Cancelled` or `Failed` last. It raises nothing: whoever loops over it
decides what an error is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from napari_structsr.errors import StructsrError


class Outline(Protocol):
    """What a job is going to do, in words, and how much an earlier run has done."""

    @property
    def done(self) -> int:
        """Steps finished before."""

    def __str__(self) -> str: ...


@dataclass(frozen=True)
class Plan:
    """What a run of `iter_upscale` is going to do.

    Parameters
    ----------
    tiles, done
        Tiles in all, and those that an earlier run has finished.
    output_bytes
        Size of the result, uncompressed, without its pyramid.
    memory_bytes
        Estimate of the memory that the run needs at its peak, besides the
        program itself.
    device, precision
        Where and in which number format the model computes.
    """

    tiles: int
    done: int
    output_bytes: int
    memory_bytes: int
    device: str
    precision: str

    def share(self, tiles: int, *, done: int) -> Plan:
        """Return the plan of a run that makes so many of the tiles."""
        return replace(
            self,
            tiles=tiles,
            done=done,
            output_bytes=self.output_bytes * tiles // self.tiles,
        )

    def __str__(self) -> str:
        again = f" ({self.done} finished before)" if self.done else ""
        return (
            f"{self.tiles} {'tile' if self.tiles == 1 else 'tiles'}{again}, "
            f"{format_bytes(self.output_bytes)} of output, "
            f"about {format_bytes(self.memory_bytes)} of memory, "
            f"{self.device} in {self.precision}"
        )


def format_bytes(count: int) -> str:
    """Write a number of bytes for people."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


@dataclass(frozen=True)
class Event:
    """Root of all events."""


@dataclass(frozen=True)
class Started(Event):
    """The job has checked everything and begins; `total` steps will follow."""

    total: int
    plan: Outline


@dataclass(frozen=True)
class Progressed(Event):
    """`done` of `total` steps are finished; `doing` says what kind."""

    done: int
    total: int
    doing: str = "upscaling"


@dataclass(frozen=True)
class Noted(Event):
    """A line for the log of a long job, such as scores on the way."""

    message: str


@dataclass(frozen=True)
class Warned(Event):
    """Something that the user should know; the job goes on."""

    message: str


@dataclass(frozen=True)
class Finished(Event):
    """The job is complete; `output` is an array or a path."""

    output: Any
    record: Any = None


@dataclass(frozen=True)
class Cancelled(Event):
    """The user stopped the job after `done` steps; what is written stays resumable."""

    done: int


@dataclass(frozen=True)
class Failed(Event):
    """The job cannot go on; `error` says why, and what to do."""

    error: StructsrError


class Cancel(threading.Event):
    """A wish to stop, looked at before each tile; called from any thread."""

    __call__ = threading.Event.set
    __bool__ = threading.Event.is_set


def result_of(events: Iterable[Event]) -> Any:
    """Run a job to its end and return its output.

    Raises
    ------
    StructsrError
        The error with which the job failed.
    """
    for event in events:
        if isinstance(event, Finished):
            return event.output
        if isinstance(event, Failed):
            raise event.error
    return None
