"""Which names become names of files, so that no file of a stranger chooses a path.

Cards, recipes, fine-tunings and runs name models, and a model lies on disk by its
name: all of them ask here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_NAME = re.compile(r"\w[\w .+-]{0,63}")
# names of devices on Windows; models travel between systems
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
# weights and cards, of this program and of others: a name is told from a path by them
_ENDINGS = (".safetensors", ".json", ".pth", ".pt", ".ckpt")


def check_model_name(name: str) -> str:
    """Return a name, if a file can have it everywhere and it leads to no other folder.

    Raises
    ------
    ValueError
        Saying which names can be taken.
    """
    if not _NAME.fullmatch(name) or name[-1] in " .":
        raise ValueError(
            f"{name[:80]!r} cannot name a model; take up to 64 letters, digits, "
            "spaces, dots, - or _, beginning with a letter or digit"
        )
    if _RESERVED.fullmatch(name.split(".")[0]) or name.lower().endswith(_ENDINGS):
        raise ValueError(
            f"{name!r} cannot name a model, since files cannot be called so "
            "everywhere; choose another name"
        )
    return name


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Return a path in which ``~`` stands for a home, where there is such a home.

    Of a user that nobody knows it stays as it is, and is a file that does not exist.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
