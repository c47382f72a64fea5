"""Defaults that the user has set in napari, and what docks keep beside them.

What the user sets stands under Preferences > Plugins. What a dock remembers by itself,
such as what was run last, lies as plain JSON in a file beside that.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari.settings import get_plugin_settings

from napari_structsr.io.atomic import replace_whole
from napari_structsr.io.limits import read_text

logger = logging.getLogger(__name__)

_PLUGIN = "napari-structsr"
_KEPT = "napari-structsr-docks.json"

_SMALLEST_TILE = 16  # pixels; the engine takes no smaller one


@dataclass(frozen=True)
class Preferences:
    """What the docks begin with.

    Parameters
    ----------
    model
        Name of the model.
    agreement
        Agreement with the measurement.
    device
        "auto", "cpu", "cuda" or "mps"; for every dock.
    sharpness
        Share of the way to the model from the one it can be blended with, 0 to 1.
    tile
        Input pixels along the side of what is written at once; None chooses.
    select_result
        Whether a new result becomes the selected layer.
    """

    model: str = "faithful"
    agreement: Literal["off", "noise", "exact"] = "off"
    device: str = "auto"
    sharpness: float = 1.0
    tile: int | None = None
    select_result: bool = False


def read_preferences() -> Preferences:
    """Return the defaults that the user has set."""
    try:
        wishes: Any = get_plugin_settings(_PLUGIN).upscale
    except KeyError:  # the plugin is used without being installed
        return Preferences()
    return Preferences(
        model=wishes.model,
        agreement=wishes.agreement,
        device=wishes.device,
        sharpness=wishes.sharpness / 100,  # napari keeps it as percent
        tile=max(_SMALLEST_TILE, wishes.tile) if wishes.tile else None,
        select_result=wishes.select_result,
    )


def read_kept(name: str) -> Any:
    """Return what was kept under a name: plain JSON, None where there is nothing."""
    return _read_all().get(name)


def keep(name: str, value: Any) -> None:
    """Keep a value that JSON can hold; a failure is logged, nothing depends on it."""
    path = _find_file()
    if path is None:
        return
    text = json.dumps(_read_all() | {name: value}, ensure_ascii=False, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_whole(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        logger.warning("%s cannot be written: %s", path, error)


def _find_file() -> Path | None:
    """Return where docks keep things: beside the settings of the plugin."""
    try:
        settings: Any = get_plugin_settings(_PLUGIN)
    except KeyError:  # the plugin is used without being installed
        return None
    beside = settings.config_path
    return None if beside is None else Path(beside).with_name(_KEPT)


def _read_all() -> dict[str, Any]:
    path = _find_file()
    if path is None or not path.is_file():
        return {}
    try:
        found = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        logger.warning("%s is left out: %s", path, error)
        return {}
    return found if isinstance(found, dict) else {}
