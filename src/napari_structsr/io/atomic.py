"""Files that are whole or not there, whenever the program is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """Yield the path to write a file to; the file replaces `path` when the block ends.

    A block that raises, or is killed, leaves `path` as it was.
    """
    # Beside the file: renaming replaces a file at once within one file system alone.
    part = path.with_name(f"{path.name}.part")
    yield part
    part.replace(path)
