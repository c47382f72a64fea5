"""Keywords of a call, sorted into settings and ways to open an image, and checked."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_structsr.engine.events import Cancel
from napari_structsr.errors import (
    ArgumentError,
    SettingsError,
    check_kind,
    describe_faults,
)
from napari_structsr.io.open import open_source

if TYPE_CHECKING:
    from pydantic import BaseModel

_Settings = TypeVar("_Settings", bound="BaseModel")

READING = tuple(
    name
    for name, parameter in inspect.signature(open_source).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and name != "name"
)
"""Keywords of `open_source` that the functions of one line hand on."""


def split_keywords(
    call: str, keywords: Mapping[str, Any], kind: type[BaseModel]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is a way to open an image, and what is a setting.

    Parameters
    ----------
    call
        Name of the function, for the error.
    keywords
        As the caller gave them; None stands for what was not given.
    kind
        Settings that the function takes.

    Raises
    ------
    ArgumentError
        Naming a keyword that is neither.
    """
    given = {name: value for name, value in keywords.items() if value is not None}
    known = (*READING, *kind.model_fields)
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; see help(sr.{call})"
            raise ArgumentError(f"sr.{call} has no keyword {name}{hint}")
    reading = {name: value for name, value in given.items() if name in READING}
    if (channels := reading.get("channels")) is not None:
        one = isinstance(channels, (str, int, np.integer))
        reading["channels"] = [channels] if one else list(channels)
    return reading, {n: v for n, v in given.items() if n not in READING}


def make_settings(
    kind: type[_Settings], settings: _Settings | None, keywords: Mapping[str, Any]
) -> _Settings:
    """Return settings with keywords in the place of their entries.

    Raises
    ------
    ArgumentError
        If `settings` is of another kind.
    SettingsError
        Naming every keyword whose value is not valid.
    """
    from pydantic import ValidationError

    if settings is not None and not isinstance(settings, kind):
        raise ArgumentError(
            f"settings is of the kind {type(settings).__name__}; give "
            f"sr.{kind.__name__}(...), or name single settings as keywords"
        )
    before = settings.model_dump(exclude_unset=True) if settings else {}
    try:
        plain = {name: _make_plain(value) for name, value in keywords.items()}
        return kind(**(before | plain))
    except ValidationError as error:
        # "Input should be ..." of pydantic becomes a clause behind the keyword
        words = describe_faults(error.errors()).replace(": Input should", " should")
        raise SettingsError(f"{words}; see help(sr.{kind.__name__})") from error


def is_list(value: object) -> bool:
    """Tell several images from one: lists, tuples and iterators, such as of `glob`."""
    return isinstance(value, (list, tuple, Iterator))


def _make_plain(value: Any) -> Any:
    # settings are strict, and a number of numpy or a list is as good in a script
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(_make_plain, value)) if isinstance(value, list) else value


def check_cancel(cancel: object) -> None:
    """Raise ArgumentError unless a cancel is one, or None."""
    if cancel is not None:
        check_kind("cancel", cancel, Cancel, remedy="give a sr.Cancel()")
