"""Training and validation regions: choosing them, showing them, editing them.

A split is made anew whenever pairs or gap change, and may then be edited in the viewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari.viewer import Viewer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QPushButton, QWidget

from napari_structsr.gui.finetune.pairs_entry import PairEntry
from napari_structsr.gui.finetune.run import split_regions
from napari_structsr.gui.finetune.split_layer import SplitLayers
from napari_structsr.gui.finetune.train_state import Parent
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.widgets.controls import (
    complete_sentence,
    enable,
    row,
    sentence,
    stack,
)

if TYPE_CHECKING:
    from napari_structsr.finetuning.split import Split

_SHARE = 0.25  # of the pixels for validation


class SplitPanel(QWidget):
    """Divides pairs into training and validation regions, shown in a viewer."""

    changed = Signal()
    """The split is another one, or is being made."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._entries: Sequence[PairEntry] = ()
        self._parent_model: Parent | None = None
        self._job: Job | None = None
        self.split: Split | None = None
        self.obstacle: str | None = None
        self.layers = SplitLayers(viewer)
        self.show_box = QCheckBox("show split")
        self.show_box.setToolTip(
            "Rectangles on the image: training is blue, validation orange, and the "
            "gap between them is used by neither. Move, resize or delete them."
        )
        self.training_button = QPushButton("Training")
        self.validation_button = QPushButton("Validation")
        self.reset_button = QPushButton("Reset")
        self.label = sentence()
        roles = self.training_button, self.validation_button
        self._row = row(self.show_box, *roles, self.reset_button)
        stack(self, self._row, self.label)
        self.show_box.toggled.connect(self._toggle)
        self.training_button.clicked.connect(lambda: self.layers.set_role("training"))
        self.validation_button.clicked.connect(
            lambda: self.layers.set_role("validation")
        )
        self.reset_button.clicked.connect(self.make)
        self.layers.edited.connect(self._read_layers)
        self.layers.selected_changed.connect(self.refresh)
        self.refresh()

    @property
    def is_busy(self) -> bool:
        """Whether a split is being made."""
        return self._job is not None and not self._job.has_ended

    def release(self) -> None:
        """Leave the viewer alone from now on."""
        if self._job is not None:
            self._job.cancel()
        self.layers.remove()

    def use_pairs(self, entries: Sequence[PairEntry]) -> None:
        """Take other pairs; none of them was refused."""
        self._entries = list(entries)
        self.make()

    def use_parent(self, parent: Parent | None) -> None:
        """Take the model whose receptive field is the gap."""
        if parent != self._parent_model:
            self._parent_model = parent
            self.make()

    def make(self) -> None:
        """Choose training and validation regions anew, in the background."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        # nothing is trained on a split of other pairs while the new one is made
        self.split, self.obstacle = None, None
        self.layers.remove()
        pairs = [entry.pair for entry in self._entries if entry.pair is not None]
        parent = self._parent_model
        # the parent of the factor is chosen a moment after the first pair
        if pairs and parent is not None and parent.factor == pairs[0].factor:
            job = Job(
                "Choosing validation regions",
                lambda cancel: split_regions(pairs, parent, share=_SHARE),
                # a refusal stands below the pairs
                notifies=False,
            )
            self._job = job
            job.finished.connect(lambda event: self._show_new(job, event.output))
            job.failed.connect(lambda message: self._refuse(job, message))
            job.ended.connect(self._emit_changed)
            job.start()
        self._emit_changed()

    def refresh(self) -> None:
        """Say how the pairs are divided, or why they cannot be."""
        split = self.split
        self._row.setVisible(split is not None)
        chosen = (
            None
            if self.layers.selected_count
            else "Select rectangles of the split first: activate its layer, and take "
            "the arrow tool."
        )
        purpose = "Use the selected rectangles for"
        enable(self.training_button, chosen, f"{purpose} training.")
        enable(self.validation_button, chosen, f"{purpose} validation.")
        enable(self.reset_button, None, "Choose anew, without your changes.")
        if self.obstacle:
            text = f"⚠ {self.obstacle}"
        elif split is not None:
            training, validation = (
                sum(block.shape[0] * block.shape[1] for block in part)
                for part in (split.training, split.validation)
            )
            text = (
                f"{_count_regions(len(split.training))} for training (blue), "
                f"{_count_regions(len(split.validation))} for validation (orange, "
                f"{validation / max(1, training + validation):.0%} of the pixels); "
                f"{split.gap} pixels between the two are left out."
            )
        else:
            text = "Choosing validation regions…" if self.is_busy else ""
        self.label.setText(text)
        self.setVisible(bool(text))

    def _show_new(self, job: Job, split: Split) -> None:
        if job is not self._job:
            return  # the pairs have changed since it began
        self.split = split
        self.show_box.setChecked(True)
        self.layers.show(self._entries, split)

    def _refuse(self, job: Job, message: str) -> None:
        if job is self._job:
            self.obstacle = complete_sentence(message)

    def _read_layers(self) -> None:
        from napari_structsr.finetuning.split import check_split

        split, obstacle = self.layers.read()
        if split is not None:
            self.split = split
            pairs = [entry.pair for entry in self._entries if entry.pair is not None]
            faults = check_split(pairs, split)
            obstacle = " ".join(complete_sentence(one) for one in faults) or None
        # a split that may not be used stays as it is drawn, to be corrected
        self.obstacle = obstacle
        self._emit_changed()

    def _toggle(self, shown: bool) -> None:
        there = self.layers.layers
        if shown and not there and self.split is not None:
            # the user has removed the layer, which is brought back as it was read last
            self.layers.show(self._entries, self.split)
            self._read_layers()
        for layer in there:
            layer.visible = shown

    def _emit_changed(self) -> None:
        self.refresh()
        self.changed.emit()


def _count_regions(count: int) -> str:
    return "1 region" if count == 1 else f"{count} regions"
