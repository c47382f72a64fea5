"""Everything below the user interface runs without napari and Qt, in one environment.

`tests/without_gui` hides them for the checks of what lies below; here it is shown that
it hides, and that nothing below looks for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HIDING = Path(__file__).with_name("without_gui")
GUI = ("napari", "npe2", "magicgui", "superqt", "qtpy", "PyQt6", "pyqtgraph", "vispy")


def run(code, *folders):
    """Run code in a Python of its own that looks into these folders first."""
    others = [part for part in sys.path if part and Path(part) != HIDING]
    path = os.pathsep.join([*map(str, folders), *others])
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def installed(tmp_path):
    """Install something by the name of each part of the user interface."""
    for name in GUI:
        (tmp_path / f"{name}.py").write_text("version = 1\n")
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
    return tmp_path


def test_what_is_installed_is_found_until_it_is_hidden(installed):
    code = f"""if True:
        import importlib.metadata as metadata
        import importlib.util as util

        for name in {GUI}:
            try:
                __import__(name)
                metadata.version(name)
                assert util.find_spec(name)
                print(name, "found")
            except ModuleNotFoundError as error:
                assert util.find_spec(name) is None
                print(error)
    """
    found = run(code, installed)
    assert found.stdout.split("\n")[:-1] == [f"{name} found" for name in GUI]
    hidden = run(code, HIDING, installed)
    assert hidden.stdout.split("\n")[:-1] == [f"No module named '{n}'" for n in GUI]
    ask = "import importlib.metadata as m; m.version('napari')"
    assert "PackageNotFoundError" in run(ask, HIDING, installed).stderr


def test_children_of_a_child_see_nothing_either(installed):
    code = "import subprocess as s, sys; s.run([sys.executable, '-c', 'import napari'])"
    assert "No module named 'napari'" in run(code, HIDING, installed).stderr


def test_everything_below_the_user_interface_is_imported_without_it():
    code = """if True:
        import importlib, pkgutil, napari_structsr

        gui = "napari_structsr.gui"
        here = napari_structsr
        for module in pkgutil.walk_packages(here.__path__, here.__name__ + "."):
            # two are programs, and do their work when they are imported
            program = module.name.endswith(("__main__", "codec_trial"))
            if not program and not module.name.startswith(gui):
                importlib.import_module(module.name)
        try:
            importlib.import_module(gui + ".upscale.dock")
        except ModuleNotFoundError as error:
            print(error)
    """
    found = run(code, HIDING)
    assert found.returncode == 0, found.stderr
    assert found.stdout == "No module named 'napari'\n"


def test_these_tests_run_without_napari():
    """Hold by the checks of this repository, where they ask for it."""
    if os.environ.get("STRUCTSR_WITHOUT_GUI"):
        with pytest.raises(ModuleNotFoundError):
            import napari  # noqa: F401
