"""Make the pictures of the documentation: real viewers, real runs.

    python scripts/screenshots.py [docs/images]

Without a display, a virtual one is started (Debian package xvfb).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

_SIZE = (1400, 900)


def main(folder: Path) -> None:
    """Write every picture into a folder."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    _preview(folder / "preview.png")
    _stack(folder / "upscale_dock.png")
    _sharpness(folder / "sharpness.png")
    _colour(folder / "upscale_colour.png")
    _progress(folder / "progress.png")


def _preview(path: Path) -> None:
    """Show a preview in the middle of what has not been upscaled."""
    viewer, dock = _viewer_with_dock()
    _add_sample(viewer, "stack_sample")
    viewer.dims.set_point(0, 1.0)
    _look_at(viewer, centre=(1.0, 22.0, 17.5), width=6)
    dock.preview_button.click()
    _wait(lambda: len(viewer.layers) == 2)
    _look_at(viewer, centre=(1.0, 22.0, 17.5), width=14)
    _save(viewer, dock, path)


def _stack(path: Path) -> None:
    """Show the sample stack, before and after."""
    viewer, dock = _viewer_with_dock()
    _add_sample(viewer, "stack_sample")
    viewer.dims.set_point(0, 1.0)
    dock.run_button.click()
    _wait(lambda: len(viewer.layers) == 2)
    _side_by_side(viewer)
    _look_at(viewer, centre=(1.0, 18.0, 13.5), width=14)
    _save(viewer, dock, path)


def _sharpness(path: Path) -> None:
    """Show the sample stack, faithful and sharp, and the slider between them."""
    viewer, dock = _viewer_with_dock()
    measured = _add_sample(viewer, "stack_sample")
    viewer.dims.set_point(0, 1.0)
    dock.run_button.click()
    _wait(lambda: len(viewer.layers) == 2)
    viewer.layers.selection = {measured}
    dock.form.model.setCurrentIndex(dock.form.model.findData("sharp"))
    _settle(0.5)
    dock.run_button.click()
    _wait(lambda: len(viewer.layers) == 3)
    viewer.layers.move(1, 3)
    _side_by_side(viewer)
    _look_at(viewer, centre=(1.0, 22.0, 16.5), width=10)
    _save(viewer, dock, path)


def _colour(path: Path) -> None:
    """Show the sample in colour, before and after."""
    viewer, dock = _viewer_with_dock()
    _add_sample(viewer, "colour_sample")
    dock.run_button.click()
    _wait(lambda: len(viewer.layers) == 2)
    _side_by_side(viewer)
    _look_at(viewer, centre=(74.0, 75.0), width=48)
    _save(viewer, dock, path)


def _progress(path: Path) -> None:
    """Show several layers on their way into a folder."""
    import numpy as np

    viewer, dock = _viewer_with_dock()
    layer = _add_sample(viewer, "stack_sample")
    layer.name = "membranes"
    long = np.tile(layer.data, (8, 1, 1))
    for name in ("membranes, day 2", "membranes, day 3"):
        viewer.add_image(long, name=name, scale=layer.scale, units=layer.units)
    nothing = np.zeros(layer.data.shape, int)
    viewer.add_labels(nothing, name="mask", scale=layer.scale, units=layer.units)
    viewer.layers.selection = set(viewer.layers)
    viewer.dims.set_point(0, 1.0)
    _look_at(viewer, centre=(1.0, 16.5, 14.0), width=34)
    with TemporaryDirectory() as folder:
        dock.form.output.setCurrentIndex(1)
        os.chdir(folder)
        Path("results").mkdir()
        dock.form.folder.line_edit.value = "results"
        dock.run_button.click()
        _wait(lambda: "10 of" in dock.rows[1].text)
        _settle(0.3)
        viewer.window.screenshot(str(path), canvas_only=False, flash=False)
        print(path)
        dock.cancel_button.click()
        _wait(lambda: all(row.job.has_ended for row in dock.rows))
        viewer.close()
        os.chdir("/")


def _add_sample(viewer, name: str):  # type: ignore[no-untyped-def]
    """Open a sample of the plugin."""
    from napari.layers import Layer

    from napari_structsr.gui import sample

    return viewer.add_layer(Layer.create(*getattr(sample, name)()[0]))


def _side_by_side(viewer) -> None:  # type: ignore[no-untyped-def]
    """Show all layers beside each other."""
    viewer.canvas.grid.enabled = True
    viewer.canvas.grid.stride = 1


def _viewer_with_dock():  # type: ignore[no-untyped-def]
    """Open a viewer with the dock, large enough to read."""
    import napari

    from napari_structsr.gui.upscale_dock import UpscaleDock

    viewer = napari.Viewer(title="napari", show_welcome_screen=False)
    dock = UpscaleDock(viewer)
    viewer.window.add_dock_widget(dock, name="Upscale", area="right")
    viewer.window.resize(*_SIZE)
    viewer.canvas.overlays.scale_bar.visible = True
    return viewer, dock


def _look_at(viewer, *, centre: tuple[float, ...], width: float) -> None:  # type: ignore[no-untyped-def]
    """Show a part of the world, `width` wide."""
    _settle()
    canvas = viewer.window.screenshot(canvas_only=True, flash=False).shape
    columns = canvas[1] / (2 if viewer.canvas.grid.enabled else 1)
    viewer.scene.camera.center = centre
    viewer.scene.camera.zoom = columns / width
    _settle()


def _save(viewer, dock, path: Path) -> None:  # type: ignore[no-untyped-def]
    """Take a picture of the whole window, and close it."""
    dock.estimate.estimate()
    _wait(lambda: "tile" in dock.estimate.text())
    _settle()
    viewer.window.screenshot(str(path), canvas_only=False, flash=False)
    viewer.close()
    print(path)


def _wait(done: Callable[[], bool]) -> None:
    """Run the event loop until something has happened."""
    end = time.monotonic() + 120
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("the picture did not get ready within two minutes")
        _settle(0.05)


def _settle(seconds: float = 0.5) -> None:
    """Let the event loop draw."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        if not shutil.which("xvfb-run"):
            sys.exit("there is no display; install xvfb, or run this on a desktop")
        screen = f"-screen 0 {_SIZE[0] + 100}x{_SIZE[1] + 100}x24"
        command = ["xvfb-run", "-a", "-s", screen, sys.executable, *sys.argv]
        sys.exit(subprocess.call(command))
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
