"""Fine-tuning in the background: from the click to a model that can be accepted.

It joins the engine and a `Job`, as `runs` does for upscaling. A `TuningRun` is one
fine-tuning, new or gone on with; it tells what comes besides the events of every job,
and can be paused. It does not wait for upscaling jobs, nor they for it: a fine-tuning
takes long, and a paused one for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_structsr.engine.events import (
    Cancel,
    Event,
    Finished,
)
from napari_structsr.finetuning.runs import RunSummary, find_runs_folder, list_runs
from napari_structsr.gui.finetune.train_state import Parent
from napari_structsr.gui.viewer.jobs import Events, Job
from napari_structsr.gui.viewer.llvm_clash import keep_triton_out
from napari_structsr.models.card import TRAINABLE
from napari_structsr.zoo.catalogue import list_models

if TYPE_CHECKING:
    from napari_structsr.finetuning.config import FineTuneConfig
    from napari_structsr.finetuning.events import Pause
    from napari_structsr.finetuning.split import Split
    from napari_structsr.pairs.register_pair import ImagePair

__all__ = [
    "TuningRun",
    "quick_job",
    "resumed_run",
    "split_events",
    "started_run",
    "teachable",
    "tuning_runs",
]


Make = Callable[[Cancel, "Pause"], Iterator[Event]]


class TuningRun(QObject):
    """A fine-tuning in a worker thread.

    Parameters
    ----------
    name
        Of the model to be.
    folder
        Where it lies.
    make
        Makes the events, in the worker.
    """

    said = Signal(object)
    """A `Scored`, `Previewed` or `Noted` event."""
    paused = Signal(bool)
    """It holds on, or goes on."""

    def __init__(self, name: str, folder: Path, make: Make) -> None:
        super().__init__()
        self.name, self.folder = name, folder
        self._pause: Pause | None = None
        self._make = make
        self.job = Job(f"Fine-tuning {name}", self._events)
        self.job.said.connect(self.said)

    @property
    def is_paused(self) -> bool:
        """Whether it is asked to hold on."""
        return bool(self._pause)

    def start(self) -> None:
        """Run in a thread now."""
        self.job.start()

    def hold(self, holds: bool) -> None:
        """Hold on, or go on."""
        if self._pause is None:
            return
        if holds:
            self._pause()
        else:
            self._pause.resume()
        self.paused.emit(holds)

    def _events(self, cancel: Cancel) -> Iterator[Event]:
        """Run the engine; torch is imported here, in the worker."""
        keep_triton_out()
        from napari_structsr.finetuning.events import Pause

        self._pause = Pause()
        yield from self._make(cancel, self._pause)


def started_run(
    config: FineTuneConfig, pairs: Sequence[ImagePair], split: Split
) -> TuningRun:
    """Return a new fine-tuning; `start` it."""
    folder = find_runs_folder() / f"{config.name}-x{config.factor}"

    def make(cancel: Cancel, pause: Pause) -> Iterator[Event]:
        from napari_structsr.finetuning.fine_tune import fine_tune
        from napari_structsr.zoo.catalogue import load_model

        model = load_model(config.parent, factor=config.factor)
        yield from fine_tune(config, pairs, model, cancel, split=split, pause=pause)

    return TuningRun(config.name, folder, make)


def resumed_run(summary: RunSummary) -> TuningRun:
    """Return a fine-tuning that goes on from its folder; `start` it."""

    def make(cancel: Cancel, pause: Pause) -> Iterator[Event]:
        from napari_structsr.finetuning.fine_tune import resume_fine_tuning

        yield from resume_fine_tuning(summary.folder, cancel, pause=pause)

    return TuningRun(summary.name, summary.folder, make)


def tuning_runs() -> list[RunSummary]:
    """Return the fine-tunings that lie there, the latest first."""
    return list_runs(find_runs_folder())


def teachable() -> list[Parent]:
    """Return the models that can be taught."""
    return [
        Parent(card.name, card.factor, card.description)
        for card in list_models()
        if card.architecture in TRAINABLE
    ]


def split_events(
    pairs: Sequence[ImagePair], parent: Parent, *, share: float
) -> Iterator[Event]:
    """Choose which regions teach and which judge, as a job.

    Yields
    ------
    Event
        The output of `Finished` is the `Split`.
    """
    from napari_structsr.finetuning.split import split_pairs
    from napari_structsr.zoo.catalogue import load_model

    model = load_model(parent.name, factor=parent.factor)
    yield Finished(split_pairs(pairs, gap=model.radius, share=share))


def quick_job(name: str, work: Callable[[], Any], *, notifies: bool = True) -> Job:
    """Return a job for a call that may take a second; its output is the result."""

    def events(cancel: Cancel) -> Iterator[Event]:
        yield Finished(work())

    made: Events = events
    return Job(name, made, notifies=notifies)
