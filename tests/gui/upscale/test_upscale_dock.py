"""The dock in a real viewer: what a user sees after each click."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaozarrs
from qtpy.QtGui import QGuiApplication
from scenes import beads, centroid, choose, noise, run_apart, show

from napari_structsr.io.records import read_zarr_record
from napari_structsr.models.model import SRModel

TIMEOUT = 30_000


def ended(dock) -> bool:
    return bool(dock.jobs.rows) and all(row.job.has_ended for row in dock.jobs.rows)


def run(dock, qtbot) -> None:
    dock.run_button.click()
    qtbot.waitUntil(lambda: ended(dock), timeout=TIMEOUT)


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


@pytest.fixture
def slow_model(monkeypatch):
    """Let each tile take a while; return the tiles computed."""
    calls = []
    compute = SRModel.__call__

    def slow(self, image):
        if image.shape[-1] > 64:  # not the self-test of the device
            calls.append(image.shape)
            time.sleep(0.05)
        return compute(self, image)

    monkeypatch.setattr(SRModel, "__call__", slow)
    return calls


def test_opening_imports_no_torch_before_the_mouse_comes_near():
    script = """
import sys
import numpy as np
from qtpy.QtWidgets import QApplication
app = QApplication([])
from napari.components import ViewerModel
from napari_structsr.gui.upscale.dock import UpscaleDock
viewer = ViewerModel()
viewer.add_image(np.zeros((40, 50), np.uint16), name="cells")
dock = UpscaleDock(viewer)
dock.show()
app.processEvents()
assert dock.run_button.isEnabled()
assert dock.estimate.text() == "16 kB of output", dock.estimate.text()
assert "torch" not in sys.modules, "torch was imported"

from qtpy.QtCore import QPoint, QPointF, QThreadPool
from qtpy.QtGui import QEnterEvent
dock._mouse = QPoint(-1, -1)  # the mouse has moved since the dock was opened
app.sendEvent(dock, QEnterEvent(QPointF(), QPointF(), QPointF()))
QThreadPool.globalInstance().waitForDone(50_000)
app.processEvents()
assert dock.estimate.text().startswith("1 tile"), dock.estimate.text()
"""
    run_apart(script)


def test_estimate_follows_the_form(viewer, dock, qtbot):
    viewer.add_image(np.zeros((2, 40, 50), np.uint16), name="cells")

    dock.estimate.estimate()
    qtbot.waitUntil(lambda: "tile" in dock.estimate.text(), timeout=TIMEOUT)

    assert "32 kB of output" in dock.estimate.text()
    assert "cpu" in dock.estimate.text()

    choose(dock.form.factor, 4)
    qtbot.waitUntil(lambda: "128 kB" in dock.estimate.text(), timeout=TIMEOUT)


def test_run_that_would_fail_is_refused_in_words(viewer, dock, qtbot, monkeypatch):
    monkeypatch.setattr(
        "napari_structsr.upscaling.prepare.read_free_memory", lambda: 1000
    )
    viewer.add_image(noise((40, 50)), name="cells")

    dock.estimate.estimate()
    qtbot.waitUntil(lambda: not dock.run_button.isEnabled(), timeout=TIMEOUT)

    assert "memory is short" in dock.run_button.toolTip()
    assert dock.run_button.toolTip() == dock.estimate.text()

    monkeypatch.setattr(
        "napari_structsr.upscaling.prepare.read_free_memory", lambda: 10**9
    )
    choose(dock.form.factor, 4)
    qtbot.waitUntil(lambda: "tile" in dock.estimate.text(), timeout=TIMEOUT)
    assert dock.run_button.isEnabled(), dock.run_button.toolTip()


def test_run_puts_the_result_above_its_source(viewer, dock, qtbot, notifications):
    source = viewer.add_image(beads((40, 50), (20, 30)), name="cells", colormap="magma")
    viewer.add_image(np.zeros((40, 50)), name="other")
    viewer.layers.selection = {source}

    run(dock, qtbot)

    assert names(viewer) == ["cells", "cells ×2 bicubic", "other"]
    assert viewer.layers[1].data.shape == (80, 100)
    assert viewer.layers[1].data.dtype == np.uint16
    assert viewer.layers[1].colormap.name == "magma"
    assert list(viewer.layers.selection) == [source]
    assert dock.jobs.rows[0].text == "done"
    assert dock.run_button.isEnabled(), dock.run_button.toolTip()
    assert notifications() == []


def test_second_run_never_overwrites(viewer, dock, qtbot):
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")

    run(dock, qtbot)
    first = viewer.layers[1].data
    run(dock, qtbot)

    result = "cells ×2 bicubic"
    assert sorted(names(viewer)) == ["cells", result, f"{result} (2)"]
    assert any(layer.data is first for layer in viewer.layers)


def test_result_keeps_what_was_done(viewer, dock, qtbot):
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")

    run(dock, qtbot)

    kept = viewer.layers[1].metadata["structsr"]
    assert kept["source"] == "cells"
    assert kept["record"]["model"]["name"] == "bicubic"


def test_several_layers_with_a_row_each(viewer, dock, qtbot):
    for name in ("one", "two"):
        viewer.add_image(beads((40, 50), (20, 30)), name=name)
    viewer.add_labels(np.zeros((40, 50), int), name="mask")
    viewer.layers.selection = set(viewer.layers)

    assert "mask: labels hold no intensities" in dock.form.layers_label.text()
    run(dock, qtbot)

    assert names(viewer) == ["one", "one ×2 bicubic", "two", "two ×2 bicubic", "mask"]
    assert [row.text for row in dock.jobs.rows] == ["done", "done"]


def test_multiscale_layer(viewer, dock, qtbot):
    levels = [noise((600, 640)), noise((300, 320))]
    viewer.add_image(levels, multiscale=True, name="cells", scale=(0.13, 0.11))

    run(dock, qtbot)

    result = viewer.layers[1]
    assert result.multiscale
    assert result.data[0].shape == (1200, 1280)
    np.testing.assert_allclose(result.scale, (0.065, 0.055))


def test_source_removed_in_the_meantime(viewer, dock, qtbot, slow_model):
    source = viewer.add_image(noise((20, 64, 80)), name="cells")
    dock.run_button.click()
    viewer.layers.remove(source)
    qtbot.waitUntil(lambda: ended(dock), timeout=TIMEOUT)

    assert names(viewer) == ["cells ×2 bicubic"]


def test_colour_image(viewer, dock, qtbot):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    viewer.add_image(pixels, name="tissue", rgb=True)
    assert not dock.form.color.isHidden()
    choose(dock.form.color, "luminance")

    run(dock, qtbot)

    assert viewer.layers[1].rgb
    assert viewer.layers[1].data.shape == (80, 100, 3)
    record = viewer.layers[1].metadata["structsr"]["record"]
    assert record["settings"]["color"] == "luminance"


def test_colour_is_hidden_for_grey_images(viewer, dock):
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")

    assert dock.form.color.isHidden()
    assert dock.form.folder.native.isHidden()


@pytest.mark.parametrize("rgb", [False, True])
def test_into_ome_zarr(viewer, dock, qtbot, tmp_path: Path, rgb):
    scale = (0.13, 0.11)
    rng = np.random.default_rng(0)
    shape = (300, 310, 3) if rgb else (2, 300, 310)
    pixels = rng.integers(0, 255, shape, np.uint8)
    viewer.add_image(
        pixels, name="cells", rgb=rgb, scale=scale if rgb else (0.5, *scale), units="um"
    )
    run(dock, qtbot)
    in_memory = np.asarray(viewer.layers[1].data)
    choose(dock.form.output, "zarr")
    assert dock.run_button.toolTip() == "Choose the folder for the results."
    assert not dock.run_button.isEnabled()
    dock.form.folder.value = tmp_path

    run(dock, qtbot)

    store = tmp_path / "cells_x2_bicubic.ome.zarr"
    yaozarrs.validate_zarr_store(store)
    result = viewer.layers[2]  # above the one in memory
    assert result.multiscale
    assert result.rgb is rgb
    np.testing.assert_array_equal(np.asarray(result.data[0]), in_memory)
    np.testing.assert_allclose(result.scale[-2:], (0.065, 0.055))


def test_cancel_stops_within_a_tile_and_leaves_a_store_to_go_on_with(
    viewer, dock, qtbot, tmp_path: Path, slow_model
):
    viewer.add_image(noise((30, 64, 80)), name="cells")
    choose(dock.form.output, "zarr")
    dock.form.folder.value = tmp_path
    store = tmp_path / "cells_x2_bicubic.ome.zarr"

    dock.run_button.click()
    assert not dock.run_button.isEnabled()
    assert "under way" in dock.run_button.toolTip()
    qtbot.waitUntil(lambda: "2 of 30" in dock.jobs.rows[0].text, timeout=TIMEOUT)
    computed = len(slow_model)
    dock.cancel_button.click()
    qtbot.waitUntil(lambda: ended(dock), timeout=TIMEOUT)

    assert len(slow_model) <= computed + 1
    assert dock.jobs.rows[0].text == "cancelled"
    assert names(viewer) == ["cells"]
    assert read_zarr_record(store)[0] == "partial"
    assert dock.run_button.isEnabled(), dock.run_button.toolTip()

    plans = []
    dock.run_button.click()
    dock.jobs.rows[0].job.started.connect(lambda event: plans.append(event.plan))
    qtbot.waitUntil(lambda: ended(dock), timeout=TIMEOUT)

    assert plans[0].done >= 2
    assert read_zarr_record(store)[0] == "finished"
    assert names(viewer) == ["cells", "cells ×2 bicubic"]
    assert list(tmp_path.glob("cells*")) == [store]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("it broke")]
)
def test_failure_is_one_notification_and_run_is_enabled(
    viewer, dock, qtbot, monkeypatch, notifications, error
):
    def broken(self, image):
        if image.shape[-1] == 64:  # the self-test of the device passes
            return compute(self, image)
        raise error

    compute = SRModel.__call__
    monkeypatch.setattr(SRModel, "__call__", broken)
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")

    run(dock, qtbot)

    assert len(notifications()) == 1
    assert notifications()[0].startswith("Upscaling cells: ")
    assert dock.jobs.rows[0].text == "failed"
    assert dock.run_button.isEnabled(), dock.run_button.toolTip()
    assert names(viewer) == ["cells"]

    monkeypatch.setattr(SRModel, "__call__", compute)
    run(dock, qtbot)
    assert names(viewer) == ["cells", "cells ×2 bicubic"]


def test_closing_the_viewer_stops_the_run(
    plugin, make_napari_viewer, qtbot, slow_model, notifications
):
    from qtpy.QtCore import QThreadPool

    from napari_structsr.gui.upscale.dock import UpscaleDock
    from napari_structsr.gui.viewer.jobs import Job

    viewer = make_napari_viewer()
    dock = UpscaleDock(viewer)
    viewer.window.add_dock_widget(dock, name="Upscale")
    choose(dock.form.model, "bicubic")
    for name in ("one", "two"):
        viewer.add_image(noise((200, 64, 80)), name=name)
    viewer.layers.selection = set(viewer.layers)
    dock.run_button.click()
    qtbot.waitUntil(lambda: len(slow_model) >= 2, timeout=TIMEOUT)

    viewer.close()

    assert QThreadPool.globalInstance().activeThreadCount() == 0
    qtbot.waitUntil(lambda: not Job._alive, timeout=2000)
    assert len(slow_model) < 200
    assert notifications() == []


@pytest.mark.parametrize("place", [{}, {"translate": (5, -2, 3), "rotate": 30}])
def test_preview_lies_on_its_source(viewer, dock, qtbot, place):
    turn = np.eye(3)
    if place:
        turn[1:, 1:] = [[0.8, -0.6], [0.6, 0.8]]
    source = viewer.add_image(
        beads((3, 60, 70), (1, 31, 22)),
        name="cells",
        scale=(0.5, 0.13, 0.11),
        rotate=turn,
        translate=place.get("translate", (0, 0, 0)),
    )
    viewer.dims.set_point(0, source.data_to_world((1, 31, 22))[0])
    source.corner_pixels = np.array([[0, 10, 5], [0, 40, 60]])

    dock.preview_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)

    preview = viewer.layers[1]
    assert preview.data.shape[0] == 1
    assert preview.data.shape[1] < 2 * 60  # the visible rows
    found = preview.data_to_world((0, *centroid(np.asarray(preview.data)[0])))
    expected = source.data_to_world((1, *centroid(source.data[1])))
    np.testing.assert_allclose(found, expected, atol=0.02 * 0.11)


def test_preview_is_replaced_and_goes_with_the_run(viewer, dock, qtbot):
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")

    dock.preview_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)
    choose(dock.form.model, "bilinear")
    qtbot.waitUntil(
        lambda: names(viewer) == ["cells", "preview ×2 bilinear"], timeout=TIMEOUT
    )
    dock.preview_button.click()
    assert names(viewer) == ["cells"]
    choose(dock.form.model, "bicubic")
    dock.preview_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)
    assert names(viewer) == ["cells", "preview ×2 bicubic"]

    run(dock, qtbot)
    assert names(viewer) == ["cells", "cells ×2 bicubic"]


def test_removed_dock_takes_its_preview_along_and_leaves_the_viewer_alone(
    viewer, dock, qtbot
):
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")
    dock.preview_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)

    viewer.window.remove_dock_widget(dock)
    assert names(viewer) == ["cells"]
    dock.deleteLater()
    qtbot.wait(20)

    viewer.add_image(beads((40, 50), (20, 30)), name="more")  # changes the selection
    viewer.dims.ndisplay = 3


def test_preview_is_refused_in_words(viewer, dock):
    viewer.add_image(np.zeros((5, 40, 50)), name="cells")
    viewer.dims.ndisplay = 3
    assert "2D view" in dock.preview_button.toolTip()
    viewer.dims.ndisplay = 2
    viewer.dims.order = (1, 0, 2)
    assert "order of the axes" in dock.preview_button.toolTip()
    assert not dock.preview_button.isEnabled()


def test_buttons_say_why_they_cannot_work(viewer, dock):
    assert not dock.run_button.isEnabled()
    assert dock.run_button.toolTip() == "Select one or more image layers."
    assert dock.cancel_button.toolTip() == "Nothing is running."
    # what stands beside the layers is not said again
    assert dock.form.layers_label.text() == "Select one or more image layers."
    assert dock.reason.text() == ""

    viewer.add_image(noise((40, 50)), name="cells")
    choose(dock.form.output, "zarr")
    assert dock.reason.text() == "Choose the folder for the results."
    choose(dock.form.output, "memory")
    assert dock.reason.text() == ""

    viewer.add_points(np.zeros((3, 2)), name="spots")

    words = "spots: points hold no intensities; select an image"
    assert dock.run_button.toolTip() == words


def test_copy_gives_a_command_that_says_the_same(viewer, dock, tmp_path: Path):
    import tifffile

    path = tmp_path / "my cells.tif"
    tifffile.imwrite(path, beads((40, 50), (20, 30)))
    from napari.layers._source import layer_source

    with layer_source(path=str(path)):
        viewer.add_image(tifffile.imread(path), name="my cells")
    choose(dock.form.agreement, "exact")

    dock.copy_button.click()

    text = QGuiApplication.clipboard().text()
    assert text.startswith(f"structsr upscale '{path}' ")
    assert "--factor 2 --model bicubic --agreement exact" in text


def test_copy_gives_a_script_for_pixels_in_memory(
    viewer, dock, tmp_path: Path, monkeypatch
):
    viewer.add_image(beads((40, 50), (20, 30)), name="cells")
    monkeypatch.chdir(tmp_path)

    dock.copy_button.click()
    exec(QGuiApplication.clipboard().text(), {})

    assert read_zarr_record(tmp_path / "cells_x2_bicubic.ome.zarr")[0] == "finished"


def test_preferred_model_of_a_file_is_offered_by_its_name(
    viewer, plugin, qtbot, tmp_path, make_told_model
):
    from napari.settings import get_plugin_settings

    from napari_structsr.gui.upscale.dock import UpscaleDock
    from napari_structsr.io.weights import write_bundle

    model = make_told_model(2, tail=0.1, gains=0.1, psf_range=(0.25, 2.0))
    stem = tmp_path / "mine-x2"
    card = model.card.model_dump(exclude={"sha256"})
    write_bundle(stem, card, model.network.state_dict())
    path = str(stem.with_suffix(".safetensors"))
    get_plugin_settings("napari-structsr").upscale.model = path
    viewer.add_image(noise((40, 50)), name="cells")
    dock = UpscaleDock(viewer)
    viewer.window.add_dock_widget(dock)
    qtbot.waitUntil(lambda: dock.form.model.currentData() == path, timeout=TIMEOUT)

    assert dock.form.model.currentText() == "mine-x2"
    run(dock, qtbot)
    assert names(viewer)[-1] == "cells ×2 mine-x2"


def test_a_folder_that_is_asked_for_is_in_sight_on_a_small_screen(viewer, dock, qtbot):
    viewer.add_image(noise((40, 50)), name="cells")
    show(viewer, qtbot)
    viewer.window.resize(900, 420)
    qtbot.wait(200)
    row = dock.form.folder.native

    dock.form.output.setCurrentIndex(1)

    qtbot.waitUntil(lambda: row.visibleRegion().boundingRect() == row.rect())


def test_settings_of_the_user_fill_the_form(viewer, plugin):
    from napari.settings import get_plugin_settings

    from napari_structsr.gui.upscale.dock import UpscaleDock

    get_plugin_settings("napari-structsr").upscale.model = "bilinear"
    get_plugin_settings("napari-structsr").upscale.agreement = "exact"
    dock = UpscaleDock(viewer)
    viewer.window.add_dock_widget(dock)

    assert dock.form.model.currentText() == "bilinear"
    assert dock.form.agreement.currentText() == "Exact"
