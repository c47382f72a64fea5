"""What a fine-tuning shows while it runs: progress, curves, a validation region."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_structsr.engine.events import (
    Cancelled,
    Event,
    Finished,
    Noted,
    Progressed,
    Started,
)
from napari_structsr.gui.finetune.curve_panel import CurvePanel
from napari_structsr.gui.finetune.preview_strip import PreviewStrip
from napari_structsr.gui.finetune.run import FineTuningRun
from napari_structsr.gui.finetune.run_list import format_time
from napari_structsr.gui.widgets.controls import complete_sentence, sentence

__all__ = ["ProgressView"]

_IMAGES = ("measured", "bicubic", "parent", "adapted", "truth")


class ProgressView(QWidget):
    """Follows one fine-tuning to its end and keeps what it has shown.

    Attributes
    ----------
    notes
        What the run has said besides scores, in sentences.
    """

    def __init__(self) -> None:
        super().__init__()
        self._by_time = True
        self._run: FineTuningRun | None = None
        self.notes: list[str] = []
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the training")
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message = sentence()
        self.curves = CurvePanel()
        self.preview = PreviewStrip()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.bar, self.message, self.curves, self.preview):
            layout.addWidget(widget)
            widget.hide()

    def follow(self, run: FineTuningRun) -> None:
        """Show what a run says."""
        self._run, self.notes = run, []
        self.curves.begin("seconds")
        self.preview.hide()
        self.bar.show()
        self.curves.show()
        self.bar.setRange(0, 0)
        self.bar.setFormat("preparing…")
        self.show_message("Preparing: scores before the first step…")
        run.said.connect(self._show_event)
        run.paused.connect(self._show_pause)
        run.job.started.connect(self._show_plan)
        run.job.progressed.connect(self._show_progress)
        run.job.finished.connect(self._show_finish)
        run.job.cancelled.connect(self._show_stop)
        run.job.failed.connect(self._show_failure)

    def show_message(self, text: str) -> None:
        """Show a sentence."""
        self.message.setText(text)
        self.message.show()

    def _show_plan(self, event: Started) -> None:
        plan: Any = event.plan
        self._by_time = plan.minutes is not None
        self.curves.begin("seconds" if self._by_time else "steps")
        self.show_message(complete_sentence(str(plan)))
        self._show_progress(
            Progressed(0 if self._by_time else plan.done, event.total, "")
        )

    def _show_progress(self, event: Progressed) -> None:
        self.bar.setRange(0, max(1, event.total))
        self.bar.setValue(event.done)
        if self._by_time:
            text = f"{format_time(event.done)} of {format_time(event.total)}"
        else:
            text = f"{event.done} of {event.total} steps"
        self.bar.setFormat(text)
        self.bar.setToolTip(event.doing)

    def _show_event(self, event: Event) -> None:
        if isinstance(event, Noted):
            text = complete_sentence(event.message)
            self.show_message(text)
            # what it says of a pause is no finding about the model
            if self._run is None or not self._run.is_paused:
                self.notes.append(text)
            return
        from napari_structsr.finetuning.events import Previewed, ResultScores

        if isinstance(event, ResultScores):
            where = event.seconds if self._by_time else float(event.step)
            self.curves.add(where, event.values)
        elif isinstance(event, Previewed):
            images = {name: getattr(event.view, name) for name in _IMAGES}
            self.preview.show_images(images, f"step {event.step}")
            self.preview.show()

    def _show_pause(self, paused: bool) -> None:
        self.show_message(
            "Paused: the clock stands still, and what was reached is saved."
            if paused
            else "Going on…"
        )

    def _show_finish(self, event: Finished) -> None:
        self._stop_bar("done")

    def _show_stop(self, event: Cancelled) -> None:
        self._stop_bar("stopped")
        self.show_message(
            f"Stopped after {event.done} step{'s' * (event.done != 1)}. The parent is "
            "as it was; this fine-tuning is listed above, to go on with or to remove."
        )

    def _show_failure(self, message: str) -> None:
        self._stop_bar("failed")
        self.show_message(message)

    def _stop_bar(self, text: str) -> None:
        if self.bar.maximum() == 0:  # a range of 0 moves for ever
            self.bar.setRange(0, 1)
        if text == "done":
            self.bar.setValue(self.bar.maximum())
        self.bar.setFormat(text)
