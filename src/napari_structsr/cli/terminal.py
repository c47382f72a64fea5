"""What all commands share: progress, error messages and exit codes.

A command exits with 0 when it is done, 1 when it was refused or failed, 130 when it was
cancelled.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from napari_structsr.errors import SettingsError, StructsrError
from napari_structsr.scripting.plain_console import PlainConsole

if TYPE_CHECKING:
    from pydantic import BaseModel

    from napari_structsr.engine.events import Cancel, Event, Finished
    from napari_structsr.scripting.progress import Display

_Settings = TypeVar("_Settings", bound="BaseModel")

out = PlainConsole()
# progress and warnings, so that the standard output can be piped
err = PlainConsole(stderr=True)


class ProgressKind(StrEnum):
    """How a command shows how far it is."""

    BAR = "bar"
    JSON = "json"
    OFF = "off"


Progress = Annotated[
    ProgressKind,
    typer.Option(
        help="bar in a terminal; json writes one JSON object a line to the standard "
        "error, for other programs; off shows warnings alone."
    ),
]


def follow(
    start: Callable[..., Iterator[Event]],
    *,
    progress: ProgressKind = ProgressKind.BAR,
    unit: str = "tiles",
    again: str = "the same command goes on from there",
) -> Finished:
    """Run a job, show its progress, and return its last event.

    Ctrl-C stops it after the tiles in flight.

    Parameters
    ----------
    start
        Called with ``cancel=``, returns the events of the run.
    progress
        How it is shown.
    unit
        What is counted.
    again
        What is said after a cancel.

    Raises
    ------
    StructsrError
        If the run failed.
    typer.Exit
        If it was cancelled.
    """
    from napari_structsr.engine.events import Cancel, Cancelled, Failed, Finished

    cancel = Cancel()
    with _cancel_on_ctrl_c(cancel), _choose_display(progress) as display:
        for event in start(cancel=cancel):
            # a failure is told by `exit_on_error`, as what fails before a job is
            if isinstance(event, Failed):
                raise event.error
            display.show(event)
            if isinstance(event, Cancelled):
                if progress is not ProgressKind.JSON:
                    err.print(f"cancelled after {event.done} {unit}; {again}")
                # 128 + SIGINT, as shells report what was interrupted
                raise typer.Exit(130)
            if isinstance(event, Finished):
                return event
    raise AssertionError("a run ends with Finished, Cancelled or Failed")


def _choose_display(progress: ProgressKind) -> Display:
    from napari_structsr.scripting.progress import (
        JsonDisplay,
        TerminalDisplay,
        WarningDisplay,
    )

    if progress is ProgressKind.JSON:
        return JsonDisplay(err)
    return (TerminalDisplay if progress is ProgressKind.BAR else WarningDisplay)(err)


def make_settings(kind: type[_Settings], command: str, **values: Any) -> _Settings:
    """Return the settings that options of a command make.

    Parameters
    ----------
    kind
        A pydantic model whose fields are named as the options.
    command
        Such as "structsr upscale"; errors point to its help.

    Raises
    ------
    SettingsError
        Naming every option that is not valid.
    """
    from pydantic import ValidationError

    try:
        return kind(**values)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            # "Input should be ..." of pydantic becomes a clause behind the option
            message = fault["msg"].replace("Input s", "s")
            # options that contradict each other have no place of their own
            message = message.removeprefix("Value error, ")
            if fault["loc"]:
                option = str(fault["loc"][0]).replace("_", "-")
                message = f"--{option} {fault['input']}: {message}"
            faults.append(message)
        raise SettingsError(f"{'; '.join(faults)}; see {command} --help") from error


@contextmanager
def exit_on_error(progress: ProgressKind = ProgressKind.BAR) -> Iterator[None]:
    """Print an error as one sentence, or as JSON where progress is, and exit with 1.

    What the machine refuses (disk, memory) becomes one as well. Other errors are faults
    of the program, of which the traceback is wanted.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read the output has read enough
    except (StructsrError, OSError, MemoryError) as error:
        from napari_structsr.engine.events import Failed
        from napari_structsr.engine.failures import explain_error

        found = explain_error(error)
        if progress is ProgressKind.JSON:
            _choose_display(progress).show(Failed(found))
        else:
            err.print(f"error: {found}", style="red", soft_wrap=True)
        raise typer.Exit(1) from None


def read_factor(text: str | int) -> int:
    """Read a factor as people write it; the option says it otherwise."""
    try:
        return int(text)
    except ValueError:
        digits = str(text).strip("xX× ")
        hint = f"--factor {digits}" if digits.isdecimal() else "--factor 2"
        raise typer.BadParameter(f"'{text}' is no whole number; write {hint}") from None


@contextmanager
def _cancel_on_ctrl_c(cancel: Cancel) -> Iterator[None]:
    """Let the first Ctrl-C stop after the tiles in flight, the second at once."""
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        cancel()
        # a second Ctrl-C must work even where a tile never ends
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def split_words(text: str | None) -> tuple[str, ...] | None:
    """Split a list by comma; None where there is no word."""
    # None and not (), so that `--maps ""` means the default
    words = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    return words or None


def split_numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """Split numbers by comma; None where there is no word.

    Raises
    ------
    SettingsError
        Naming the option whose words are no numbers.
    """
    words = split_words(text)
    try:
        return None if words is None else tuple(float(word) for word in words)
    except ValueError:
        raise SettingsError(
            f"{option} {text} holds words that are no numbers; give numbers separated "
            f"by comma, such as {option} 120,88"
        ) from None


def read_channel(word: str) -> int | str:
    """Return a channel; digits are an index."""
    return int(word) if word.isdigit() else word


def split_channels(text: str | None) -> list[int | str] | None:
    """Split a list of channels; digits are indices."""
    if text is None:
        return None
    return [read_channel(word.strip()) for word in text.split(",")]
