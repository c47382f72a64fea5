"""What the package asks to be installed is what it uses."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.version import Version

import napari_structsr

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def name_of(requirement):
    """Return the name of what is required, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


REQUIRED = sorted(
    {
        name_of(requirement)
        for requirements in (
            PROJECT["project"]["dependencies"],
            *EXTRAS.values(),
        )
        for requirement in requirements
    }
    # the dashboard of dask imports it, where it is there
    - {"napari-structsr", "bokeh"}
)


@pytest.fixture(scope="module")
def imported():
    """Return the top of every module that a line of the package imports."""
    found = set()
    for path in Path(napari_structsr.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                # what is optional is imported by a name that stands in a table
                found.add(node.value)
    return found


@pytest.fixture(scope="module")
def brought():
    """Return the modules that each installed package brings."""
    found = {}
    for module, names in packages_distributions().items():
        for name in names:
            found.setdefault(name_of(name), set()).add(module)
    return found


@pytest.mark.parametrize("name", REQUIRED)
def test_every_requirement_is_imported(name, imported, brought):
    modules = brought.get(name)
    # what is not installed, or hidden, has most likely a module of its own name
    assert (modules or {name.replace("-", "_")}) & imported


@pytest.mark.skipif(
    os.environ.get("TOX_ENV_NAME") != "lowest",
    reason="the oldest versions are tested by tox -e lowest",
)
@pytest.mark.parametrize(
    "requirement",
    [
        requirement
        for requirements in (PROJECT["project"]["dependencies"], *EXTRAS.values())
        for requirement in requirements
        # those of the user interface are hidden where these tests run
        if name_of(requirement)
        not in ("napari-structsr", "bokeh", "magicgui", "napari", "pyqtgraph")
        and name_of(requirement) not in ("qtpy", "superqt")
    ],
)
def test_what_is_tested_is_what_is_said_to_do(requirement):
    least = requirement.partition(">=")[2]
    assert Version(version(name_of(requirement))) == Version(least)


def test_nobody_asks_for_less_python_than_is_named():
    classifiers = PROJECT["project"]["classifiers"]
    minors = [int(m[1]) for c in classifiers if (m := re.search(r":: 3\.(\d+)$", c))]
    assert PROJECT["project"]["requires-python"] == f">=3.{min(minors)}"
    assert minors == list(range(min(minors), max(minors) + 1))
