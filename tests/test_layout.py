"""The layout shows the architecture: small folders, no circles, one name for one thing.

The direction of imports between packages is held by import-linter, see pyproject.toml.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import napari_structsr

ROOT = Path(napari_structsr.__file__).parent
MOST_MODULES = 20
# Names that stand in several folders, where the folder says whose it is.
PER_FOLDER = {
    "__main__",
    "cards",
    "comparison",  # of methods, and of layers in the viewer
    "dock",
    "events",  # of every job, and those that a fine-tuning adds
    "figures",
    "form",
    "metadata",
    "reader",
    "recipe",  # a training and a fine-tuning have the same parts
    "run",
    "session",
    "settings",
    "state",
    "validation",
    "writer",
}
# Modules of `cli` are named by their command, and that by what it runs.
COMMANDS = {"demo", "train", "upscale"}


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports_of(path: Path, known: set[str]) -> set[str]:
    """Return the modules of the package that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & known
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found & known


def circle(graph: dict[str, set[str]]) -> list[str] | None:
    """Return one circle of the graph, or None."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str] | None:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name not in done:
            for following in sorted(graph[name]):
                if found := visit(following, [*trail, name]):
                    return found
            done.add(name)
        return None

    for name in sorted(graph):
        if found := visit(name, []):
            return found
    return None


def test_no_folder_holds_more_than_can_be_seen_at_once():
    sizes = Counter(path.parent for path in modules().values())
    crowded = {
        str(folder.relative_to(ROOT)): count
        for folder, count in sizes.items()
        if count > MOST_MODULES
    }
    assert not crowded


def test_no_files_import_each_other_in_a_circle():
    found = modules()
    # the top of the package imports its public names on first use
    del found["napari_structsr"]
    known = set(found)
    graph = {name: imports_of(path, known) - {name} for name, path in found.items()}
    assert circle(graph) is None


def test_a_circle_would_be_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}}
    assert circle(graph) == ["b", "c", "b"]


def test_one_module_has_a_name():
    found = modules()
    names = Counter(path.stem for path in found.values() if path.stem != "__init__")
    doubled = {name for name, count in names.items() if count > 1}
    assert doubled <= PER_FOLDER | COMMANDS


def test_one_public_class_has_a_name():
    homes: dict[str, list[str]] = {}
    for module, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    assert not {name: where for name, where in homes.items() if len(where) > 1}


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "manager"])
def test_no_module_is_named_by_nothing(word):
    assert not [name for name in modules() if name.rsplit(".", 1)[-1] == word]
