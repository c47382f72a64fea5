"""The widgets of the compare panel, from top to bottom, and nothing of what they do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QSlider,
    QWidget,
)
from superqt import QElidingLabel
from superqt.utils import signals_blocked

from napari_structsr.gui.compare.comparison import PERIODS, Mode
from napari_structsr.gui.compare.readout import ValueTable
from napari_structsr.gui.viewer.plain_text import keep_plain, make_plain
from napari_structsr.gui.widgets.controls import (
    NarrowCombo,
    enable,
    fill_combo,
    make_form,
    stack,
)
from napari_structsr.gui.widgets.viewer_widget import SWIPE_KEY

MODES: dict[Mode, tuple[str, str]] = {
    "side by side": (
        "Side by side",
        "Show each layer in its own cell; moving or zooming one moves all.",
    ),
    "blink": ("Blink", "Show the layers one after the other in the same place."),
    "swipe": (
        "Swipe",
        "Show one layer left and one right of a line that can be dragged "
        f"({SWIPE_KEY}).",
    ),
}
"""Text and explanation of the button of each mode."""

_STEPS = 1000  # of the slider of the line
_ROWS = 6  # of the list of layers


class CompareForm(QWidget):
    """Shows layers with check boxes, modes, what each mode needs, and values."""

    ticked = Signal()
    """The user has ticked a box, or taken a tick away."""
    line_moved = Signal(float)
    """The user has moved the slider of the line: its share of the canvas."""

    def __init__(self) -> None:
        super().__init__()
        self.list = QListWidget()
        _tell(
            self.list,
            "Layers to compare",
            "Tick the images to compare. They may have pixels of different size: what "
            "counts is where they lie in the world.",
        )
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemChanged.connect(self.ticked)
        self.buttons: dict[Mode, QPushButton] = {}
        for mode, (text, _) in MODES.items():
            self.buttons[mode] = QPushButton(text)
            self.buttons[mode].setCheckable(True)
        self.end_button = QPushButton("End")
        self.note = make_plain(QLabel())
        self.note.setWordWrap(True)
        self.contrast = QCheckBox("Same contrast")
        # two contrasts would be taken for two results
        self.contrast.setChecked(True)
        self.place = make_plain(QLabel())
        self.place.setWordWrap(True)
        self.table = ValueTable()
        self.period = QDoubleSpinBox()
        self.period.setRange(*PERIODS)
        self.period.setSingleStep(0.1)
        self.period.setDecimals(1)
        self.period.setSuffix(" s")
        self.period.setValue(0.7)
        purpose = "Time for which each layer is shown"
        _tell(self.period, purpose, purpose)
        self.pause_button = QPushButton("Pause")
        self.pause_button.setToolTip("Stay with this layer.")
        self.next_button = QPushButton("Next")
        self.next_button.setToolTip(
            "Go on by hand; the space bar does it again. On the canvas, the keys , and "
            ". go back and on."
        )
        # a long name must not widen the dock
        self.shown = QElidingLabel()
        make_plain(self.shown)
        self.shown.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.shown.setMinimumWidth(60)
        self.left = NarrowCombo("Layer on the left", "Layer on the left of the line")
        self.right = NarrowCombo("Layer on the right", "Layer on the right of the line")
        self.line = QSlider(Qt.Orientation.Horizontal)
        self.line.setRange(0, _STEPS)
        self.line.setSingleStep(_STEPS // 100)
        self.line.setPageStep(_STEPS // 10)
        _tell(
            self.line,
            "Position of the line",
            "Moves the line. On the canvas it can be dragged, and the keys , and . "
            "move it.",
        )
        self.line.valueChanged.connect(lambda at: self.line_moved.emit(at / _STEPS))
        self._lay_out()

    def _lay_out(self) -> None:
        modes, blink = QHBoxLayout(), QHBoxLayout()
        for button in (*self.buttons.values(), self.end_button):
            modes.addWidget(button)
        for widget in (self.period, self.pause_button, self.next_button):
            blink.addWidget(widget)
        self._options = options = make_form()
        options.addRow("Every", blink)
        options.addRow("Visible", self.shown)
        options.addRow("Left", self.left)
        options.addRow("Right", self.right)
        options.addRow("Line", self.line)
        self._of_mode: dict[Mode, tuple[Any, ...]] = {
            "blink": (blink, self.shown),
            "swipe": (self.left, self.right, self.line),
        }
        below = (self.contrast, self.place, self.table)
        stack(self, self.list, modes, self.note, options, *below)
        policy = QSizePolicy.Policy
        self.list.setSizePolicy(policy.Expanding, policy.Fixed)

    def ticks(self) -> list[bool]:
        """Return which rows of the list are ticked."""
        items = (self.list.item(row) for row in range(self.list.count()))
        return [
            it is not None and it.checkState() == Qt.CheckState.Checked for it in items
        ]

    def show_list(self, names: Sequence[str], ticked: Collection[int]) -> None:
        """Show the layers, some of them ticked."""
        with signals_blocked(self.list):
            self.list.clear()
            for row, name in enumerate(names):
                item = QListWidgetItem(name)
                item.setToolTip(keep_plain(name))
                item.setFlags(
                    Qt.ItemFlag.ItemIsEnabled
                    | Qt.ItemFlag.ItemIsSelectable
                    | Qt.ItemFlag.ItemIsUserCheckable
                )
                item.setCheckState(
                    Qt.CheckState.Checked if row in ticked else Qt.CheckState.Unchecked
                )
                self.list.addItem(item)
        # no scroll bar within the scrolling dock, but for many layers
        row_height = self.list.sizeHintForRow(0) if names else 20
        rows = min(max(len(names), 2), _ROWS)
        self.list.setFixedHeight(rows * row_height + 2 * self.list.frameWidth() + 2)

    def show_sides(self, names: Sequence[str], left: int, right: int) -> None:
        """Show what stands on either side of the line."""
        # by position, since two layers may have one name
        for combo, index in ((self.left, left), (self.right, right)):
            fill_combo(combo, {n: (name, name) for n, name in enumerate(names)}, index)

    def show_mode(self, mode: Mode | None) -> None:
        """Show what the mode needs, and which one it is."""
        for name, button in self.buttons.items():
            button.setChecked(name == mode)
        for name, rows in self._of_mode.items():
            for row in rows:
                self._options.setRowVisible(row, name == mode)
        enable(
            self.end_button,
            "Nothing is being compared." if mode is None else None,
            "Show everything as it was before; on the canvas, Escape does it.",
        )

    def show_obstacles(self, obstacles: dict[Mode, str | None]) -> None:
        """Enable the modes that can work; say of the others why they cannot."""
        for mode, button in self.buttons.items():
            enable(button, obstacles[mode], MODES[mode][1])
        text = next(filter(None, obstacles.values()), "")
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def show_blink(self, name: str, *, alone: bool) -> None:
        """Show which layer is visible, and whether the next one comes by itself."""
        self.shown.setText(name)
        self.shown.setToolTip(keep_plain(name))
        self.pause_button.setText("Pause" if alone else "Go on")
        self.pause_button.setToolTip(
            "Stay with this layer." if alone else "Let the layers follow each other."
        )

    def show_line(self, share: float) -> None:
        """Show where the line is, without telling anybody."""
        with signals_blocked(self.line):
            self.line.setValue(round(share * _STEPS))


def _tell(widget: QWidget, name: str, purpose: str) -> None:
    widget.setAccessibleName(name)  # for readers of the screen
    widget.setToolTip(purpose)
