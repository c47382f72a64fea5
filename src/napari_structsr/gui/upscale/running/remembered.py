"""What the dock was set to at the last run, for when it opens again.

It counts until the user changes the preferences: what was said last holds. The blur of
the optics is never undone from memory, and a part of an image belongs to that image.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from napari_structsr.gui.settings import keep, read_kept, read_preferences
from napari_structsr.gui.upscale.run import read_preferred_choice
from napari_structsr.gui.upscale.state import Agreement, Choice, Color

_NAME = "upscale dock"


def remember_choice(choice: Choice) -> None:
    """Keep what a run was started with."""
    entry = {
        "model": choice.model,
        "factor": choice.factor,
        "agreement": choice.agreement,
        "color": choice.color,
        "sharpness": choice.sharpness,
        "scheduler": choice.scheduler,
        "folder": None if choice.folder is None else str(choice.folder),
    }
    keep(_NAME, {"choice": entry, "preferences": vars(read_preferences())})


def read_first_choice() -> Choice:
    """Return what the dock begins with: the last run, or the preferences."""
    preferred = read_preferred_choice()
    kept = read_kept(_NAME)
    if not isinstance(kept, dict) or kept.get("preferences") != vars(
        read_preferences()
    ):
        return preferred
    entry = kept.get("choice")
    return _apply(preferred, entry) if isinstance(entry, dict) else preferred


def _apply(choice: Choice, entry: dict[str, Any]) -> Choice:
    """Take over what is valid; a file can have been edited."""
    valid: dict[str, Any] = {}
    if isinstance(entry.get("model"), str):
        valid["model"] = entry["model"]
    if entry.get("factor") in (1, 2, 4):
        valid["factor"] = entry["factor"]
    for name, kind in (("agreement", Agreement), ("color", Color)):
        if entry.get(name) in get_args(kind):
            valid[name] = entry[name]
    share = entry.get("sharpness")
    if isinstance(share, (int, float)) and 0 <= share <= 1:
        valid["sharpness"] = float(share)
    if isinstance(entry.get("scheduler"), str):
        valid["scheduler"] = entry["scheduler"]
    folder = entry.get("folder")
    # a stick that is no longer there
    if isinstance(folder, str) and Path(folder).is_dir():
        valid["folder"] = Path(folder)
    return replace(choice, **valid)
