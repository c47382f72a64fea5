"""What a run keeps on this machine of a result that it writes to an address.

Lock, journal and record of such a result lie in a local folder, since an address has
neither locks nor files that grow. The folder is removed when the result is finished.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from platformdirs import user_state_path

from napari_structsr.core.names import expand_home
from napari_structsr.io.limits import read_text

ADDRESS = "address"
"""Entry of the attributes of such a folder that names the address."""


def find_states() -> Path:
    """Return the folder of all of them; ``STRUCTSR_STATE`` names another one."""
    given = os.environ.get("STRUCTSR_STATE")
    if given:
        return expand_home(given).absolute()
    return user_state_path("structsr", appauthor=False) / "remote"


def find_state(address: str) -> Path:
    """Return the folder of one address, whose name tells it from others."""
    name = address.rpartition("/")[2].removesuffix(".zarr").removesuffix(".ome")
    digest = hashlib.sha256(address.encode()).hexdigest()[:12]
    return find_states() / f"{name[:40]}-{digest}.ome.zarr"


def read_address(state: Path) -> str:
    """Return the address that a folder is for, or its name where that is damaged."""
    for name, keys in (("zarr.json", ("attributes",)), (".zattrs", ())):
        try:
            entry = json.loads(read_text(state / name))
            for key in (*keys, "structsr", ADDRESS):
                entry = entry[key]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        return str(entry)
    return state.name
