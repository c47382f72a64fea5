"""The form of the upscale dock: from widgets to a `Choice`, and back.

It owns labels, tooltips and the order of the rows; what the choices mean together is
decided by `resolve`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QSizePolicy, QWidget
from superqt import QLabeledSlider
from superqt.utils import signals_blocked

from napari_structsr.gui.upscale.state import AGREEMENTS, COLORS, Choice, DockState

__all__ = ["UpscaleForm"]


class UpscaleForm(QWidget):
    """What the user can choose."""

    changed = Signal()
    """The user has changed something."""

    def __init__(self) -> None:
        super().__init__()
        self._base = Choice()
        self.layers_label = QLabel()
        self.layers_label.setWordWrap(True)
        narrow = QSizePolicy.Policy.Ignored  # a sentence does not widen the dock
        self.layers_label.setSizePolicy(narrow, QSizePolicy.Policy.Preferred)
        self.model = _combo({})
        self.sharpness = QLabeledSlider(Qt.Orientation.Horizontal)
        self.sharpness.setRange(0, 100)
        self.sharpness.setPageStep(10)
        self.sharpness.setToolTip(
            "0 is faithful, 100 is sharp: more contrast in fine detail, more risk."
        )
        self.factor = _combo({n: (f"×{n}", "") for n in (2, 4)})
        self.factor.setToolTip("Pixels along y and x for each pixel of the image.")
        self.agreement = _combo(AGREEMENTS)
        self.color = _combo(COLORS)
        self.output = _combo(
            {
                "memory": ("In memory", "A new layer; save it to keep it."),
                "zarr": (
                    "OME-Zarr folder",
                    "Written tile by tile, for results larger than memory; "
                    "a cancelled run can be continued.",
                ),
            }
        )
        self.folder = FileEdit(mode=FileDialogMode.EXISTING_DIRECTORY, nullable=True)
        self.folder.choose_btn.text = "…"
        self.folder.native.setToolTip(
            "Folder in which a store named after each layer is made."
        )
        self._layout = QFormLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        grow = QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        self._layout.setFieldGrowthPolicy(grow)
        self._layout.addRow("Layers", self.layers_label)
        self._layout.addRow("Model", self.model)
        self._layout.addRow("Sharpness", self.sharpness)
        self._layout.addRow("Factor", self.factor)
        self._layout.addRow("Agreement", self.agreement)
        self._layout.addRow("Colour", self.color)
        self._layout.addRow("Output", self.output)
        self._layout.addRow("Folder", self.folder.native)
        for combo in self._combos():
            combo.currentIndexChanged.connect(self._tell)
        self.folder.changed.connect(self._tell)
        self.sharpness.valueChanged.connect(self._tell)

    def offer_models(self, models: Mapping[str, str]) -> None:
        """Offer models, and keep the one that is chosen if it is still there.

        Parameters
        ----------
        models
            Name and description of each, the preferred first.
        """
        with signals_blocked(self.model):
            before = self.model.currentData()
            self.model.clear()
            _fill(self.model, {name: (name, text) for name, text in models.items()})
        _select(self.model, before)

    def choice(self) -> Choice:
        """Return what the form says."""
        folder = None
        if self.output.currentData() == "zarr":
            folder = Path(str(self.folder.value or ""))
        return Choice(
            model=self.model.currentData(),
            factor=self.factor.currentData(),
            agreement=self.agreement.currentData(),
            color=self.color.currentData(),
            folder=folder,
            device=self._base.device,
            tile=self._base.tile,
            sharpness=self.sharpness.value() / 100,
        )

    def show_choice(self, choice: Choice) -> None:
        """Fill the form."""
        self._base = choice
        _select(self.model, choice.model)
        _select(self.factor, choice.factor)
        _select(self.agreement, choice.agreement)
        _select(self.color, choice.color)
        _select(self.output, "memory" if choice.folder is None else "zarr")
        with signals_blocked(self.sharpness):
            self.sharpness.setValue(round(100 * choice.sharpness))

    def show_state(self, state: DockState) -> None:
        """Show the layers, and only the rows and factors that have a meaning."""
        self.layers_label.setText(state.layers)
        factors = cast(QStandardItemModel, self.factor.model())
        for index in range(self.factor.count()):
            if item := factors.item(index):
                item.setEnabled(self.factor.itemData(index) in state.factors)
        _select(self.factor, state.choice.factor)
        self._layout.setRowVisible(self.sharpness, state.shows_sharpness)
        self._layout.setRowVisible(self.color, state.shows_color)
        self._layout.setRowVisible(self.folder.native, state.choice.folder is not None)
        for combo in self._combos():
            if text := combo.currentData(_TIP):
                combo.setToolTip(text)

    def _combos(self) -> tuple[QComboBox, ...]:
        return self.model, self.factor, self.agreement, self.color, self.output

    def _tell(self) -> None:
        self.changed.emit()


_TIP = Qt.ItemDataRole.ToolTipRole


def _combo(entries: Mapping[Any, tuple[str, str]]) -> QComboBox:
    combo = QComboBox()
    _fill(combo, entries)
    return combo


def _fill(combo: QComboBox, entries: Mapping[Any, tuple[str, str]]) -> None:
    for index, (value, (text, explanation)) in enumerate(entries.items()):
        combo.addItem(text, value)
        combo.setItemData(index, explanation, _TIP)


def _select(combo: QComboBox, value: object) -> None:
    index = combo.findData(value)
    if index >= 0:
        with signals_blocked(combo):
            combo.setCurrentIndex(index)
