"""What a fine-tuning shows while it runs: how far, curves, and a region that judges."""

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
from napari_structsr.gui.finetune.run import TuningRun
from napari_structsr.gui.finetune.run_list import time_text
from napari_structsr.gui.widgets.controls import sentence

__all__ = ["TuningWatch"]

_IMAGES = ("measured", "bicubic", "parent", "adapted", "truth")


class TuningWatch(QWidget):
    """Follows one fine-tuning to its end and keeps what it has shown.

    Attributes
    ----------
    notes
        What the run has said besides scores, in sentences.
    """

    def __init__(self) -> None:
        super().__init__()
        self._by_time = True
        self._run: TuningRun | None = None
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

    def follow(self, run: TuningRun) -> None:
        """Show what a run says."""
        self._run, self.notes = run, []
        self.curves.begin("seconds")
        self.preview.hide()
        self.bar.show()
        self.curves.show()
        self.bar.setRange(0, 0)
        self.bar.setFormat("preparing…")
        self.say("Preparing: scores before the first step…")
        run.said.connect(self._hear)
        run.paused.connect(self._show_pause)
        run.job.started.connect(self._begin)
        run.job.progressed.connect(self._advance)
        run.job.finished.connect(self._finish)
        run.job.cancelled.connect(self._stopped)
        run.job.failed.connect(self._fail)

    def say(self, text: str) -> None:
        """Show a sentence."""
        self.message.setText(text)
        self.message.show()

    def _begin(self, event: Started) -> None:
        """Say what is going to be done."""
        plan: Any = event.plan
        self._by_time = plan.minutes is not None
        self.curves.begin("seconds" if self._by_time else "steps")
        self.say(f"{_capital(str(plan))}.")
        self._advance(Progressed(0 if self._by_time else plan.done, event.total, ""))

    def _advance(self, event: Progressed) -> None:
        """Move the bar."""
        self.bar.setRange(0, max(1, event.total))
        self.bar.setValue(event.done)
        if self._by_time:
            text = f"{time_text(event.done)} of {time_text(event.total)}"
        else:
            text = f"{event.done} of {event.total} steps"
        self.bar.setFormat(text)
        self.bar.setToolTip(event.doing)

    def _hear(self, event: Event) -> None:
        """Show scores, a preview, or a line."""
        if isinstance(event, Noted):
            text = f"{_capital(event.message)}."
            self.say(text)
            if self._run is None or not self._run.is_paused:
                self.notes.append(text)
            return
        from napari_structsr.finetuning.events import Previewed, Scored

        if isinstance(event, Scored):
            where = event.seconds if self._by_time else float(event.step)
            self.curves.add(where, event.values)
        elif isinstance(event, Previewed):
            images = {name: getattr(event.view, name) for name in _IMAGES}
            self.preview.show_images(images, f"step {event.step}")
            self.preview.show()

    def _show_pause(self, paused: bool) -> None:
        """Say that the training holds on."""
        self.say(
            "Paused: the clock stands still, and what was reached is saved."
            if paused
            else "Going on…"
        )

    def _finish(self, event: Finished) -> None:
        """Say that all went well."""
        self._stand("done")

    def _stopped(self, event: Cancelled) -> None:
        """Say what is left of it."""
        self._stand("stopped")
        self.say(
            f"Stopped after {event.done} step{'s' * (event.done != 1)}. The parent is "
            "as it was; this fine-tuning is listed above, to go on with or to remove."
        )

    def _fail(self, message: str) -> None:
        """Say that it went wrong; the notification says it too."""
        self._stand("failed")
        self.say(message)

    def _stand(self, text: str) -> None:
        """Stop the bar where it is."""
        if self.bar.maximum() == 0:
            self.bar.setRange(0, 1)
        if text == "done":
            self.bar.setValue(self.bar.maximum())
        self.bar.setFormat(text)


def _capital(text: str) -> str:
    """Begin with a capital."""
    return f"{text[:1].upper()}{text[1:]}"
