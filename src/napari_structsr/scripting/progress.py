"""Showing how far a job is: in a terminal, in a notebook, to another program, or not.

A display is a context manager that is shown every event. It decides nothing: whoever
loops over the events decides what an error is.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from napari_structsr.engine.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Noted,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.errors import CancelError
from napari_structsr.scripting.plain_console import PlainConsole, make_printable

_SECONDS = 0.2  # between two lines of a notebook


class Display(Protocol):
    """Shows the events of one job."""

    def show(self, event: Event) -> None:
        """Show an event; those that mean nothing to a display are left out."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class SilentDisplay:
    """Shows nothing."""

    def show(self, event: Event) -> None:
        """Leave the event out."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...


class TerminalDisplay(SilentDisplay):
    """A bar, with what is said above it; lines alone where there is no terminal.

    Parameters
    ----------
    console
        Where it is shown.
    title
        What the bar is named before the job says it.
    """

    def __init__(self, console: Console, *, title: str = "starting") -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            # a bar would fill log files of a cluster
            disable=not console.is_terminal,
        )
        self._bar = self._bars.add_task(title, total=None)

    def show(self, event: Event) -> None:
        """Move the bar, or write a line."""
        match event:
            case Started(plan=plan):
                self._console.print(str(plan))
            case Progressed(done, total, doing):
                doing = make_printable(doing)
                self._bars.update(
                    self._bar, completed=done, total=total, description=doing
                )
            case Noted(message):
                self._console.print(message)
            case Warned(message):
                self._console.print(f"warning: {message}", style="yellow")
            case Cancelled():
                # what is said of it stands below the bar's last place
                self._bars.stop()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()


class WarningDisplay(SilentDisplay):
    """What a user should know, and nothing else.

    Parameters
    ----------
    console
        Where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, event: Event) -> None:
        """Write a warning."""
        if isinstance(event, Warned):
            self._console.print(f"warning: {event.message}", style="yellow")


class NotebookDisplay(SilentDisplay):
    """One line below a cell, which changes as the job goes on."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = 0.0

    def show(self, event: Event) -> None:
        """Change the line; a notebook is saved with what it said last."""
        match event:
            case Started(plan=plan):
                self._write(str(plan))
            case Progressed(done, total, doing):
                if done == total or time.monotonic() - self._shown > _SECONDS:
                    self._write(f"{make_printable(doing)} {done}/{total}")
            case Finished():
                self._write("finished")

    def _write(self, line: str) -> None:
        from IPython.display import display

        self._shown = time.monotonic()
        data = {"text/plain": line}
        if self._handle is None:
            self._handle = display(  # type: ignore[no-untyped-call]
                data, raw=True, display_id=True
            )
        else:
            self._handle.update(data, raw=True)


class JsonDisplay(SilentDisplay):
    """One JSON object a line for each event, for other programs.

    Parameters
    ----------
    console
        Its file is written to.
    """

    def __init__(self, console: Console) -> None:
        self._file = console.file

    def show(self, event: Event) -> None:
        """Write a line at once."""
        words = describe_event(event)
        if words is not None:
            # in ASCII: no byte of a file's name can act on a terminal
            self._file.write(json.dumps(words) + "\n")
            self._file.flush()


def describe_event(event: Event) -> dict[str, Any] | None:
    """Return an event as plain values; None for those that only docks show."""
    match event:
        case Started(total, plan):
            plain = {"total": total, "done": plan.done, "plan": str(plan)}
            return {"event": "started"} | plain
        case Progressed(done, total, doing):
            return {"event": "progress", "done": done, "total": total, "doing": doing}
        case Noted(message):
            return {"event": "note", "message": message}
        case Warned(message):
            return {"event": "warning", "message": message}
        case Cancelled(done):
            return {"event": "cancelled", "done": done}
        case Failed(error):
            kind = type(error).__name__
            return {"event": "failed", "error": kind, "message": str(error)}
        case Finished(output):
            # an array or an inspection says nothing in one line
            place = getattr(output, "folder", output)
            path = str(place) if hasattr(place, "__fspath__") else None
            return {"event": "finished", "output": path}
    return None


def choose_display(progress: bool | None) -> Display:
    """Return how progress is shown.

    Parameters
    ----------
    progress
        None shows it in a terminal and in a notebook, True everywhere, False nowhere.
    """
    if progress is False:
        return SilentDisplay()
    if _is_notebook():
        return NotebookDisplay()
    # the standard output belongs to the script
    console = PlainConsole(stderr=True)
    if progress or console.is_terminal:
        return TerminalDisplay(console)
    return SilentDisplay()


def run_to_end(events: Iterator[Event], display: Display) -> Finished:
    """Run a job, and return its last event.

    What the job warns of is a warning of Python as well.

    Raises
    ------
    StructsrError
        With which the job failed.
    CancelError
        If it was cancelled.
    """
    with display:
        for event in events:
            match event:
                case Warned(message):
                    warnings.warn(message, UserWarning, stacklevel=_find_caller())
                    continue
                case Failed(error):
                    raise error
                case Cancelled():
                    raise CancelError(
                        "the run was cancelled; what is written stays, and the same "
                        "call goes on from there"
                    )
            display.show(event)
            if isinstance(event, Finished):
                return event
    raise AssertionError("a run ends with Finished, Cancelled or Failed")


def _find_caller() -> int:
    """Return how many calls up the line of the user stands, for `warnings.warn`."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals["__name__"].startswith(__package__):
        frame, level = frame.f_back, level + 1
    return level


def _is_notebook() -> bool:
    # nothing is imported: in a notebook IPython is there already
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell else None
    return type(running).__name__ == "ZMQInteractiveShell"
