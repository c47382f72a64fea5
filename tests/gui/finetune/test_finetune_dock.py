"""The Fine-tune dock in a real viewer, the whole way: pairs, training, verdict, use."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Layer
from qtpy.QtCore import Qt
from scenes import choose, run_apart

from napari_structsr.gui.finetune.dock import FineTuneDock
from napari_structsr.gui.finetune.pairs_entry import PairEntry
from napari_structsr.gui.sample_data import pair_sample
from napari_structsr.gui.upscale.dock import UpscaleDock
from napari_structsr.zoo.catalogue import find_card, list_models

TIMEOUT = 180_000  # milliseconds; registration takes half a minute on one busy core
FIRST = [[10, 10], [10, 90], [90, 90], [90, 10]]
SECOND = [[130, 140], [130, 240], [230, 240], [230, 140]]


@pytest.fixture(autouse=True)
def models(monkeypatch, tmp_path):
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def tuning(viewer):
    """Return the dock beside the sample pair."""
    dock = FineTuneDock(viewer)
    viewer.window.add_dock_widget(dock, name="Fine-tune")
    for data in pair_sample():
        viewer.add_layer(Layer.create(*data))
    return dock


def wait(qtbot, done) -> None:
    qtbot.waitUntil(done, timeout=TIMEOUT)


def draw(viewer, dock, rectangles) -> None:
    dock.pairs.draw_button.click()
    viewer.layers.selection.active.add_rectangles(rectangles)


def add(dock, qtbot) -> None:
    dock.pairs.add_button.click()
    wait(qtbot, lambda: not dock.pairs.is_busy)


def train(dock, qtbot, *, minutes: float = 0.05) -> None:
    choose(dock.train.form.budget, 0.0)
    dock.train.form.minutes.setValue(minutes)
    dock.train.start_button.click()
    wait(qtbot, lambda: not dock.train.is_running)


def release(dock) -> None:
    for panel in (dock.pairs, dock.train, dock.verdict.models):
        panel.release()


def parent_hash() -> str:
    from importlib import resources

    weights = resources.files("napari_structsr") / "models/weights"
    bundle = weights / "faithful-x2.safetensors"
    return hashlib.sha256(bundle.read_bytes()).hexdigest()


def test_opening_imports_no_torch():
    script = """
import sys
import numpy as np
from qtpy.QtWidgets import QApplication
app = QApplication([])
from napari.components import ViewerModel
from napari_structsr.gui.finetune.dock import FineTuneDock
viewer = ViewerModel()
viewer.add_image(np.zeros((40, 50), np.uint16), name="low")
viewer.add_image(np.zeros((80, 100), np.uint16), name="high", scale=(0.5, 0.5))
dock = FineTuneDock(viewer)
dock.show()
app.processEvents()
assert dock.pairs.add_button.isEnabled()
assert "torch" not in sys.modules, "torch was imported"
"""
    run_apart(script)


def test_the_whole_way(viewer, tuning, qtbot, models, notifications):
    """Sample pair, two regions, a short training, accept, upscale with the model."""
    upscale = UpscaleDock(viewer)
    viewer.window.add_dock_widget(upscale, name="Upscale")
    low = viewer.layers["low resolution"]
    assert tuning.pairs.form.low.currentText() == "low resolution"
    assert tuning.pairs.form.high.currentText() == "high resolution"
    assert "no pairs yet" in tuning.train.start_button.toolTip()

    draw(viewer, tuning, [FIRST, SECOND])
    add(tuning, qtbot)

    entries = tuning.pairs.usable
    assert [entry.name for entry in entries] == ["region 1", "region 2"]
    for entry in entries:  # the stage was off by 1.3 and -0.8
        assert entry.pair.registration.shift == pytest.approx((-1.3, 0.8), abs=0.15)
    assert tuning.pairs.split.split is not None
    assert viewer.layers["split of low resolution"].data

    name = tuning.train.form.name.text()
    assert name == "my-faithful"
    train(tuning, qtbot)
    curves = tuning.train.progress.curves
    assert len(curves.lines("psnr")["adapted"]) > 1
    assert len(curves.lines("ssim")["bicubic"]) == len(curves.lines("ssim")["adapted"])
    assert tuning.train.progress.preview.images["truth"].width() > 0

    verdict = tuning.verdict
    scores = [verdict.table.item(2, column).text() for column in range(3)]
    assert all(scores)
    assert "expected error" in verdict.notes.text()  # two regions calibrate nothing
    again = FineTuneDock(viewer)  # as in a new session
    qtbot.addWidget(again)
    again.train.runs.buttons[0][0].click()
    assert [again.verdict.table.item(2, n).text() for n in range(3)] == scores
    assert again.verdict.sentence.text() == verdict.sentence.text()
    release(again)
    if verdict.sentence.text().startswith("✕"):  # so short a training may not suffice
        verdict.accept_button.click()
        assert verdict.accept_button.text() == "Keep it anyway"
    verdict.accept_button.click()
    wait(qtbot, lambda: verdict.folder is None)

    assert verdict.models.combo.count() == 1
    assert (models / "my-faithful-x2.safetensors").exists()
    assert not list((models / "runs").iterdir())
    viewer.layers.selection = {low}
    choose(upscale.form.model, "my-faithful")
    upscale.run_button.click()
    wait(qtbot, lambda: "low resolution ×2 my-faithful" in viewer.layers)
    assert viewer.layers["low resolution ×2 my-faithful"].data.shape == (512, 512)
    assert not [text for text in notifications() if "Error" in text]


def test_cancel_leaves_the_parent_and_a_run_that_can_be_removed(
    viewer, tuning, qtbot, models, monkeypatch
):
    before = parent_hash()
    draw(viewer, tuning, [FIRST])
    add(tuning, qtbot)
    choose(tuning.train.form.budget, 10.0)
    tuning.train.start_button.click()
    assert "under way" in tuning.train.start_button.toolTip()
    progress = tuning.train.progress
    wait(qtbot, lambda: progress.bar.value() > 0)

    tuning.train.pause_button.click()
    assert tuning.train.pause_button.text() == "Resume"
    tuning.train.cancel_button.click()
    wait(qtbot, lambda: not tuning.train.is_running)

    assert parent_hash() == before
    assert "my-faithful" not in [card.name for card in list_models()]
    assert "Stopped" in progress.message.text()
    assert [run.name for run in tuning.train.runs.runs] == ["my-faithful"]
    again = FineTuneDock(viewer)  # as in a new session
    qtbot.addWidget(again)
    (stopped,) = again.train.runs.runs
    assert stopped.state == "stopped"
    again.train.runs.buttons[0][0].click()  # go on
    wait(qtbot, lambda: again.train.progress.bar.maximum() > 1)
    assert again.train.runs.runs == []
    assert f"{stopped.step} steps made before" in again.train.progress.message.text()
    again.train.cancel_button.click()
    wait(qtbot, lambda: not again.train.is_running)
    tuning.train.refresh()
    tuning.train.form.name.setText("my-faithful")
    tuning.train.refresh()
    assert "listed below" in tuning.train.start_button.toolTip()

    from qtpy.QtWidgets import QMessageBox

    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda *arguments: yes)
    _, remove = tuning.train.runs.buttons[0]
    remove.click()
    assert not list((models / "runs").iterdir())
    assert tuning.train.start_button.isEnabled()
    release(again)


def test_pairs_that_do_not_belong_together_are_not_recommended(viewer, tuning, qtbot):
    draw(viewer, tuning, [FIRST, [[130, 150], [130, 230], [210, 230], [210, 150]]])
    add(tuning, qtbot)
    first, second = tuning.pairs.usable
    size = min(first.pair.measured.shape + second.pair.measured.shape)
    cut = [
        (one.pair.measured[:size, :size], one.pair.truth[: 2 * size, : 2 * size])
        for one in (first, second)
    ]
    mixed = [
        replace(one, pair=replace(one.pair, measured=cut[n][0], truth=cut[1 - n][1]))
        for n, one in enumerate((first, second))
    ]
    tuning.pairs.entries = mixed
    tuning.pairs.split.use_pairs(mixed)
    wait(qtbot, lambda: not tuning.pairs.is_busy)

    train(tuning, qtbot)

    verdict = tuning.verdict
    assert "do not seem to belong together" in verdict.sentence.text()
    verdict.accept_button.click()
    assert verdict.accept_button.text() == "Keep it anyway"
    assert not [card for card in list_models() if card.name == "my-faithful"]
    verdict.discard_button.click()
    assert tuning.train.runs.runs == []
    assert "no finished" in verdict.accept_button.toolTip()


def test_refused_pairs_stay_listed_with_the_reason(viewer, tuning, qtbot):
    draw(viewer, tuning, [[[10, 10], [10, 18], [18, 18], [18, 10]]])
    add(tuning, qtbot)

    (entry,) = tuning.pairs.entries
    assert entry.pair is None
    assert "draw a larger one" in entry.refused
    assert entry.refused in tuning.pairs.table.details.text()
    table = tuning.pairs.table.table  # the reason does not widen the other columns
    assert sum(table.columnWidth(n) for n in (1, 2, 3)) < tuning.minimumWidth()
    assert "no pairs yet" in tuning.train.start_button.toolTip()

    tuning.pairs.remove_button.click()
    assert tuning.pairs.entries == []


def test_images_that_are_no_pair(viewer, tuning, qtbot):
    draw(viewer, tuning, [FIRST])
    low, high = (viewer.layers[name] for name in ("low resolution", "high resolution"))
    # hardly more than the region: what lies around it is searched for the place, too
    first, second = low.data[:100, :100], high.data[:200, :200]
    found = []
    for measured, truth, place in (
        (first, first.copy(), 0),
        (np.full(first.shape, np.nan, np.float32), second, 0),
        (first, second, 1000),
        (first, np.flip(second), 0),
    ):
        low.data, high.data, high.translate = measured, truth, (place - 0.05,) * 2
        add(tuning, qtbot)
        (entry,) = tuning.pairs.entries
        found.append(entry.refused)
        tuning.pairs.remove_button.click()
    assert "are the same" in found[0]
    assert "no number" in found[1] or "NaN" in found[1]
    assert "do not overlap" in found[2]
    assert "cannot be laid on each other" in found[3]


def test_layers_that_cannot_be_taken_say_why(viewer, tuning):
    viewer.layers.clear()
    viewer.add_image(np.zeros((50, 60)), name="fine")
    viewer.add_image(np.zeros((50, 60), bool), name="mask")
    assert "mask is not offered: " in tuning.pairs.add_button.toolTip()


def test_a_config_that_cannot_be_written_leaves_nothing(
    viewer, tuning, qtbot, tmp_path, monkeypatch, notifications
):
    draw(viewer, tuning, [FIRST])
    add(tuning, qtbot)

    def refuse(self, *arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", refuse)
    tuning.train.save_config(tmp_path / "mine.json")
    wait(qtbot, lambda: "No space left on device" in " ".join(notifications()))
    assert [path.name for path in tmp_path.iterdir()] == []


def test_overlay_lies_where_the_pair_was_measured(viewer, tuning, qtbot):
    draw(viewer, tuning, [FIRST])
    add(tuning, qtbot)
    item = tuning.pairs.table.table.item(0, 0)
    item.setCheckState(Qt.CheckState.Checked)

    low = viewer.layers["low resolution"]
    (entry,) = tuning.pairs.entries
    rows, columns = entry.pair.where.rows, entry.pair.where.columns
    first = low.data_to_world((rows[0] - 0.5, columns[0] - 0.5))
    last = low.data_to_world((rows[1] - 0.5, columns[1] - 0.5))
    for name in ("region 1 measured", "region 1 truth"):
        layer = viewer.layers[name]
        edges = np.array([[-0.5, -0.5], np.array(layer.data.shape) - 0.5])
        assert layer.data_to_world(edges[0]) == pytest.approx(first)
        assert layer.data_to_world(edges[1]) == pytest.approx(last)
    assert viewer.layers["region 1 truth"].colormap.name == "green"
    assert item.checkState() == Qt.CheckState.Checked

    tuning.pairs.table.table.item(0, 0).setCheckState(Qt.CheckState.Unchecked)
    assert "region 1 truth" not in viewer.layers


def test_an_edited_split_is_checked_in_words(viewer, tuning, qtbot):
    draw(viewer, tuning, [FIRST])
    add(tuning, qtbot)
    layer = viewer.layers["split of low resolution"]
    assert set(layer.features["role"]) == {"training", "validation"}
    assert tuning.train.start_button.isEnabled()

    viewer.layers.selection.active = layer
    layer.selected_data = set(range(len(layer.data)))
    tuning.pairs.split.validation_button.click()
    wait(qtbot, lambda: not tuning.train.start_button.isEnabled())
    assert (
        "every region is for validation" in tuning.train.start_button.toolTip().lower()
    )

    tuning.pairs.split.reset_button.click()
    wait(qtbot, lambda: tuning.train.start_button.isEnabled())
    layer = viewer.layers["split of low resolution"]
    first = list(layer.features["role"]).index("training")
    layer.data = [
        np.array(FIRST, float) if n == first else corners
        for n, corners in enumerate(layer.data)
    ]
    wait(qtbot, lambda: not tuning.train.start_button.isEnabled())
    assert "⚠" in tuning.pairs.split.label.text()


def test_high_resolution_alone(viewer, tuning, qtbot):
    choose(tuning.pairs.form.kind, "high")
    choose(tuning.pairs.form.psf, "given")
    tuning.pairs.form.sigma.setValue(0.8)
    add(tuning, qtbot)
    (entry,) = tuning.pairs.entries
    assert entry.pair.measured.shape == (256, 256)
    assert entry.pair.psf_sigma == pytest.approx(0.8)
    split = viewer.layers["split of high resolution"]
    assert np.max([np.max(corners) for corners in split.data]) == 511.5


def test_pairs_from_folders_of_files(viewer, tuning, qtbot, tmp_path):
    low, high = viewer.layers
    for name, layer, pixel in (("low", low, 0.2), ("high", high, 0.1)):
        (tmp_path / name).mkdir()
        for number in (1, 2):
            half = slice(None, layer.data.shape[1] // 2)
            part = layer.data[:, half] if number == 1 else layer.data[:, half.stop :]
            tifffile.imwrite(
                tmp_path / name / f"field {number}.tif",
                part,
                ome=True,
                metadata={"axes": "YX", "PhysicalSizeX": pixel, "PhysicalSizeY": pixel},
            )
    choose(tuning.pairs.form.kind, "files")
    assert "Choose the low" in tuning.pairs.add_button.toolTip()
    tuning.pairs.form.low_path.line_edit.value = str(tmp_path / "low")
    tuning.pairs.form.high_path.line_edit.value = str(tmp_path / "high")
    for name in ("low", "high"):
        (tmp_path / name / "field 1.b.tif").write_bytes(b"no image")
    add(tuning, qtbot)
    assert [entry.name for entry in tuning.pairs.usable] == ["field 1", "field 2"]
    assert tuning.train.start_button.isEnabled()
    (refused,) = (entry for entry in tuning.pairs.entries if entry.pair is None)
    assert refused.name == "field 1.b"
    assert "not an image" in refused.refused


def test_saved_config_is_what_the_command_reads(viewer, tuning, qtbot, tmp_path):
    from napari_structsr.finetuning.config import read_fine_tuning
    from napari_structsr.finetuning.load_pairs import load_pairs
    from napari_structsr.finetuning.split_file import read_split

    draw(viewer, tuning, [FIRST])
    add(tuning, qtbot)
    layer = viewer.layers["split of low resolution"]
    exchanged = {"training": "validation", "validation": "training"}
    layer.features = {"role": [exchanged[role] for role in layer.features["role"]]}
    layer.events.data(value=layer.data)  # as after an edit
    before = tuning.pairs.split.split
    wait(qtbot, lambda: tuning.pairs.split.split is not before)
    edited = tuning.pairs.split.split
    assert edited.training == before.validation
    path = tmp_path / "mine.json"
    tuning.train.save_config(path)
    wait(qtbot, path.exists)

    moved = tmp_path / "cluster"
    moved.mkdir()
    for file in [path, *tmp_path.glob("*.zarr")]:
        file.rename(moved / file.name)
    config = read_fine_tuning(moved / path.name)
    (files,) = config.pairs
    assert files.region == (10, 90, 10, 90)
    assert read_split(config, load_pairs(config), gap=edited.gap) == edited
    rows = [edge for one in (*files.training, *files.validation) for edge in one.rows]
    assert min(rows) >= 10  # in pixels of the layer, not of the region
    assert max(rows) <= 90
    from napari_structsr.io.open import open_source

    stored = open_source(files.low)
    pixels = stored.read((), slice(0, 256), slice(0, 256))[0]
    assert np.array_equal(pixels, viewer.layers["low resolution"].data)
    assert stored.spec.axes["y"].scale == pytest.approx(0.2)


def test_export_and_import(viewer, tuning, qtbot, models, tmp_path):
    """A model that ships, under a new name, stands for one that was fine-tuned."""
    from importlib import resources

    from napari_structsr.io.weights import read_weights, write_bundle

    shipped = resources.files("napari_structsr") / "models/weights"
    card = find_card("faithful", factor=2).model_copy(update={"name": "mine"})
    models.mkdir(parents=True)
    write_bundle(
        models / "mine-x2.safetensors",
        card.model_dump(exclude={"sha256"}),
        read_weights(shipped / "faithful-x2.safetensors", sha256=card.sha256),
    )
    panel = tuning.verdict.models
    panel.refresh()
    panel.export(tmp_path / "mine.zip")
    wait(qtbot, (tmp_path / "mine.zip").exists)
    wait(qtbot, panel.remove_button.isEnabled)
    panel.remove()
    assert panel.combo.count() == 0
    assert "no models yet" in panel.export_button.toolTip()
    panel.import_file(tmp_path / "mine.zip")
    wait(qtbot, lambda: panel.combo.count() == 1)
    assert "mine" in [parent.name for parent, _ in tuning.train.state().parents]


def test_entry_without_a_layer_is_kept_when_the_split_is_edited(viewer, tuning, qtbot):
    """Files are not drawn, and their blocks stay as they were."""
    draw(viewer, tuning, [FIRST, SECOND])
    add(tuning, qtbot)
    first, second = tuning.pairs.usable
    entries: list[PairEntry] = [first, replace(second, frame=None)]
    tuning.pairs.entries = entries
    tuning.pairs.split.use_pairs(entries)
    wait(qtbot, lambda: not tuning.pairs.is_busy)
    split, obstacle = tuning.pairs.split.layers.read()
    assert obstacle is None
    assert {*split.training, *split.validation} == {
        *tuning.pairs.split.split.training,
        *tuning.pairs.split.split.validation,
    }


def test_pairs_and_parent_have_one_factor(viewer, tuning, qtbot):
    """A layer of quarter resolution makes pairs of x4, and the parent follows."""
    low = viewer.layers["low resolution"]
    height, width = low.data.shape
    quarter = low.data.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    place = np.array(low.translate) + np.array(low.scale) / 2
    coarse = viewer.add_image(
        quarter, name="coarse", scale=low.scale * 2, translate=place, units=low.units
    )
    viewer.layers.selection = {coarse, viewer.layers["high resolution"]}
    assert "×4 model" in tuning.pairs.form.hint.text()
    add(tuning, qtbot)

    assert [entry.pair.factor for entry in tuning.pairs.usable] == [4]
    combo = tuning.train.form.parent_model
    assert combo.currentText() == "faithful ×4"
    other = combo.findText("faithful ×2")
    assert not combo.model().item(other).isEnabled()
    assert "remove the pairs" in combo.itemData(other, Qt.ItemDataRole.ToolTipRole)
    assert tuning.train.start_button.isEnabled()
    choose(tuning.pairs.form.factor, 2)
    assert "pairs in the list are ×4" in tuning.pairs.add_button.toolTip()
    tuning.pairs.remove_button.click()
    tuning.pairs.remove_button.click()
    assert combo.model().item(other).isEnabled()
    add(tuning, qtbot)
    assert [entry.pair.factor for entry in tuning.pairs.usable] == [2]
    assert combo.currentText() == "faithful ×2"
