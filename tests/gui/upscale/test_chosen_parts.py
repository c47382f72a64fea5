"""What is upscaled: a drawn region, some planes, some channels, a folder, a preset."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent, QGuiApplication
from scenes import beads, centroid, choose, noise
from typer.testing import CliRunner

from napari_structsr.cli import app
from napari_structsr.gui.upscale.presets import PRESETS

TIMEOUT = 60_000


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "models"))


@pytest.fixture
def results(tmp_path) -> Path:
    made = tmp_path / "results"
    made.mkdir()
    return made


def run(dock, qtbot) -> None:
    dock.run_button.click()
    qtbot.waitUntil(
        lambda: bool(dock.jobs.rows) and not dock.jobs.is_busy, timeout=TIMEOUT
    )


def write_to(dock, folder: Path) -> None:
    choose(dock.form.output, "zarr")
    dock.form.folder.value = folder


def say(field, text: str) -> None:
    field.setText(text)
    field.editingFinished.emit()


def copy_command(dock) -> str:
    assert dock.copy_button.isEnabled(), dock.copy_button.toolTip()
    dock.copy_button.click()
    return QGuiApplication.clipboard().text()


def write_stack(folder: Path) -> Path:
    path = folder / "cells.ome.tif"
    sizes = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "PhysicalSizeZ": 0.5}
    channels = {"Name": ["DAPI", "GFP", "Cy5"]}
    metadata = {"axes": "CZYX", "Channel": channels, **sizes}
    tifffile.imwrite(path, noise((3, 4, 60, 70)), metadata=metadata)
    return path


def draw(viewer, dock, corners) -> None:
    """Draw a rectangle as the mouse does, in pixels of the selected image."""
    dock.form.part.draw.click()
    shapes = viewer.layers.selection.active
    shapes.add_rectangles(np.array(corners))


def read_tree(folder: Path) -> dict[str, bytes | dict]:
    """Return every file, and the attributes of the store without its record."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    root = json.loads(found["zarr.json"])
    del root["attributes"]["structsr"]
    return {**found, "zarr.json": root}


@pytest.mark.parametrize("turned", [False, True])
def test_a_drawn_region_is_upscaled_where_it_lies(viewer, dock, qtbot, turned):
    turn = np.array([[0.8, -0.6], [0.6, 0.8]]) if turned else np.eye(2)
    source = viewer.add_image(
        beads((60, 70), (31, 42)),
        name="cells",
        scale=(0.13, 0.11),
        translate=(5, -3),
        rotate=turn,
    )
    draw(viewer, dock, [[19.6, 30.7], [19.6, 55.2], [44.4, 55.2], [44.4, 30.7]])

    # while one draws, the rectangle is selected, and stands for its image
    assert dock.form.layers_label.text() == "cells"
    assert dock.run_button.isEnabled(), dock.run_button.toolTip()
    run(dock, qtbot)

    result = viewer.layers["cells ×2 bicubic, part"]
    assert result.data.shape == (2 * 25, 2 * 25)  # rows 20 to 44, columns 31 to 55
    found = result.data_to_world(centroid(np.asarray(result.data)))
    expected = source.data_to_world(centroid(source.data))
    np.testing.assert_allclose(found, expected, atol=0.02 * 0.11)

    choose(dock.form.part.area, "")
    run(dock, qtbot)
    whole = np.asarray(viewer.layers["cells ×2 bicubic"].data)
    assert whole.shape == (120, 140)


def test_a_region_follows_the_rectangle_and_asks_for_one(viewer, dock):
    viewer.add_image(noise((60, 70)), name="cells")
    dock.form.part.draw.click()
    assert "draw a rectangle" in dock.run_button.toolTip()
    assert "raw a rectangle" in dock.reason.text()
    shapes = viewer.layers.selection.active

    shapes.add_rectangles(np.array([[100, 100], [100, 120], [120, 120], [120, 100]]))
    assert "draw it on the image" in dock.reason.text()
    shapes.add_rectangles(np.array([[10, 10], [10, 20], [20, 20], [20, 10]]))
    assert dock.run_button.isEnabled(), dock.run_button.toolTip()

    viewer.layers.remove(shapes)
    viewer.layers.selection = {viewer.layers["cells"]}
    assert dock.form.part.area.count() == 1
    assert dock.run_button.isEnabled(), dock.run_button.toolTip()


def test_some_planes_are_upscaled_in_their_place(viewer, dock, qtbot):
    source = viewer.add_image(
        beads((6, 40, 50), (3, 20, 30)), name="cells", scale=(2, 0.5, 0.5)
    )
    say(dock.form.part.planes, "2:5")
    run(dock, qtbot)

    result = viewer.layers[1]
    assert result.data.shape == (3, 80, 100)
    brightest = int(np.argmax(np.asarray(result.data).max(axis=(1, 2))))
    found = result.data_to_world((brightest, *centroid(result.data[brightest])))
    expected = source.data_to_world((3, *centroid(source.data[3])))
    np.testing.assert_allclose(found, expected, atol=0.01)

    say(dock.form.part.planes, "4:9")
    assert "give a part of 0:6" in dock.reason.text()
    assert not dock.run_button.isEnabled()


def test_this_plane_is_the_one_that_is_shown(viewer, dock, qtbot):
    data = np.zeros((3, 6, 40, 50), np.uint16)
    data[1, 4] = beads((40, 50), (20, 30))
    viewer.add_image(data, name="cells", axis_labels=("t", "z", "y", "x"))
    viewer.dims.current_step = (1, 4, 0, 0)
    dock.form.part.this_plane.click()
    assert dock.form.part.planes.text() == "t=1,z=4"
    run(dock, qtbot)

    result = viewer.layers[1]
    assert result.data.shape == (1, 1, 80, 100)
    assert np.asarray(result.data).max() > 1000
    np.testing.assert_allclose(result.translate[:2], (1, 4))


def test_channels_are_asked_for_where_there_are_some(viewer, dock, qtbot):
    plain = viewer.add_image(noise((40, 50)), name="plain")
    assert dock.form.part.channels.isHidden()
    assert dock.form.part._planes.isHidden()
    data = noise((3, 40, 50))
    viewer.add_image(data, name="cells", axis_labels=("c", "y", "x"))
    assert not dock.form.part.channels.isHidden()
    say(dock.form.part.channels, "2")
    run(dock, qtbot)
    part = np.asarray(viewer.layers["cells ×2 bicubic, part"].data)
    say(dock.form.part.channels, "")
    run(dock, qtbot)
    np.testing.assert_array_equal(
        part[0], np.asarray(viewer.layers["cells ×2 bicubic"].data)[2]
    )
    # what is asked of channels means nothing for an image without
    say(dock.form.part.channels, "2")
    viewer.layers.selection = {plain}
    assert dock.run_button.isEnabled(), dock.run_button.toolTip()


@pytest.mark.parametrize("reader", ["file", "file and region", "array", "placed"])
def test_copied_command_makes_the_bytes_of_the_part(
    viewer, dock, qtbot, tmp_path, results, reader, monkeypatch
):
    path = write_stack(tmp_path)
    if reader == "array":
        viewer.add_image(
            noise((3, 4, 60, 70)), name="cells", axis_labels=("c", "z", "y", "x")
        )
    elif reader == "placed":  # calibrated by its file, and with other pixels
        from napari.layers._source import layer_source

        with layer_source(path=str(path)):
            viewer.add_image(noise((3, 4, 60, 70)) // 2, name="cells")
    else:
        from napari_structsr.io.layer_file import find_layer_file

        layers = viewer.open(str(path), plugin="napari-structsr")
        assert find_layer_file(layers[-1])
        viewer.layers.selection = {layers[-1]}
    write_to(dock, results)
    say(dock.form.part.planes, "z=1:3")
    if dock.form.part.channels.isHidden() is False:
        say(dock.form.part.channels, "0,2")
    if reader != "file":
        ndim = viewer.layers.selection.active.ndim
        corners = np.zeros((4, ndim))
        corners[:, -2:] = [[9.6, 20], [9.6, 50], [40, 50], [40, 20]]
        draw(viewer, dock, corners)

    text = copy_command(dock)
    if reader.startswith("file"):
        words = shlex.split(text)
        assert words[:2] == ["structsr", "upscale"]
        assert words[words.index("--planes") + 1] == "z=1:3"
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, done.output
    else:
        monkeypatch.chdir(tmp_path)
        exec(text, {})
    [store] = results.iterdir()
    command = store.rename(tmp_path / "by_command")
    run(dock, qtbot)
    assert read_tree(command) == read_tree(store)


def test_a_folder_is_upscaled_as_the_command_does(
    viewer, dock, qtbot, tmp_path, results, notifications
):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in "ab":
        tifffile.imwrite(scans / f"{name}.tif", noise((40, 50 + ord(name) % 7)))
    (scans / "c.tif").write_bytes(b"no image")
    choose(dock.form.images, "folder")
    assert dock.run_button.toolTip() == "Choose the folder of the images."
    dock.form.image_folder.value = scans
    assert dock.form.layers_label.text() == "3 images: a.tif, b.tif, c.tif"
    assert "choose Output: OME-Zarr folder" in dock.reason.text()
    write_to(dock, results)

    words = shlex.split(copy_command(dock))
    run(dock, qtbot)

    row = dock.jobs.rows[0]
    assert row.text == "done"
    assert row.details.text().startswith("2 written, 1 failed.\nc.tif: ")
    assert sorted(path.name for path in results.iterdir()) == [
        "a-x2.ome.zarr",
        "b-x2.ome.zarr",
    ]
    assert len(viewer.layers) == 0
    # the command finds all of it done, by the same names, model and settings
    done = CliRunner().invoke(app, words[1:])
    assert done.output.count("was there already") == 2
    dock_made = [read_tree(path) for path in sorted(results.iterdir())]
    done = CliRunner().invoke(app, [*words[1:], "--overwrite"])
    assert dock_made == [read_tree(path) for path in sorted(results.iterdir())]

    run(dock, qtbot)
    assert "2 there already, 1 failed" in dock.jobs.rows[0].details.text()
    assert notifications() == []


def test_a_folder_is_cancelled_between_its_tiles(
    viewer, dock, qtbot, tmp_path, results
):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in "ab":
        tifffile.imwrite(scans / f"{name}.tif", noise((40, 64, 64)))
    choose(dock.form.images, "folder")
    dock.form.image_folder.value = scans
    write_to(dock, results)
    dock.run_button.click()
    row = dock.jobs.rows[0]
    seen = []
    row.job.progressed.connect(lambda _: seen.append(row.text))
    row.job.progressed.connect(lambda _: dock.cancel_button.click())
    qtbot.waitUntil(lambda: not dock.jobs.is_busy, timeout=TIMEOUT)
    assert row.text == "cancelled"
    assert "image 1 of 2" in seen[0]
    assert len(list(results.iterdir())) <= 1


@pytest.mark.parametrize("key", list(PRESETS))
def test_a_preset_sets_controls_and_says_which(viewer, dock, key):
    rgb = np.zeros((40, 50, 3), np.uint8)
    viewer.add_image(rgb, name="tissue", rgb=True)
    form, preset = dock.form, PRESETS[key]
    form.optics.undo.setChecked(True)
    choose(form.preset, key)

    choice = form.choice()
    assert (choice.model, choice.color) == (preset.model, preset.color)
    assert form.model.currentData() == preset.model
    # nobody has asked for this: the model is not told, or to keep the optics
    assert not dock._resolve().choice.optics.undo
    note = form.preset_note.text()
    assert not form.preset_note.isHidden()
    assert note.startswith(f"Set: model {preset.model}; ")
    assert preset.reason in form.preset.itemData(
        form.preset.currentIndex(), Qt.ItemDataRole.ToolTipRole
    )
    assert ("confocal" in note) == choice.optics.confocal == (key == "confocal")
    assert ("edge" in note) == (choice.optics.source == "edge") == (key == "sem")
    assert ("luminance" in note) == (key == "bright-field")

    choose(form.model, "bicubic")
    assert form.preset.currentData() == ""
    assert form.preset_note.isHidden()


def test_what_a_preset_has_set_is_seen_once_the_blur_is_undone(viewer, dock):
    viewer.add_image(noise((40, 50)), name="cells", scale=(0.1, 0.1), units="um")
    choose(dock.form.preset, "confocal")
    rows = dock.form.optics
    rows.undo.setChecked(True)
    assert not rows.confocal.isHidden()
    assert rows.confocal.isChecked()


def test_a_model_can_be_dropped_anywhere_on_the_dock(viewer, dock, qtbot, tmp_path):
    from napari_structsr.io.weights import read_card, read_weights, write_bundle
    from napari_structsr.zoo.shipped import WEIGHTS

    path = tmp_path / "lens.safetensors"
    card = read_card(WEIGHTS / "faithful-x4.json")
    weights = read_weights(WEIGHTS / "faithful-x4.json", sha256=card["sha256"])
    write_bundle(path, card | {"name": "lens"}, weights)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    assert dock.acceptDrops()
    dock.dropEvent(
        QDropEvent(
            QPointF(1, 1),
            Qt.DropAction.CopyAction,
            data,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
    )
    qtbot.waitUntil(lambda: dock.form.model.currentData() == str(path), timeout=TIMEOUT)
