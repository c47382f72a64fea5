"""The form of the second step: which model is trained, for how long, and how."""

from __future__ import annotations

from typing import cast

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QLineEdit, QWidget
from superqt import QLabeledSlider
from superqt.utils import signals_blocked

from napari_structsr.gui.finetune.train_state import (
    BUDGETS,
    MODES,
    Parent,
    TrainChoice,
    TrainState,
)
from napari_structsr.gui.widgets.controls import (
    choice_combo,
    fill_combo,
    make_form,
    row,
    select,
    stack,
)

_OWN = 0.0  # stands for any number of minutes


class TrainForm(QWidget):
    """What the user can choose."""

    changed = Signal()
    """The user has changed something."""
    named = Signal()
    """The user has given a name."""

    def __init__(self) -> None:
        super().__init__()
        self._offered: tuple[tuple[Parent, str | None], ...] = ()
        self.parent_model = choice_combo("Parent model", {})
        self.parent_model.setToolTip("The model to begin with; it stays as it is.")
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the new model")
        self.name.setToolTip("As it will be offered in the Upscale dock.")
        self.budget = choice_combo("Time", BUDGETS)
        self.minutes = QDoubleSpinBox()
        self.minutes.setAccessibleName("Minutes")
        self.minutes.setRange(0.05, 60 * 24)
        self.minutes.setDecimals(2)
        self.minutes.setSuffix(" min")
        self.minutes.setKeyboardTracking(False)
        self.more = QCheckBox("more options")
        self.more.setToolTip("Show what rarely needs to be changed.")
        self.mode = choice_combo("Trained weights", MODES)
        self.replay = QLabeledSlider(Qt.Orientation.Horizontal)
        self.replay.setRange(0, 90)
        self.replay.setAccessibleName("Replay in per cent")
        self.replay.setToolTip(
            "Share of the training, in per cent, on images as the parent was trained "
            "for, so that it does not forget them."
        )
        self._layout = make_form(
            [
                ("Parent", self.parent_model),
                ("New model", self.name),
                ("Time", row(self.budget, self.minutes)),
                ("", self.more),
                ("Weights", self.mode),
                ("Replay", self.replay),
            ]
        )
        stack(self, self._layout)
        self.show_more(False)
        for combo in (self.parent_model, self.budget, self.mode):
            combo.currentIndexChanged.connect(self.changed)
        self.minutes.valueChanged.connect(self.changed)
        self.replay.valueChanged.connect(self.changed)
        # not textChanged, which a suggestion of the dock emits as well
        self.name.textEdited.connect(self.named)
        self.name.textEdited.connect(self.changed)
        self.more.toggled.connect(self.show_more)

    def choice(self) -> TrainChoice:
        """Return what the form says."""
        parent = self.parent_model.currentData()
        return TrainChoice(
            parent=parent.name if parent is not None else "",
            name=self.name.text().strip(),
            minutes=self.budget.currentData() or self.minutes.value(),
            mode=self.mode.currentData(),
            replay=self.replay.value() / 100,
        )

    @property
    def parent_choice(self) -> Parent | None:
        """The model to begin with, with its factor."""
        parent: Parent | None = self.parent_model.currentData()
        return parent

    def show_choice(self, choice: TrainChoice) -> None:
        """Fill the form."""
        own = choice.minutes not in BUDGETS
        select(self.budget, _OWN if own else choice.minutes)
        for box, value in (
            (self.minutes, choice.minutes),
            (self.replay, round(100 * choice.replay)),
        ):
            with signals_blocked(box):
                box.setValue(value)
        select(self.mode, choice.mode)
        self.name.setText(choice.name)
        self.minutes.setVisible(self.budget.currentData() == _OWN)

    def show_state(self, state: TrainState, *, locked: bool) -> None:
        """Show which models the pairs can train; a running training locks the form."""
        # not at every change: it would close the list while the user looks at it
        if state.parents != self._offered:
            self._offered = state.parents
            self._offer_parents(state.choice.parent)
        self.minutes.setVisible(self.budget.currentData() == _OWN)
        self.setEnabled(not locked)

    def show_more(self, shown: bool) -> None:
        """Show or hide what rarely needs to be changed."""
        self._layout.setRowVisible(self.mode, shown)
        self._layout.setRowVisible(self.replay, shown)

    def _offer_parents(self, name: str) -> None:
        """Fill the choice of parents; those that cannot be trained say why."""
        combo, offered = self.parent_model, dict(self._offered)
        before = combo.currentData()
        # the one chosen before, or that name with the factor of new pairs
        wanted = min(
            (parent for parent, obstacle in offered.items() if obstacle is None),
            key=lambda one: (
                one != before,
                before is None or one.name != before.name,
                one.name != name,
            ),
            default=None,
        )
        entries = {
            one: (one.label, why or one.description) for one, why in offered.items()
        }
        fill_combo(combo, entries, wanted)
        for number, obstacle in enumerate(offered.values()):
            # Qt can disable an entry only in the model behind the combo
            item = cast(QStandardItemModel, combo.model()).item(number)
            if item is not None:
                item.setEnabled(obstacle is None)
        if wanted is None:
            with signals_blocked(combo):
                combo.setCurrentIndex(-1)
