"""Keys that the canvas knows for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari.viewer import Viewer

__all__ = ["bind_keys"]


def bind_keys(viewer: Viewer, keys: Mapping[str, Callable[[], None]]) -> Any:
    """Let keys do something while the canvas has the focus.

    Parameters
    ----------
    viewer
        Whose canvas it is.
    keys
        What each key does, by its name in napari.

    Returns
    -------
    callable
        What gives the keys back to whoever had them before.
    """
    bind = getattr(viewer, "__wrapped__", viewer).bind_key
    before = {
        key: bind(key, lambda _, act=act: act(), overwrite=True)
        for key, act in keys.items()
    }

    def give_back() -> None:
        for key, had in before.items():
            bind(key, None)
            if had is not None:
                bind(key, had)

    return give_back
