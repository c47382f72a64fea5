"""Small widgets that several docks need, each made one way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtGui import QPaintEvent, QResizeEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_structsr.gui.viewer.plain_text import keep_plain, make_plain

# the key of no layer; those of layers are unique ids
_NONE = "none"
_TIP = Qt.ItemDataRole.ToolTipRole
_GAP = 4  # pixels between a form and its scroll bar


class NarrowCombo(QComboBox):
    """A choice that does not widen a dock, and leaves out the middle of long names."""

    def __init__(self, name: str, tip: str = "") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setToolTip(tip)
        # otherwise the longest name would set the width of the dock
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self.setSizeAdjustPolicy(policy)
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw as Qt does, but with a shorter text."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        combo = QStyle.ComplexControl.CC_ComboBox
        if (style := self.style()) is not None:
            room = style.subControlRect(
                combo, option, QStyle.SubControl.SC_ComboBoxEditField, self
            )
            # in the middle, since names of results differ at their end
            option.currentText = option.fontMetrics.elidedText(
                option.currentText, Qt.TextElideMode.ElideMiddle, room.width() - 4
            )
        painter.drawComplexControl(combo, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()


class Section(QWidget):
    """A step of a dock: a heading that folds what stands below it."""

    def __init__(self, title: str, body: QWidget) -> None:
        super().__init__()
        self.body = body
        self.heading = QToolButton()
        self.heading.setText(title)
        self.heading.setCheckable(True)
        self.heading.setChecked(True)
        self.heading.setAutoRaise(True)
        self.heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.heading.setArrowType(Qt.ArrowType.DownArrow)
        policy = QSizePolicy.Policy
        self.heading.setSizePolicy(policy.Expanding, policy.Fixed)
        self.heading.setStyleSheet("QToolButton { font-weight: bold; }")
        self.heading.setToolTip("Fold or unfold this step.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.heading)
        layout.addWidget(body)
        self.heading.toggled.connect(self._fold)

    def open(self, is_open: bool = True) -> None:
        """Unfold, or fold."""
        self.heading.setChecked(is_open)

    def _fold(self, is_open: bool) -> None:
        self.body.setVisible(is_open)
        arrows = Qt.ArrowType
        self.heading.setArrowType(arrows.DownArrow if is_open else arrows.RightArrow)


class Scroll(QScrollArea):
    """Shows a form whole where there is room, and scrolls it on a small screen."""

    def __init__(self, body: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.setWidget(body)
        body.installEventFilter(self)
        if (bar := self.verticalScrollBar()) is not None:
            bar.rangeChanged.connect(self._keep_off_bar)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Ask for another height once rows were shown or hidden."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the size of the whole form, with its sentences wrapped."""
        body = self.widget()
        if body is None:
            return super().sizeHint()
        # without what the style draws around it, the form would be cut by as much
        frame = 2 * self.frameWidth()
        wide = max(self.width() - frame, body.minimumSizeHint().width())
        high = max(body.heightForWidth(wide), body.sizeHint().height())
        return QSize(body.sizeHint().width() + frame, high + frame)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the size below which nothing could be chosen."""
        body = self.widget()
        bar = self.verticalScrollBar()
        wide = body.minimumSizeHint().width() if body is not None else 0
        wide += _GAP + bar.sizeHint().width() if bar is not None else 0
        return QSize(wide + 2 * self.frameWidth(), 120)

    def reveal(self, row: QWidget) -> None:
        """Scroll to a row that has just been shown, once it has its place."""
        QTimer.singleShot(0, lambda: self._reveal(row))

    def _reveal(self, row: QWidget) -> None:
        if isalive(row) and row.isVisible():  # type: ignore[no-untyped-call]
            self.ensureWidgetVisible(row)

    def _keep_off_bar(self, first: int, last: int) -> None:
        # buttons that touch the bar look as if it cut them
        self.setViewportMargins(0, 0, _GAP if last > first else 0, 0)


def enable(widget: QWidget, obstacle: str | None, purpose: str) -> None:
    """Enable a button, or say in its tooltip why it cannot work."""
    widget.setEnabled(obstacle is None)
    widget.setToolTip(keep_plain(obstacle or purpose))


def show_reasons(
    label: QLabel, *obstacles: str | None, said: Sequence[str] = ()
) -> None:
    """Show why buttons cannot work, each reason once, unless it is `said` elsewhere."""
    reasons = [one for one in dict.fromkeys(obstacles) if one and one not in said]
    label.setText("\n".join(map(complete_sentence, reasons)))
    label.setVisible(bool(reasons))


class _Sentence(QLabel):
    """Is as high as its lines are at its width; Qt guesses the width."""

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the size of all lines."""
        return QSize(super().sizeHint().width(), self.heightForWidth(self.width()))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the size below which lines would be cut."""
        wide = super().minimumSizeHint().width()
        return QSize(wide, self.heightForWidth(self.width()))

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Ask for another height, since the lines break elsewhere."""
        super().resizeEvent(event)
        if event is not None and event.oldSize().width() != self.width():
            self.updateGeometry()


def sentence(text: str = "") -> QLabel:
    """Make a label that wraps, can be copied from, and does not widen the dock."""
    label = make_plain(_Sentence(text))
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def complete_sentence(text: str) -> str:
    """Return a message of the engine with a capital and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def format_number(value: float | None) -> str:
    """Write a number with the digits that matter, or "" where there is none."""
    # NaN is the one number that differs from itself
    if value is None or value != value:
        return ""
    if value == 0:
        return "0"
    if abs(value) >= 1e5 or abs(value) < 1e-3:
        return f"{value:.2e}"
    text = f"{value:.4g}" if abs(value) >= 1000 else f"{value:.3g}"
    # 99999.7 is rounded to 1e+05
    return f"{float(text):.0f}" if "e" in text else text


def row(*widgets: QWidget) -> QWidget:
    """Put widgets beside each other."""
    parent = QWidget()
    layout = QHBoxLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return parent


def stack(
    parent: QWidget, *parts: QWidget | QLayout, margins: tuple[int, ...] = (0, 0, 0, 0)
) -> None:
    """Put widgets and layouts below each other, in the order of the Tab key."""
    layout = QVBoxLayout(parent)
    layout.setContentsMargins(*margins)
    for part in parts:
        if isinstance(part, QLayout):
            layout.addLayout(part)
        else:
            layout.addWidget(part)


def make_form(rows: Sequence[tuple[str, QWidget]] = ()) -> QFormLayout:
    """Put titles and widgets beside each other, in the order of the Tab key."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    # the style of macOS would leave fields as narrow as their text
    grow = QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
    layout.setFieldGrowthPolicy(grow)
    for title, widget in rows:
        layout.addRow(title, widget)
    return layout


def make_path_edit(
    name: str, tip: str, *, mode: FileDialogMode, pattern: str | None = None
) -> FileEdit:
    """Make a choice of a file or a folder; empty at first."""
    edit = FileEdit(mode=mode, filter=pattern, nullable=True)
    edit.choose_btn.text = "…"
    edit.tooltip = tip
    edit.line_edit.native.setAccessibleName(name)
    edit.choose_btn.native.setAccessibleName(f"{name}: choose")
    return edit


def choice_combo(name: str, entries: Mapping[Any, tuple[str, str]]) -> NarrowCombo:
    """Make a choice between values, as in `fill_combo`."""
    combo = NarrowCombo(name)
    fill_combo(combo, entries, None)
    return combo


def fill_combo(
    combo: QComboBox, entries: Mapping[Any, tuple[str, str]], value: object
) -> None:
    """Offer values with text and explanation, and show one, without telling anybody.

    The first one is shown where the value is not offered.
    """
    with signals_blocked(combo):
        combo.clear()
        for index, (key, (text, explanation)) in enumerate(entries.items()):
            combo.addItem(text, key)
            combo.setItemData(index, keep_plain(explanation), _TIP)
        combo.setCurrentIndex(max(0, combo.findData(value)))


def select(combo: QComboBox, value: object) -> None:
    """Show a value, if it is offered, without telling anybody."""
    index = combo.findData(value)
    if index >= 0:
        with signals_blocked(combo):
            combo.setCurrentIndex(index)


def offer(
    combo: QComboBox, layers: Sequence[tuple[str, str]], key: str | None, *, none: str
) -> None:
    """Fill a choice of layers and show one, without telling anybody.

    Layers have a key and a name each; `none` is the text for no layer, shown where the
    key is None or unknown.
    """
    # the name is the tooltip too, since the box leaves out the middle of it
    entries = {_NONE: (f"— {none} —", "")} | {k: (name, name) for k, name in layers}
    fill_combo(combo, entries, key or _NONE)


def read_key(combo: QComboBox) -> str | None:
    """Return the key of the layer that is shown; None where there is none."""
    key = combo.currentData()
    return None if key in (None, _NONE) else str(key)
