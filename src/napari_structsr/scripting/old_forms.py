"""Calls as version 0.1 had them: they still return events, with a deprecation.

They go with the next version but one.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

from napari_structsr.engine.events import Event

_P = ParamSpec("_P")
_R = TypeVar("_R")


def keep_old_upscale(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Take ``upscale(source, model, sink)`` too, which returns events."""

    @functools.wraps(function)
    def call(*args: _P.args, **options: _P.kwargs) -> _R:
        # a sink was never optional, and has no such place any more
        if len(args) > 2 or "sink" in options:
            _warn("upscale(source, model, sink)", "iter_upscale", "upscale(image, out)")
            from napari_structsr.upscaling.upscale import iter_upscale

            old: Any = iter_upscale(*args, **options)  # type: ignore[arg-type]
            return old  # type: ignore[no-any-return]
        return function(*args, **options)

    return call


def keep_old_fine_tune(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Take ``fine_tune(config, pairs, model)`` too, which returns events."""

    @functools.wraps(function)
    def call(*args: _P.args, **options: _P.kwargs) -> _R:
        if len(args) > 1 or "config" in options or (args and "pairs" in options):
            _warn(
                "fine_tune(config, pairs, model)",
                "iter_fine_tune",
                "fine_tune(pairs, name=...)",
            )
            # who upscales should not wait for what fine-tuning imports
            from napari_structsr.finetuning.fine_tune import iter_fine_tune

            old: Any = iter_fine_tune(*args, **options)  # type: ignore[arg-type]
            return old  # type: ignore[no-any-return]
        return function(*args, **options)

    return call


def error_maps(*args: Any, **options: Any) -> Iterator[Event]:
    """Return the events of `iter_inspect`, as which this is known from now on."""
    from napari_structsr.inspection.error_maps import iter_inspect

    _warn("error_maps", "iter_inspect", "inspect")
    return iter_inspect(*args, **options)


def _warn(old: str, new: str, simple: str) -> None:
    warnings.warn(
        f"sr.{old} is called sr.{new} from now on, and will be gone in the next "
        f"version; sr.{simple} does it in one line",
        DeprecationWarning,
        stacklevel=3,
    )
