"""Images and gestures that several tests need."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt


def noise(shape: tuple[int, ...]) -> np.ndarray:
    """Return a 12-bit image that no model can leave as it is."""
    return np.random.default_rng(0).integers(0, 4000, shape, np.uint16)


def choose(combo: Any, value: object) -> None:
    """Choose as a user does."""
    combo.setCurrentIndex(combo.findData(value))


def tick(dock: Any, *keys: str) -> None:
    """Tick maps as a user does, and no others."""
    for key, item in dock.inspect.form.maps.lines.items():
        wanted = Qt.CheckState.Checked if key in keys else Qt.CheckState.Unchecked
        item.setCheckState(wanted)


def find_port(own_ports: set[int]) -> int:
    """Return a port of this machine that nobody has, and that may be asked."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    own_ports.add(port)
    return port


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files of a folder, by their paths in it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def beads(shape: tuple[int, ...], position: tuple[int, ...]) -> np.ndarray:
    """Return a dark image with one round bright bead, three pixels wide."""
    grid = np.meshgrid(*(np.arange(size) for size in shape[-2:]), indexing="ij")
    distance = sum((g - p) ** 2 for g, p in zip(grid, position[-2:], strict=True))
    image = np.full(shape, 100, dtype=np.uint16)
    image[position[:-2]] += (3000 * np.exp(-distance / (2 * 1.5**2))).astype(np.uint16)
    return image


def centroid(plane: np.ndarray) -> np.ndarray:
    """Return the position of a bead in one plane, in pixels."""
    signal = plane.astype(float) - np.median(plane)
    signal[signal < 0.02 * signal.max()] = 0
    grid = np.indices(plane.shape)
    return np.array([(g * signal).sum() / signal.sum() for g in grid])


def pair(viewer: Any) -> tuple[Any, Any]:
    """Add an image and one of half the pixel size in the same place, with a bead."""
    source = viewer.add_image(
        beads((40, 50), (12, 18)), name="cells", contrast_limits=(0, 3200)
    )
    fine = viewer.add_image(
        beads((80, 100), (24.5, 36.5)),
        name="cells ×2",
        scale=(0.5, 0.5),
        translate=(-0.25, -0.25),
        colormap="green",
        contrast_limits=(0, 3200),
    )
    return source, fine


def show(viewer: Any, qtbot: Any) -> None:
    """Open the window, since nothing is drawn in a hidden one.

    napari with Mesa 22 under Xvfb can crash by itself where a layer is removed in a
    window that is seen, and another one is added later. So tests open the window only
    for what has to be drawn, and there add layers first and remove them last.
    """
    viewer.window.resize(900, 600)
    viewer.window.show()
    qtbot.waitUntil(lambda: viewer.canvas.size != (800, 600), timeout=10_000)


def shot(viewer: Any) -> np.ndarray:
    """Return the pixels of the canvas, as float."""
    pixels = viewer.window.screenshot(flash=False, canvas_only=True)
    return np.asarray(pixels)[..., :3].astype(float)


def run_apart(script: str) -> None:
    """Run a script with Qt in a process of its own, and fail if it fails."""
    # Left to itself Qt destroys widgets in no certain order after the last line, and
    # one time in three the process dies of it: what a script asserts is over by then.
    script += "\nimport os, sys\nsys.stderr.flush()\nos._exit(0)\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stderr
