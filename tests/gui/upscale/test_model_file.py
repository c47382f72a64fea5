"""Somebody else's model in the dock: loaded, used, remembered, refused in words."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog

from napari_structsr.io.weights import read_card, read_weights, write_bundle
from napari_structsr.zoo.opened_files import open_model_file, read_opened_files
from napari_structsr.zoo.shipped import WEIGHTS

TIMEOUT = 30_000


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "models"))


@pytest.fixture
def file(tmp_path):
    """Return a model in a folder of somebody else."""
    path = tmp_path / "from a friend" / "lens.safetensors"
    path.parent.mkdir()
    card = read_card(WEIGHTS / "faithful-x4.json")
    weights = read_weights(WEIGHTS / "faithful-x4.json", sha256=card["sha256"])
    write_bundle(path, card | {"name": "lens"}, weights)
    return path


def test_a_chosen_file_is_used_and_remembered(viewer, dock, file, qtbot, monkeypatch):
    viewer.add_image(np.zeros((20, 24), np.uint16), name="cells")
    answer = (str(file), "")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: answer)
    dock.form.file.button.click()
    qtbot.waitUntil(lambda: dock.form.model.currentData() == str(file), timeout=TIMEOUT)
    assert dock.form.model.currentText() == "lens"
    assert dock.form.factor.currentData() == 4
    assert dock.form.file.message.isHidden()

    dock.run_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)
    assert viewer.layers[1].name == "cells ×4 lens"
    assert viewer.layers[1].data.shape == (80, 96)


def test_a_file_that_was_opened_is_offered_by_the_next_dock(file, request):
    open_model_file(file)
    dock = request.getfixturevalue("dock")
    assert dock.form.model.findData(str(file)) >= 0


def test_what_is_no_model_is_refused_in_words(dock, tmp_path, qtbot):
    path = tmp_path / "cells.onnx"
    path.write_bytes(b"no network")
    before = dock.form.model.currentData()
    dock.form.file.open(path)
    qtbot.waitUntil(lambda: not dock.form.file.message.isHidden(), timeout=TIMEOUT)
    assert "cells.onnx" in dock.form.file.message.text()
    assert "get the file again" in dock.form.file.message.text()
    assert dock.form.model.currentData() == before
    assert dock.form.file.button.isEnabled()


def test_a_file_can_be_dropped(dock, file, qtbot):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    event = QDropEvent(
        QPointF(1, 1),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    dock.form.file.dropEvent(event)
    qtbot.waitUntil(lambda: dock.form.model.currentData() == str(file), timeout=TIMEOUT)


def test_files_that_are_gone_are_offered_no_more(file):
    open_model_file(file)
    assert [Path(one.path) for one in read_opened_files()] == [file]
    shutil.rmtree(file.parent)
    assert read_opened_files() == []
