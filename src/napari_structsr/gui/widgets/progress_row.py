"""Rows of a dock: the name of a job, how far it is, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_structsr.engine.events import Cancelled, Finished, Progressed, Started
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.plain_text import keep_plain, make_plain
from napari_structsr.gui.widgets.controls import sentence
from napari_structsr.gui.widgets.link import make_link, set_link
from napari_structsr.gui.widgets.time_left import TimeLeft, describe_seconds

_COUNTED = {"upscaling": "tiles", "mapping": "tiles", "scoring": "planes"}


class ProgressRow(QWidget):
    """Follows one job to its end and keeps saying how it ended.

    A cancelled run that is `resumable` says what is kept of it.
    """

    def __init__(self, job: Job, name: str, *, resumable: bool) -> None:
        super().__init__()
        self.job = job
        self._resumable = resumable
        label = QElidingLabel(name)
        label.setElideMode(Qt.TextElideMode.ElideMiddle)
        label.setEllipsesWidth(12)  # napari's style pads labels
        make_plain(label)
        label.setToolTip(keep_plain(name))
        label.setMinimumWidth(60)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1)
        self.bar.setValue(0)
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stop = QToolButton()
        self.stop.setText("✕")
        self.stop.setToolTip(keep_plain(f"Cancel: {job.name}."))
        self.stop.setAccessibleName(f"Cancel {name}")
        self.details = sentence()
        self.details.hide()
        self.link = make_link()
        self.link.hide()
        self._clock = TimeLeft()
        self._actions = QHBoxLayout()
        first = QHBoxLayout()
        first.addWidget(label, 1)
        first.addWidget(self.stop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(first)
        # below the name: "3 of 30 tiles, 2 min left" needs the width of a dock
        layout.addWidget(self.bar)
        layout.addWidget(self.link)
        layout.addWidget(self.details)
        layout.addLayout(self._actions)
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
        self.bar.setFormat(text)
        self.bar.setToolTip(keep_plain(details))
        self.show_details(details)

    def show_details(self, details: str) -> None:
        """Show a sentence below the bar; an empty one hides it."""
        self.details.setText(details)
        self.details.setVisible(bool(details))

    def show_link(self, text: str, address: str) -> None:
        """Show a link to where the job can be watched, for as long as it runs."""
        if not self.job.has_ended:
            set_link(self.link, text, address)
            self.link.show()

    @property
    def seconds(self) -> float:
        """How long the job has worked."""
        return self._clock.elapsed

    def add_action(self, text: str, tip: str, act: Callable[[], None]) -> QPushButton:
        """Offer something to do with what the job has made."""
        button = QPushButton(text)
        button.setToolTip(keep_plain(tip))
        button.clicked.connect(act)
        self._actions.addWidget(button)
        return button

    def cancel(self) -> None:
        """Ask the job to stop."""
        self.stop.setEnabled(False)
        self._say("stopping…")
        self.job.cancel()

    def _prepare(self) -> None:
        self._clock.begin()
        self._say("preparing…")

    def _begin(self, event: Started) -> None:
        self._advance(Progressed(event.plan.done, event.total))

    def _advance(self, event: Progressed) -> None:
        # the activity dock lets Qt run, and the job to its end, before this is told
        if self.job.has_ended:
            return
        # Qt draws a range of nothing as busy without end
        self.bar.setRange(0, max(1, event.total))
        self.bar.setValue(event.done)
        # a row that is being stopped goes on saying so
        if self.stop.isEnabled():
            what = _COUNTED.get(event.doing, event.doing)
            left = self._clock.describe(event)
            self._say(f"{event.done} of {event.total} {what}{left and f', {left}'}")

    def _finish(self, event: Finished) -> None:
        self.bar.setValue(self.bar.maximum())
        self.bar.update()
        self._say("done")
        self.bar.setToolTip(f"In {describe_seconds(self.seconds)}.")

    def _stopped(self, event: Cancelled) -> None:
        kept = f"{event.done} tiles are kept; the same run goes on from there."
        # in memory, what was done is gone with the job
        self._say("cancelled", details=kept if self._resumable and event.done else "")

    def _fail(self, message: str) -> None:
        self._say("failed", details=message)

    def _end(self) -> None:
        self.stop.setEnabled(False)
        self.link.hide()


class ProgressRows(QVBoxLayout):
    """The jobs of a dock, one below the other."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[ProgressRow] = []

    @property
    def is_busy(self) -> bool:
        """Whether a job has not ended."""
        return any(not row.job.has_ended for row in self.rows)

    def add(self, job: Job, name: str, *, resumable: bool) -> ProgressRow:
        """Follow one more job; see `ProgressRow`."""
        row = ProgressRow(job, name, resumable=resumable)
        self.rows.append(row)
        self.addWidget(row)
        return row

    def clear(self) -> None:
        """Forget all jobs."""
        for row in self.rows:
            self.removeWidget(row)
            # at once: it would lie over others until Qt deletes it
            row.hide()
            row.deleteLater()
        self.rows.clear()

    def cancel(self) -> None:
        """Ask all jobs to stop."""
        for row in self.rows:
            if not row.job.has_ended:
                row.cancel()
