"""One line of the dock: the name of a job, how far it is, and a button to stop it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QToolButton, QWidget
from superqt import QElidingLabel

from napari_structsr.engine.events import Cancelled, Finished, Progressed, Started
from napari_structsr.gui.viewer.jobs import Job

__all__ = ["ProgressRow"]

_COUNTED = {"upscaling": "tiles", "mapping": "tiles", "scoring": "planes"}


class ProgressRow(QWidget):
    """Follows one job to its end and keeps saying how it ended.

    Parameters
    ----------
    job
        What to follow.
    name
        Name of the layer.
    resumable
        Whether a cancelled run can be continued later.
    """

    def __init__(self, job: Job, name: str, *, resumable: bool) -> None:
        super().__init__()
        self.job = job
        self._resumable = resumable
        label = QElidingLabel(name)
        label.setElideMode(Qt.TextElideMode.ElideMiddle)
        label.setEllipsesWidth(12)  # napari's style pads labels
        label.setToolTip(name)
        label.setMinimumWidth(60)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1)
        self.bar.setValue(0)
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stop = QToolButton()
        self.stop.setText("✕")
        self.stop.setToolTip(f"Cancel upscaling of {name}.")
        self.stop.setAccessibleName(f"Cancel {name}")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(label, 1)
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.stop)
        self._say("preparing…" if job.is_running else "waiting")
        self.stop.clicked.connect(self.cancel)
        job.began.connect(self._prepare)
        job.started.connect(self._begin)
        job.progressed.connect(self._advance)
        job.finished.connect(self._finish)
        job.cancelled.connect(self._stopped)
        job.failed.connect(self._fail)
        job.ended.connect(self._end)

    @property
    def text(self) -> str:
        """What the bar says."""
        return self.bar.format()

    def _say(self, text: str, *, details: str = "") -> None:
        """Write onto the bar."""
        self.bar.setFormat(text)
        self.bar.setToolTip(details)

    def cancel(self) -> None:
        """Ask the job to stop."""
        self.stop.setEnabled(False)
        self._say("stopping…")
        self.job.cancel()

    def _prepare(self) -> None:
        """Say that the model is being loaded and the image measured."""
        self._say("preparing…")

    def _begin(self, event: Started) -> None:
        """Show where an earlier run has stopped."""
        self._advance(Progressed(event.plan.done, event.total))

    def _advance(self, event: Progressed) -> None:
        """Move the bar."""
        self.bar.setRange(0, max(1, event.total))
        self.bar.setValue(event.done)
        if self.stop.isEnabled():
            what = _COUNTED.get(event.doing, event.doing)
            self._say(f"{event.done} of {event.total} {what}")

    def _finish(self, event: Finished) -> None:
        """Say that all went well."""
        self.bar.setValue(self.bar.maximum())
        self.bar.update()
        self._say("done")

    def _stopped(self, event: Cancelled) -> None:
        """Say what is left of a cancelled run."""
        self._say(
            "cancelled",
            details=f"{event.done} tiles are kept; the same run goes on from there."
            if self._resumable and event.done
            else "",
        )

    def _fail(self, message: str) -> None:
        """Say that it went wrong; the notification says why."""
        self._say("failed", details=message)

    def _end(self) -> None:
        """There is nothing left to stop."""
        self.stop.setEnabled(False)
