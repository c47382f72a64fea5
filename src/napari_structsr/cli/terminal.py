"""Words on the terminal and exit codes: 0 done, 1 refused or failed, 130 cancelled.

What is refused, and why, is decided below the command line.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from napari_structsr.errors import SettingsError, StructsrError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from napari_structsr.engine.events import Cancel, Event, Finished

__all__ = [
    "cancelled_by_ctrl_c",
    "err",
    "errors_in_words",
    "follow",
    "listed_channels",
    "out",
    "settings_from_words",
]

_Settings = TypeVar("_Settings", bound="BaseModel")

out = Console()
err = Console(stderr=True)


def follow(
    events: Iterator[Event],
    *,
    unit: str = "tiles",
    again: str = "the same command goes on from there",
) -> Finished:
    """Show the progress of a run; return its end.

    `unit` is what is counted, `again` what to do after a cancel.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from napari_structsr.engine.events import (
        Cancelled,
        Failed,
        Finished,
        Noted,
        Progressed,
        Started,
        Warned,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    )
    quiet = not err.is_terminal
    with Progress(*columns, console=err, transient=True, disable=quiet) as progress:
        bar = progress.add_task("starting", total=None)
        for event in events:
            match event:
                case Started(plan=plan):
                    err.print(str(plan), highlight=False)
                case Progressed(done, total, doing):
                    progress.update(bar, completed=done, total=total, description=doing)
                case Noted(message):
                    err.print(message, highlight=False)
                case Warned(message):
                    err.print(f"warning: {message}", style="yellow", highlight=False)
                case Failed(error):
                    raise error
                case Cancelled(done):
                    progress.stop()
                    err.print(f"cancelled after {done} {unit}; {again}")
                    raise typer.Exit(130)
                case Finished():
                    return event
    raise AssertionError("a run ends with Finished, Cancelled or Failed")


def settings_from_words(
    kind: type[_Settings], command: str, **values: Any
) -> _Settings:
    """Check settings given as words."""
    from pydantic import ValidationError

    try:
        return kind(**values)
    except ValidationError as error:
        faults = "; ".join(
            f"--{fault['loc'][0]} {fault['input']}: {fault['msg']}".replace(
                "Input s", "s"
            )
            for fault in error.errors()
        )
        raise SettingsError(f"{faults}; see {command} --help") from error


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Print an error as one sentence and exit with 1."""
    try:
        yield
    except StructsrError as error:
        _fail(str(error))


def _fail(sentence: str) -> NoReturn:
    """Print a sentence and exit."""
    line = f"error: {sentence}"
    err.print(line, style="red", highlight=False, soft_wrap=True, markup=False)
    raise typer.Exit(1)


@contextmanager
def cancelled_by_ctrl_c(cancel: Cancel) -> Iterator[None]:
    """Let the first Ctrl-C stop after the tiles in flight, the second at once."""
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        """Ask the run to stop."""
        cancel()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def listed_channels(text: str | None) -> list[int | str] | None:
    """Split a list of channels; digits are indices."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    return [int(word) if word.isdigit() else word for word in words]
