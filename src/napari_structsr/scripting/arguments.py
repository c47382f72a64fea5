"""Keywords of a call, sorted into settings and ways to open an image, and checked."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
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
from napari_structsr.models.model import SRModel
from napari_structsr.zoo.catalogue import list_models, load_model

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


def check_client(client: object) -> None:
    """Raise ArgumentError unless a client of a dask cluster is one, or None."""
    if client is not None:
        # whoever has a client has imported it
        library = sys.modules.get("distributed")
        kinds = (library.Client,) if library else ()
        check_kind("client", client, kinds, remedy="give a distributed.Client(...)")


def choose_model(model: Any, *, factor: Any, sharpness: float = 1.0) -> SRModel:
    """Return a model by its name or file, or as it was given.

    Parameters
    ----------
    model
        Name, path, or `SRModel`.
    factor
        None takes 2 for a name, and else what the model has.
    sharpness
        As for `load_model`.
    """
    remedy = (
        "give the name of a model, the path of its file, or what sr.load_model returns"
    )
    check_kind("model", model, (str, os.PathLike, SRModel), remedy=remedy)
    if factor is not None:
        check_kind("factor", factor, (int, np.integer), remedy="give 1, 2 or 4")
        factor = int(factor)
    if isinstance(model, SRModel):
        if factor not in (None, model.factor):
            raise SettingsError(
                f"factor={factor} was asked for, and the model {model.card.name} has "
                f"{model.factor}; leave the factor out, or load another model"
            )
        return model
    name = os.fsdecode(model)
    if factor is None:
        cards = (*list_models(), *list_models(purpose="comparison"))
        factor = 2 if name in {card.name for card in cards} else None
    return load_model(name, factor=factor, sharpness=sharpness)
