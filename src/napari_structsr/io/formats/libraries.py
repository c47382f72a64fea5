"""Libraries for files of instruments, which not everybody has installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_structsr.errors import SourceError


@contextmanager
def explain_missing(path: Path, *, kind: str) -> Iterator[None]:
    """Say what helps where the library that reads a kind of file is not installed.

    Raises
    ------
    SourceError
        If the block cannot import it.
    """
    try:
        yield
    except ImportError as error:
        raise SourceError(
            f"{path} is {kind}, and the package {error.name or 'that'} that reads it "
            f'is not installed ({error}); run pip install "napari-structsr[formats]"'
        ) from error
