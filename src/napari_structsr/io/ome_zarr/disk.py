"""What disks refuse, before and while something is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_structsr.errors import SinkError


def check_folder(folder: Path, needed: int) -> None:
    """Refuse folders that are missing, closed or too full."""
    if not folder.is_dir():
        raise SinkError(f"the folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"no permission to write into {folder}; choose another folder")
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SinkError(
            f"the result takes up to {needed / 1e9:.3g} GB and {folder} has "
            f"{free / 1e9:.3g} GB free; make room or choose another folder"
        )


@contextmanager
def translate_os_errors(path: Path | str) -> Iterator[None]:
    """Turn errors of the system into sentences."""
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"{path} cannot be written ({error.strerror or error}); what is finished "
            "is kept: mend it and start the same command again"
        ) from error
