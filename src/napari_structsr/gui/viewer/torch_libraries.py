"""The libraries of torch, loaded while the interface goes on.

Python holds its lock for as long as an import loads a library, and those of torch take
half a second from memory, and many from a disk: in any thread, their import would hold
up all others. A foreign function does not hold the lock.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path

# in the order and the way in which torch loads them itself
_LIBRARIES = {
    "libtorch_global_deps.so": "RTLD_GLOBAL",
    "libtorch_python.so": "RTLD_LOCAL",
}


def load_libraries_of_torch() -> None:
    """Load them where that is known to work; what fails is left to the import."""
    if "torch" in sys.modules or not sys.platform.startswith("linux"):
        return
    spec = find_spec("torch")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        return
    load = ctypes.CDLL(None).dlopen
    load.restype, load.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for name, kind in _LIBRARIES.items():
        path = Path(folders[0], "lib", name)
        # an import of torch says why, and knows other ways
        if not load(os.fsencode(path), os.RTLD_NOW | getattr(os, kind)):
            return
