"""Tests in a real viewer; skipped with the reason where there can be none."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("NAPARI_STRICT_QT", "1")


def _obstacle() -> str | None:
    """Say why no viewer can be opened here."""
    for name in ("napari", "qtpy", "pytestqt"):
        if find_spec(name) is None:
            return f"{name} is not installed"
    if not any(find_spec(name) for name in ("PyQt6", "PySide6", "PyQt5")):
        return "no Qt is installed"
    headless = sys.platform.startswith("linux") and not os.environ.get("DISPLAY")
    if headless and not (find_spec("pytest_xvfb") and shutil.which("Xvfb")):
        return "there is no display, and no Xvfb with pytest-xvfb to make one"
    return None


OBSTACLE = _obstacle()


class SkippedModule(pytest.Module):
    """A module that is not even imported, since there can be no viewer."""

    def collect(self) -> Iterator[Any]:
        """Skip, and say why."""
        pytest.skip(f"no viewer: {OBSTACLE}", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> Any:
    """Skip every module here where no viewer can be opened."""
    if OBSTACLE and Path(__file__).parent in module_path.parents:
        return SkippedModule.from_parent(parent, path=module_path)
    return None


@pytest.fixture
def plugin(npe2pm: Any, plugin_settings: None) -> Any:
    """Register this plugin alone, with settings that nobody has changed."""
    import napari_structsr

    manifest = Path(napari_structsr.__file__).with_name("napari.yaml")
    with npe2pm.tmp_plugin(manifest=str(manifest)):
        yield npe2pm


@pytest.fixture
def viewer(plugin: Any, make_napari_viewer_proxy: Callable[..., Any]) -> Any:
    """Return a viewer, as plugins see it."""
    return make_napari_viewer_proxy()


@pytest.fixture
def dock(viewer: Any) -> Any:
    """Return the dock of the viewer, for the quickest model."""
    from scenes import choose

    from napari_structsr.gui.upscale.dock import UpscaleDock

    dock = UpscaleDock(viewer)
    viewer.window.add_dock_widget(dock, name="Upscale")
    choose(dock.form.model, "bicubic")
    return dock


@pytest.fixture(scope="module")
def own_machine() -> Iterator[None]:
    """Let names be looked up without asking anybody: all of them are this machine."""
    kind = socket.AF_INET, socket.SOCK_STREAM, 6, ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            socket,
            "getaddrinfo",
            lambda _, port, *__, **___: [(*kind, ("127.0.0.1", int(port or 0)))],
        )
        patch.setattr("distributed.utils._get_ip", lambda *_, **__: "127.0.0.1")
        yield


@pytest.fixture(scope="module")
def cluster(own_machine: None, own_ports: set[int]) -> Iterator[Any]:
    """Return a dask cluster of one worker, a thread here."""
    from distributed import LocalCluster
    from scenes import find_port

    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        scheduler_port=find_port(own_ports),
        port=find_port(own_ports),
        dashboard_address="127.0.0.1:0",
    ) as found:
        yield found


@pytest.fixture
def notifications() -> Callable[[], list[str]]:
    """Return what napari has told the user since the test began."""
    from napari.utils.notifications import notification_manager

    before = len(notification_manager.records)
    return lambda: [
        str(record.message) for record in notification_manager.records[before:]
    ]
