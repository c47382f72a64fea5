"""Names and messages in docks are text, never HTML."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QWidget

from napari_structsr.finetuning.runs import RunSummary
from napari_structsr.gui.compare.form import CompareForm
from napari_structsr.gui.compare.readout import ValueTable
from napari_structsr.gui.finetune.run_list import RunList
from napari_structsr.gui.upscale.running.estimate import EstimateLabel
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.gui.widgets.controls import enable, fill_combo, sentence

EVIL = '<img src="http://evil/x.png"> <b>cells</b> &lt;i&gt;'


def seen(text):
    """Return what is read in a text: the joiner takes no room."""
    return text.replace("\u2060", "")


@pytest.mark.parametrize(
    "text",
    [EVIL, "<b>a</b>", "&lt;b&gt;", "<!doctype html>", "<qt>", "<a >"],
)
def test_a_tooltip_is_never_taken_for_html(text):
    assert not Qt.mightBeRichText(keep_plain(text))
    assert seen(keep_plain(text)) == text


def test_other_texts_stay_as_they_are():
    assert keep_plain("a & b, 3 > 2, Zürich") == "a & b, 3 > 2, Zürich"


def tips(widget):
    found = [widget, *widget.findChildren(QWidget)]
    return [one.toolTip() for one in found if one.toolTip()]


def test_every_label_that_shows_a_name_is_plain(qtbot, tmp_path):
    runs = RunList()
    qtbot.addWidget(runs)
    summary = RunSummary(tmp_path, "mine", 2, EVIL, "stopped", 3, 1.0)
    runs.show_runs([summary], busy=False)
    form = CompareForm()
    qtbot.addWidget(form)
    form.show_blink(EVIL, alone=False)
    form.show_list([EVIL], [])
    labels = [sentence(EVIL), EstimateLabel()]
    for label in labels:
        qtbot.addWidget(label)
    labels += [one for one in runs.findChildren(QLabel) if one.text()]
    labels += [form.shown, form.note, form.place]
    assert len(labels) > 5
    for label in labels:
        assert label.textFormat() == Qt.TextFormat.PlainText, label.text()
    said = tips(runs) + tips(form) + [form.list.item(0).toolTip()]
    assert any("img" in tip for tip in said)
    for tip in said:
        assert not Qt.mightBeRichText(tip), tip


def test_cards_layers_and_obstacles_are_plain_in_tooltips(qtbot):
    combo, button, readout = QComboBox(), QPushButton(), ValueTable()
    for widget in (combo, button, readout):
        qtbot.addWidget(widget)
    fill_combo(combo, {"a": ("mine", EVIL)}, None)
    enable(button, EVIL, "Run.")
    readout.show_names([EVIL])
    said = [
        combo.itemData(0, Qt.ItemDataRole.ToolTipRole),
        button.toolTip(),
        readout.item(0, 0).toolTip(),
    ]
    for tip in said:
        assert seen(tip) == EVIL
        assert not Qt.mightBeRichText(tip)
