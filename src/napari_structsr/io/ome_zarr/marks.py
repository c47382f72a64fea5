"""What tells a folder that is a zarr from another one, in both versions."""

from __future__ import annotations

from pathlib import Path

__all__ = ["MARKS", "is_zarr", "is_zarr_group"]

_GROUP = ("zarr.json", ".zgroup")

MARKS = (*_GROUP, ".zarray")
"""Files of which an array or a group holds one."""


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a zarr array or group."""
    return any((path / mark).is_file() for mark in MARKS)


def is_zarr_group(path: Path) -> bool:
    """Tell whether a folder can be a zarr group; in version 3 an array looks alike."""
    return any((path / mark).is_file() for mark in _GROUP)
