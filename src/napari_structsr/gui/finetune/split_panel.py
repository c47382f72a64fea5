"""Which regions teach and which judge: choosing them, showing them, editing them.

It owns the split of the pairs and what is wrong with it in words. A split is made anew
whenever the pairs or the guard band change, and may then be edited in the viewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.viewer import Viewer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QPushButton, QVBoxLayout, QWidget

from napari_structsr.gui.finetune.pairs_entry import PairEntry
from napari_structsr.gui.finetune.run import split_events
from napari_structsr.gui.finetune.split_layer import SplitLayers
from napari_structsr.gui.finetune.train_state import Parent
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.widgets.controls import enable, row, sentence

if TYPE_CHECKING:
    from napari_structsr.finetuning.split import Split

__all__ = ["SplitPanel"]

_SHARE = 0.25  # of the regions that judges


class SplitPanel(QWidget):
    """Chooses which regions judge.

    Parameters
    ----------
    viewer
        Where they are shown.
    """

    changed = Signal()
    """The split is another one, or is being made."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._entries: Sequence[PairEntry] = ()
        self._parent_model: Parent | None = None
        self._job: Job | None = None
        self.split: Split | None = None
        self.fault: str | None = None
        self.layers = SplitLayers(viewer)
        self.show_box = QCheckBox("show split")
        self.show_box.setToolTip(
            "Rectangles on the image: what teaches is blue, what judges orange, and "
            "the gap between them is seen by neither. Move, resize or delete them."
        )
        self.teach_button = QPushButton("Teach")
        self.judge_button = QPushButton("Judge")
        self.again_button = QPushButton("Reset")
        self.label = sentence()
        self._line = row(
            self.show_box, self.teach_button, self.judge_button, self.again_button
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line)
        layout.addWidget(self.label)
        self.show_box.toggled.connect(self._toggle)
        self.teach_button.clicked.connect(lambda: self.layers.give_role("teaches"))
        self.judge_button.clicked.connect(lambda: self.layers.give_role("judges"))
        self.again_button.clicked.connect(self.make)
        self.layers.edited.connect(self._take)
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
        """Take the model whose receptive field is the guard band."""
        if parent != self._parent_model:
            self._parent_model = parent
            self.make()

    def make(self) -> None:
        """Choose anew which regions teach and which judge, in the background."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self.split, self.fault = None, None
        self.layers.remove()
        pairs = [entry.pair for entry in self._entries if entry.pair is not None]
        parent = self._parent_model
        if pairs and parent is not None and parent.factor == pairs[0].factor:
            job = Job(
                "Choosing regions that judge",
                lambda cancel: split_events(pairs, parent, share=_SHARE),
                notifies=False,
            )
            self._job = job
            job.finished.connect(lambda event: self._show_new(job, event.output))
            job.failed.connect(lambda message: self._refuse(job, message))
            job.ended.connect(self._tell)
            job.start()
        self._tell()

    def refresh(self) -> None:
        """Say what teaches and what judges, or why that cannot be."""
        split = self.split
        self._line.setVisible(split is not None)
        chosen = (
            None
            if self.layers.selected
            else "Select rectangles of the split first: activate its layer, and take "
            "the arrow tool."
        )
        enable(self.teach_button, chosen, "Let the selected rectangles teach.")
        enable(self.judge_button, chosen, "Let the selected rectangles judge.")
        enable(self.again_button, None, "Choose anew, without your changes.")
        if self.fault:
            text = f"⚠ {self.fault}"
        elif split is not None:
            taught, judged = (
                sum(block.shape[0] * block.shape[1] for block in part)
                for part in (split.training, split.validation)
            )
            text = (
                f"{_count(len(split.training), 'teach')} (blue), "
                f"{_count(len(split.validation), 'judge')} (orange, "
                f"{judged / max(1, taught + judged):.0%} of the pixels); "
                f"{split.gap} pixels between the two are left out."
            )
        else:
            text = "Choosing regions that judge…" if self.is_busy else ""
        self.label.setText(text)
        self.setVisible(bool(text))

    def _show_new(self, job: Job, split: Split) -> None:
        """Show a split that was made, unless it is no longer wanted."""
        if job is not self._job:
            return
        self.split = split
        self.show_box.setChecked(True)
        self.layers.show(self._entries, split)

    def _refuse(self, job: Job, message: str) -> None:
        """Keep why there is no split."""
        if job is self._job:
            self.fault = _sentence(message)

    def _take(self) -> None:
        """Take the rectangles as the user has left them."""
        from napari_structsr.finetuning.split import check_split

        split, fault = self.layers.read()
        if split is not None:
            self.split = split
            pairs = [entry.pair for entry in self._entries if entry.pair is not None]
            faults = check_split(pairs, split)
            fault = " ".join(_sentence(one) for one in faults) or None
        self.fault = fault
        self._tell()

    def _toggle(self, shown: bool) -> None:
        """Show or hide the rectangles."""
        there = self.layers.layers
        if shown and not there and self.split is not None:
            self.layers.show(self._entries, self.split)
            self._take()
        for layer in there:
            layer.visible = shown

    def _tell(self) -> None:
        """Say that something has changed."""
        self.refresh()
        self.changed.emit()


def _count(regions: int, does: str) -> str:
    """Count regions that do something."""
    return (
        f"1 region {does}es"
        if regions == 1 and does == "teach"
        else (f"1 region {does}s" if regions == 1 else f"{regions} regions {does}")
    )


def _sentence(text: Any) -> str:
    """Begin with a capital, and end with a stop."""
    text = str(text).strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
