"""Files that are whole or not there, whenever the program is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """Yield the path to write a file to; the file replaces `path` when the block ends.

    A block that raises, or is killed, leaves `path` as it was. Others may read the file
    as far as the umask lets them.
    """
    # Beside the file: renaming replaces a file at once within one file system alone.
    part = path.with_name(f"{path.name}.part")
    # Whatever an earlier run left there has a mode of its own.
    part.unlink(missing_ok=True)
    part.touch()
    mode = part.stat().st_mode
    yield part
    # safetensors makes files that their owner alone can read.
    part.chmod(mode)
    part.replace(path)
