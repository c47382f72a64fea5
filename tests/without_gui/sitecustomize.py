"""Hide napari and Qt from a Python that has them, and from the children it starts.

Python imports this by itself where PYTHONPATH names this folder. What is hidden is not
to be found, as if it had never been installed: no module, no metadata, no plugin of
pytest. So one environment serves the tests of the user interface and those below it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import Any

MODULES = {
    "magicgui",
    "napari",
    "npe2",
    "PyQt5",
    "PyQt6",
    "PySide2",
    "PySide6",
    "pyqtgraph",
    "pytest_xvfb",
    "pytestqt",
    "qtpy",
    "superqt",
    "vispy",
}
# napari-structsr is no part of napari
DISTRIBUTIONS = re.compile(
    r"(?!napari-structsr)(napari|magicgui|npe2|pyqt|pyside|pyqtgraph|pytest-qt"
    r"|pytest-xvfb|qtpy|superqt|vispy)([-\d].*)?",
    re.IGNORECASE,
)


class FinderWithoutGui(PathFinder):
    """Finds what the import path holds, except napari and Qt."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Return how a module is loaded, or None for what is hidden."""
        if fullname.partition(".")[0] in MODULES:
            return None
        return super().find_spec(fullname, path, target)

    @classmethod
    def find_distributions(cls, *words: Any, **named: Any) -> Iterator[Any]:
        """Yield what is installed, except what is hidden."""
        for found in super().find_distributions(*words, **named):
            name = found.metadata["Name"] or ""
            if not DISTRIBUTIONS.fullmatch(name.replace("_", "-")):
                yield found


sys.meta_path[sys.meta_path.index(PathFinder)] = FinderWithoutGui
