"""Libraries for files of instruments, which not everybody has installed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from napari_structsr.errors import SourceError


def load_library(name: str, path: Path, *, kind: str) -> Any:
    """Return a library that reads a kind of file.

    Raises
    ------
    SourceError
        If it is not installed, saying what helps.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise SourceError(
            f"{path} is {kind}, and the package {name} that reads it is not installed "
            f'({error}); run pip install "napari-structsr[formats]"'
        ) from error
