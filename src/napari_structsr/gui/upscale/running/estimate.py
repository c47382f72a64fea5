"""What a run would take, said before it starts.

The engine plans in a worker thread, once the user has stopped changing things. That
imports torch, so that a label alone, with the size of the output, comes first. How long
it will take comes last, from a tile that is really computed. Only the last question is
answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QSizePolicy

from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Plan,
    format_bytes,
)
from napari_structsr.gui.upscale.run import make_settings
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.plain_text import make_plain
from napari_structsr.gui.widgets.time_left import describe_seconds
from napari_structsr.io.sink import MemorySink, SharedSink, Sink
from napari_structsr.io.source import Source

if TYPE_CHECKING:
    from napari_structsr.models.model import SRModel

Part = tuple[Source, Choice, Sink]

_PATIENCE = 300  # milliseconds without a change
_LINES = 4


class EstimateLabel(QLabel):
    """A sentence about tiles, memory, output and device; or what is wrong."""

    refused = Signal(str)
    """The runs cannot start, and why."""

    def __init__(self) -> None:
        super().__init__()
        make_plain(self)
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        # as high as its longest answer, so that buttons below do not jump
        self.setMinimumHeight(_LINES * self.fontMetrics().lineSpacing())
        self._parts: list[Part] = []
        self._job: Job | None = None
        self._timed = True
        self._rates: dict[object, float | None] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PATIENCE)
        self._timer.timeout.connect(self.estimate)

    def ask(self, parts: Sequence[Part], *, cheaply: bool, timed: bool = True) -> None:
        """Take the runs to estimate.

        Parameters
        ----------
        parts
            Source, choice and sink of each run.
        cheaply
            Say the size of the output alone, until `estimate` is called.
        timed
            Compute a tile to say how long it will take.
        """
        self._timed = timed
        self._cancel_job()
        # kept, since a cheap answer may be completed later
        self._parts = list(parts)
        if not parts:
            self.clear()
        elif cheaply:
            size = sum(
                source.spec.upscale(choice.factor).nbytes for source, choice, _ in parts
            )
            self.setText(f"{format_bytes(size)} of output")
        else:
            self._timer.start()

    def estimate(self) -> None:
        """Ask the engine now, in the background."""
        self._cancel_job()
        if not self._parts:
            return
        parts, times = self._parts, self._rates if self._timed else None
        job = Job(
            "Estimating",
            lambda cancel: _plan_runs(parts, times, cancel),
            notifies=False,
        )
        job.said.connect(self._show)
        job.finished.connect(self._show)
        job.failed.connect(self._refuse)
        self._job = job
        job.start()

    def _cancel_job(self) -> None:
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
        self._job = None

    def _show(self, event: Finished | _Planned) -> None:
        # a job that was cancelled may have answered already
        if self.sender() is self._job:
            self.setText(str(event.output))

    def _refuse(self, message: str) -> None:
        if self.sender() is self._job:
            self.setText(message)
            self.refused.emit(message)


@dataclass(frozen=True)
class _Planned(Event):
    """What is known before a tile was computed, in words."""

    output: str


def _plan_runs(
    parts: Sequence[Part], times: dict[object, float | None] | None, cancel: Cancel
) -> Iterator[Event]:
    """Plan all runs, one after the other; the output is a sentence.

    `times` are seconds that were found before; None measures none.
    """
    from napari_structsr.gui.upscale.running.tile_timing import measure_seconds
    from napari_structsr.upscaling.upscale import plan
    from napari_structsr.zoo.catalogue import load_model

    plans: list[Plan] = []
    models: list[SRModel] = []
    kept = 0
    for source, choice, sink in parts:
        model = load_model(
            choice.model, factor=choice.factor, sharpness=choice.sharpness
        )
        # whatever devices workers have, this computer only counts
        local = replace(choice, device="auto") if choice.scheduler else choice
        made = plan(source, model, sink, settings=make_settings(local))
        # results in memory add up, what a run needs besides is free after it
        kept += made.output_bytes if isinstance(sink, MemorySink) else 0
        plans.append(replace(made, done=_count_done(sink)))
        models.append(model)
    whole = replace(
        plans[0],
        tiles=sum(made.tiles for made in plans),
        done=sum(made.done for made in plans),
        output_bytes=sum(made.output_bytes for made in plans),
        memory_bytes=max(made.memory_bytes for made in plans) + kept,
    )
    on_cluster = any(choice.scheduler for _, choice, _ in parts)
    text = _describe_for_workers(whole) if on_cluster else str(whole)
    yield _Planned(text)
    if times is None or on_cluster:
        yield Finished(text)
        return
    seconds = 0.0
    for (source, choice, _), model, made in zip(parts, models, plans, strict=True):
        # of the same image by the same model nothing else changes the time
        image = source.origin, source.spec.name, source.spec.axes
        how = choice.factor, choice.device, choice.agreement, choice.color
        key = image, choice.model, how
        if key not in times:
            found = measure_seconds(source, choice, model, cancel=cancel)
            if cancel:
                yield Cancelled(0)
                return
            times[key] = found
        if times[key] is None:
            yield Finished(str(whole))
            return
        seconds += (times[key] or 0.0) * (made.tiles - made.done) / made.tiles
    about = "about " if seconds >= 1 else ""
    yield Finished(f"{whole}, {about}{describe_seconds(seconds)}")


def _describe_for_workers(plan: Plan) -> str:
    """Leave out of a plan what it says of this computer."""
    work = str(plan).partition(", about ")[0]
    return f"{work}, by the workers of a cluster"


def _count_done(sink: Sink) -> int:
    """Return how many tiles an unfinished run has left in a place."""
    if sink.path is None or not sink.path.exists() or not isinstance(sink, SharedSink):
        return 0
    return sink.count_noted()
