"""The slider between faithful and sharp, in a real viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from scenes import beads, choose, noise

from napari_structsr import MemorySink, iter_upscale, load_model, open_source, result_of

TIMEOUT = 60_000


@pytest.fixture
def dock(sharp, viewer):
    """Return a dock that offers sharp, which can be blended with faithful."""
    from napari_structsr.gui.upscale.dock import UpscaleDock

    dock = UpscaleDock(viewer)
    viewer.window.add_dock_widget(dock, name="Upscale")
    return dock


def run(dock, qtbot) -> None:
    dock.run_button.click()
    qtbot.waitUntil(
        lambda: bool(dock.jobs.rows) and not dock.jobs.is_busy,
        timeout=TIMEOUT,
    )


def test_the_row_is_there_for_models_with_a_partner_alone(viewer, dock):
    slider = dock.form.sharpness
    assert slider.isHidden()

    choose(dock.form.model, "sharp")
    assert not slider.isHidden()
    assert slider.value() == 100
    assert slider.toolTip() == (
        "0 is faithful, 100 is sharp: more contrast in fine detail, more risk."
    )

    choose(dock.form.model, "bicubic")
    assert slider.isHidden()


def test_a_run_at_sixty_per_cent(viewer, dock, qtbot, notifications):
    pixels = noise((40, 50))
    viewer.add_image(pixels, name="cells")
    choose(dock.form.model, "sharp")
    dock.form.sharpness.setValue(60)

    run(dock, qtbot)

    assert notifications() == []
    assert [layer.name for layer in viewer.layers] == ["cells", "cells ×2 sharp 60%"]
    result = viewer.layers[1]
    record = result.metadata["structsr"]["record"]
    assert record["model"]["sharpness"] == 0.6
    model = load_model("sharp", sharpness=0.6)
    expected = result_of(iter_upscale(open_source(pixels), model, MemorySink()))
    np.testing.assert_array_equal(np.asarray(result.data), expected)


def test_a_preview_follows_the_slider(viewer, dock, qtbot):
    viewer.add_image(noise((40, 50)), name="cells")
    choose(dock.form.model, "sharp")
    dock.form.sharpness.setValue(0)
    dock.preview_button.click()
    shown = []
    for value, name in ((0, "preview ×2 sharp 0%"), (100, "preview ×2 sharp")):
        dock.form.sharpness.setValue(value)
        qtbot.waitUntil(lambda name=name: name in viewer.layers, timeout=TIMEOUT)
        shown.append(np.array(viewer.layers[name].data))
    assert (shown[0] != shown[1]).any()


def test_the_keyboard_moves_it_and_the_estimate_follows(viewer, dock, qtbot):
    viewer.add_image(noise((40, 50)), name="cells")
    choose(dock.form.model, "sharp")
    told = []
    dock.form.changed.connect(lambda: told.append(dock.form.choice().sharpness))

    qtbot.keyClick(dock.form.sharpness._slider, Qt.Key.Key_Left)

    assert told == [0.99]
    dock.estimate.estimate()
    qtbot.waitUntil(lambda: "tile" in dock.estimate.text(), timeout=TIMEOUT)
    assert dock.run_button.isEnabled()


def test_a_model_without_partner_runs_whatever_the_slider_said(viewer, dock, qtbot):
    viewer.add_image(noise((40, 50)), name="cells")
    choose(dock.form.model, "sharp")
    dock.form.sharpness.setValue(30)
    choose(dock.form.model, "bicubic")

    run(dock, qtbot)
    assert viewer.layers[1].name == "cells ×2 bicubic"

    choose(dock.form.model, "sharp")
    assert dock.form.sharpness.value() == 30


def test_copies_say_it(viewer, dock, tmp_path: Path, monkeypatch):
    import tifffile
    from napari.layers._source import layer_source

    choose(dock.form.model, "sharp")
    dock.form.sharpness.setValue(60)
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, beads((40, 50), (20, 30)))
    with layer_source(path=str(path)):
        viewer.add_image(tifffile.imread(path), name="cells")
    dock.copy_button.click()
    assert "--model sharp --sharpness 0.6 " in QGuiApplication.clipboard().text()

    viewer.layers.clear()
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")
    dock.copy_button.click()
    script = QGuiApplication.clipboard().text()
    assert "model='sharp', factor=2, sharpness=0.6" in script
    monkeypatch.chdir(tmp_path)
    exec(script, {})
    assert (tmp_path / "cells_x2_sharp_60.ome.zarr").exists()


@pytest.mark.parametrize("model", ["sharp", "faithful"])
def test_the_preference_of_the_user(sharp, viewer, plugin, qtbot, notifications, model):
    from napari._app_model import get_app_model
    from napari.settings import get_plugin_settings

    from napari_structsr.gui.viewer.jobs import Job

    wishes = get_plugin_settings("napari-structsr").upscale
    wishes.model, wishes.sharpness = model, 40
    viewer.add_image(noise((40, 50)), name="cells")

    get_app_model().commands.execute_command("napari-structsr.upscale_x2")
    qtbot.waitUntil(lambda: not Job._alive, timeout=TIMEOUT)

    share = " 40%" if model == "sharp" else ""
    assert notifications() == []
    assert viewer.layers[1].name == f"cells ×2 {model}{share}"
