"""Make the pictures of the documentation: real viewers, real runs.

    python scripts/screenshots.py [docs/images]
    python scripts/screenshots.py OUT --size 1366x768 --theme light --only preview

Without a display, a virtual one is started (Debian package xvfb). Other sizes and
themes show whether the docks have room, and can be read, there as well. The settings
of the user's own napari are neither read nor changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

_SHOW = {"size": (1400, 900), "theme": "dark"}  # of every window


def main(words: argparse.Namespace) -> None:
    """Write every picture, or those that are asked for, into a folder."""
    folder = words.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    _SHOW["size"], _SHOW["theme"] = words.size, words.theme
    for name, shoot in _SHOTS.items():
        if name in words.only or not words.only:
            shoot(folder)


def _read_words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default="docs/images")
    parser.add_argument("--size", type=_read_size, default=_SHOW["size"])
    parser.add_argument("--theme", choices=["dark", "light"], default="dark")
    parser.add_argument("--only", nargs="*", choices=_SHOTS, default=[])
    return parser.parse_args()


def _read_size(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def _shoot_preview(folder: Path) -> None:
    """Show a preview in its frame, amid what was measured."""
    viewer, dock = _open_viewer()
    _add_sample(viewer, "stack_sample")
    viewer.dims.set_point(0, 1.0)
    _look_at(viewer, centre=(1.0, 22.0, 17.5), width=10)
    dock.preview_button.click()
    _wait(lambda: len(viewer.layers) == 2)
    _save(viewer, dock, folder / "preview.png")


def _shoot_lens(folder: Path) -> None:
    """Show what lies below the mouse through the lens."""
    viewer, dock = _open_viewer()
    layer = _add_sample(viewer, "stack_sample")
    viewer.dims.set_point(0, 1.0)
    _look_at(viewer, centre=(1.0, 22.0, 17.5), width=14)
    dock.look.lens_button.click()
    _wait(lambda: "lens" in viewer.layers)
    viewer.cursor.position = (1.0, 22.0, 17.5)
    for callback in viewer.mouse_move_callbacks:
        callback(viewer, None)
    _settle(5)
    viewer.layers.selection.active = layer
    _save(viewer, dock, folder / "lens.png")


def _shoot_measured_blur(folder: Path) -> None:
    """Show the width measured on two beads, and the image with it undone and kept."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    viewer, dock = _open_viewer()
    random = np.random.default_rng(0)
    light = np.zeros((300, 300))
    light[tuple(random.integers(10, 290, (2, 60)))] = 25_000
    light[(20, 40), (20, 160)] = 25_000
    rows, columns = np.indices(light.shape)
    light[(rows - 300) ** 2 + (columns - 300) ** 2 < 90**2] += 600
    pixels = random.poisson(gaussian_filter(light, 1.2) + 100).astype(np.uint16)
    layer = viewer.add_image(
        pixels, name="cells", scale=(0.1, 0.1), units=("um", "um"), gamma=0.7
    )
    _settle(1)
    form = dock.form
    form.model.setCurrentIndex(form.model.findData("conditional"))
    form.optics.undo.setChecked(True)
    form.optics.source.setCurrentIndex(form.optics.source.findData("bead"))
    form.optics.measure.click()
    marks = viewer.layers[-1]
    marks.add(((20, 20), (40, 160)))
    viewer.layers.selection = {layer}
    _look_at(viewer, centre=(15.0, 15.0), width=32)
    dock.preview_button.click()
    _wait(lambda: not dock.wishes.isHidden())
    _save(viewer, dock, folder / "measured-blur.png")


def _shoot_stack(folder: Path) -> None:
    """Show the sample stack, before and after."""
    viewer, dock = _open_viewer()
    _add_sample(viewer, "stack_sample")
    viewer.dims.set_point(0, 1.0)
    dock.run_button.click()
    _wait(lambda: len(viewer.layers) == 2)
    _show_side_by_side(viewer)
    _look_at(viewer, centre=(1.0, 18.0, 13.5), width=14)
    _save(viewer, dock, folder / "upscale_dock.png")


def _shoot_sharpness(folder: Path) -> None:
    """Show the sample stack, faithful and sharp, and the slider between them."""
    viewer, dock = _open_viewer()
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
    _show_side_by_side(viewer)
    _look_at(viewer, centre=(1.0, 22.0, 16.5), width=10)
    _save(viewer, dock, folder / "sharpness.png")


def _shoot_colour(folder: Path) -> None:
    """Show the sample in colour, before and after."""
    viewer, dock = _open_viewer()
    _add_sample(viewer, "colour_sample")
    dock.run_button.click()
    _wait(lambda: len(viewer.layers) == 2)
    _show_side_by_side(viewer)
    _look_at(viewer, centre=(74.0, 75.0), width=48)
    _save(viewer, dock, folder / "upscale_colour.png")


def _shoot_progress(pictures: Path) -> None:
    """Show several layers on their way into a folder."""
    import numpy as np

    viewer, dock = _open_viewer()
    layer = _add_sample(viewer, "stack_sample")
    layer.name = "membranes"
    long = np.tile(layer.data, (8, 1, 1))
    same = {key: getattr(layer, key) for key in ("scale", "units", "axis_labels")}
    for name in ("membranes, day 2", "membranes, day 3"):
        viewer.add_image(long, name=name, **same)
    viewer.add_labels(np.zeros(layer.data.shape, int), name="mask", **same)
    viewer.layers.selection = set(viewer.layers)
    viewer.dims.set_point(0, 1.0)
    _look_at(viewer, centre=(1.0, 16.5, 14.0), width=34)
    with TemporaryDirectory() as folder:
        dock.form.output.setCurrentIndex(1)
        os.chdir(folder)
        Path("results").mkdir()
        dock.form.folder.line_edit.value = "results"
        dock.run_button.click()
        _wait(lambda: "10 of" in dock.jobs.rows[1].text)
        _settle(0.3)
        _shoot_window(viewer, pictures / "progress.png")
        dock.cancel_button.click()
        _wait(lambda: all(row.job.has_ended for row in dock.jobs.rows))
        viewer.close()
        os.chdir("/")


def _shoot_structure_error(folder: Path) -> None:
    """Show what an inspection finds in a result with two planted faults."""
    from napari_structsr.gui.inspect.dock import ErrorDock

    viewer, result, truth = _plant_faults()
    truth.visible = False
    viewer.layers.selection = {result, truth}
    dock = ErrorDock(viewer)
    viewer.window.add_dock_widget(dock, name="Structure error", area="right")
    _inspect(dock, "ssim", "gradient", "change", "residual", "trust")
    choose = dock.maps.map
    choose.setCurrentIndex(choose.findData("ssim"))
    viewer.layers.selection = {dock.maps.layer}
    _look_at(viewer, centre=(1.0, 16.5, 14.0), width=30)
    _shoot_window(viewer, folder / "structure_error_dock.png")
    dock.maps.threshold.setValue(40)
    dock.maps.worst.setCurrentCell(0, 0)
    _shoot_window(viewer, folder / "structure_error_worst.png")
    dock.maps.threshold.setValue(0)
    dock.open_tab("Scores")
    _look_at(viewer, centre=(1.0, 16.5, 14.0), width=30)
    _shoot_window(viewer, folder / "structure_error_scores.png")
    viewer.close()


def _shoot_comparison(folder: Path) -> None:
    """Compare source, results and truth, in a grid and by a swipe."""
    from napari_structsr.gui.inspect.dock import ErrorDock

    viewer, result, truth = _plant_faults()
    dock = ErrorDock(viewer)
    viewer.window.add_dock_widget(dock, name="Structure error", area="right")
    dock.open_tab("Compare")
    viewer.layers.selection = {result}
    dock.compare.layers = [viewer.layers["cells"], result, truth]
    dock.compare.start("side by side")
    _look_at(viewer, centre=(1.0, 9.0, 13.5), width=9)
    viewer.cursor.position = (1.0, 8.0, 11.5)
    _shoot_window(viewer, folder / "compare_grid.png")
    dock.compare.end()
    dock.compare.layers = [viewer.layers["cells"], result]
    dock.compare.start("swipe")
    _look_at(viewer, centre=(1.0, 9.0, 13.5), width=16)
    viewer.cursor.position = (1.0, 8.0, 11.5)
    _shoot_window(viewer, folder / "compare_swipe.png")
    dock.compare.end()
    viewer.close()


def _plant_faults():  # type: ignore[no-untyped-def]
    """Upscale the sample stack, plant two faults, and add the truth and regions."""
    import numpy as np
    from scipy.ndimage import gaussian_filter
    from skimage.color import rgb2hed
    from skimage.data import immunohistochemistry

    viewer, dock = _open_viewer()
    measured = _add_sample(viewer, "stack_sample")
    measured.name = "cells"
    dock.form.model.setCurrentIndex(dock.form.model.findData("sharp"))
    dock.run_button.click()
    _wait(lambda: len(viewer.layers) == 2)
    viewer.window.remove_dock_widget(dock)
    result = viewer.layers[1]
    pixels = np.array(result.data)
    patch = pixels[:, 100:164, 190:254]
    pixels[:, 100:164, 190:254] = np.rot90(patch, axes=(1, 2))
    columns = np.arange(110, 260)
    rows = 300 + 12 * np.sin(columns / 25)
    for width in range(-2, 3):
        pixels[2, np.rint(rows).astype(int) + width, columns] = 2600
    result.data = pixels
    stain = rgb2hed(immunohistochemistry())[..., 2]
    low, high = np.percentile(stain, (0.5, 99.9))
    fine = np.clip((stain - low) / (high - low), 0, 1) * 4000 + 200
    planes = [gaussian_filter(fine, blur) for blur in (3, 1.5, 0, 1.5, 3)]
    same = ("scale", "translate", "units", "axis_labels", "contrast_limits")
    truth = viewer.add_image(
        np.stack(planes).astype(np.uint16),
        name="truth",
        **{key: getattr(result, key) for key in same},
    )
    viewer.add_shapes(
        [
            np.array([[1, 4, 8], [1, 4, 19], [1, 14, 19], [1, 14, 8]]),
            np.array([[1, 20, 14], [1, 20, 21], [1, 32, 21], [1, 32, 14]]),
        ],
        shape_type="rectangle",
        name="gland",
        units=measured.units,
        edge_color="#56b4e9",
        face_color="transparent",
        edge_width=0.1,
    )
    viewer.dims.set_point(0, 1.0)
    return viewer, result, truth


def _inspect(dock, *keys: str) -> None:  # type: ignore[no-untyped-def]
    """Tick maps and run."""
    from qtpy.QtCore import Qt

    form = dock.inspect.form
    form.regions.setCurrentIndex(form.regions.findText("gland"))
    for key in form.maps.keys() - set(keys):
        form.maps.lines[key].setCheckState(Qt.CheckState.Unchecked)
    _settle()
    dock.inspect.run_button.click()
    _wait(lambda: all(row.job.has_ended for row in dock.inspect.jobs.rows))


def _shoot_window(viewer, path: Path) -> None:  # type: ignore[no-untyped-def]
    """Take a picture of the whole window."""
    from PIL import Image

    _settle()
    pixels = viewer.window.screenshot(canvas_only=False, flash=False)
    # as many colours as the eye tells apart here, in a third of the bytes
    few = Image.fromarray(pixels[..., :3]).quantize(256, kmeans=3, dither=0)
    few.save(path, optimize=True)
    print(path)


def _shoot_fine_tuning(folder: Path) -> None:
    """Show the three steps of fine-tuning: pairs, training, verdict."""
    from napari.layers import Layer

    from napari_structsr.gui.finetune.dock import FineTuneDock
    from napari_structsr.gui.sample_data import pair_sample

    with TemporaryDirectory() as models:
        os.environ["STRUCTSR_MODELS"] = models
        viewer = _make_viewer()
        for data in pair_sample():
            viewer.add_layer(Layer.create(*data))
        dock = FineTuneDock(viewer)
        viewer.window.add_dock_widget(dock, name="Fine-tune", area="right")
        viewer.window.resize(*_SHOW["size"])
        _settle(1)
        dock.pairs.draw_button.click()
        corners = ((10, 8, 118, 118), (6, 148, 126, 232), (134, 18, 250, 78))
        viewer.layers.selection.active.add_rectangles(
            [[(t, x), (t, r), (b, r), (b, x)] for t, x, b, r in corners]
        )
        dock.pairs.add_button.click()
        _wait(lambda: not dock.pairs.is_busy)
        _look_at(viewer, centre=(25.4, 25.4), width=54)
        _shoot_window(viewer, folder / "finetune_pairs.png")

        dock.train.form.budget.setCurrentIndex(dock.train.form.budget.findData(2.0))
        dock.train.form.name.setText("my-microscope")
        dock.train.start_button.click()
        curves = dock.train.progress.curves
        _wait(lambda: len(curves.lines("psnr")["adapted"]) > 7, seconds=600)
        _shoot_window(viewer, folder / "finetune_train.png")
        _wait(lambda: not dock.train.is_running, seconds=600)
        dock.sections["train"].open(False)
        _shoot_window(viewer, folder / "finetune_verdict.png")
        viewer.close()
        del os.environ["STRUCTSR_MODELS"]


def _add_sample(viewer, name: str):  # type: ignore[no-untyped-def]
    """Open a sample of the plugin."""
    from napari.layers import Layer

    from napari_structsr.gui import sample_data

    return viewer.add_layer(Layer.create(*getattr(sample_data, name)()[0]))


def _show_side_by_side(viewer) -> None:  # type: ignore[no-untyped-def]
    """Show all layers beside each other."""
    viewer.canvas.grid.enabled = True
    viewer.canvas.grid.stride = 1


def _make_viewer():  # type: ignore[no-untyped-def]
    """Open a viewer in the theme that is asked for."""
    import napari

    viewer = napari.Viewer(title="napari", show_welcome_screen=False)
    viewer.theme = _SHOW["theme"]
    return viewer


def _open_viewer():  # type: ignore[no-untyped-def]
    """Open a viewer with the dock, large enough to read."""
    from napari_structsr.gui.upscale.dock import UpscaleDock

    viewer = _make_viewer()
    dock = UpscaleDock(viewer)
    # whatever an earlier picture has run, which the dock remembers
    dock.form.model.setCurrentIndex(dock.form.model.findData("faithful"))
    viewer.window.add_dock_widget(dock, name="Upscale", area="right")
    viewer.window.resize(*_SHOW["size"])
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
    _shoot_window(viewer, path)
    viewer.close()


def _wait(done: Callable[[], bool], *, seconds: float = 120) -> None:
    """Run the event loop until something has happened."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"the picture did not get ready within {seconds:g} s")
        _settle(0.05)


def _settle(seconds: float = 0.5) -> None:
    """Let the event loop draw."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


_SHOTS: dict[str, Callable[[Path], None]] = {
    "preview": _shoot_preview,
    "lens": _shoot_lens,
    "stack": _shoot_stack,
    "sharpness": _shoot_sharpness,
    "colour": _shoot_colour,
    "measured-blur": _shoot_measured_blur,
    "progress": _shoot_progress,
    "structure-error": _shoot_structure_error,
    "comparison": _shoot_comparison,
    "fine-tuning": _shoot_fine_tuning,
}

if __name__ == "__main__":
    asked = _read_words()
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        if not shutil.which("xvfb-run"):
            sys.exit("there is no display; install xvfb, or run this on a desktop")
        screen = "-screen 0 {}x{}x24".format(*(side + 100 for side in asked.size))
        command = ["xvfb-run", "-a", "-s", screen, sys.executable, *sys.argv]
        sys.exit(subprocess.call(command))
    with TemporaryDirectory() as settings:
        # docks open with defaults here, and what is done here is not remembered there;
        # napari reads this when it is imported
        os.environ["NAPARI_CONFIG"] = str(Path(settings, "settings.yaml"))
        main(asked)
