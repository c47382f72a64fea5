"""The background work of the dock: making pairs, splitting them, fine-tuning.

Each generator here imports torch, and is called in the worker thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_structsr.engine.events import Cancel, Cancelled, Event, Finished, Progressed
from napari_structsr.errors import StructsrError
from napari_structsr.finetuning.runs import RunSummary, find_runs_folder, list_runs
from napari_structsr.gui.finetune.pairs_entry import PairEntry, PairRequest
from napari_structsr.gui.finetune.train_state import Parent
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.models.card import TRAINABLE
from napari_structsr.zoo.catalogue import list_models

if TYPE_CHECKING:
    from napari_structsr.finetuning.config import FineTuneConfig
    from napari_structsr.finetuning.events import Pause
    from napari_structsr.finetuning.split import Split
    from napari_structsr.pairs.image_pair import ImagePair


class FineTuningRun(QObject):
    """A fine-tuning in a folder and a worker thread, which can be paused.

    It does not wait for upscaling jobs, nor they for it: it may be paused for ever.
    """

    said = Signal(object)
    """A `Scored`, `Previewed` or `Noted` event."""
    paused = Signal(bool)
    """It is asked to pause, or to go on."""

    def __init__(
        self,
        name: str,
        folder: Path,
        events: Callable[[Cancel, Pause], Iterator[Event]],
    ) -> None:
        super().__init__()
        self.name, self.folder = name, folder
        self._pause: Pause | None = None
        self._events = events
        self.job = Job(f"Fine-tuning {name}", self._iterate_events)
        self.job.said.connect(self.said)

    @property
    def is_paused(self) -> bool:
        """Whether it is asked to pause."""
        return bool(self._pause)

    def set_paused(self, paused: bool) -> None:
        """Pause, or go on; nothing happens before the worker has begun."""
        # the worker makes it, since its class comes with torch
        if self._pause is None:
            return
        if paused:
            self._pause()
        else:
            self._pause.resume()
        self.paused.emit(paused)

    def _iterate_events(self, cancel: Cancel) -> Iterator[Event]:
        from napari_structsr.finetuning.events import Pause

        self._pause = Pause()
        yield from self._events(cancel, self._pause)


def make_run(
    config: FineTuneConfig, pairs: Sequence[ImagePair], split: Split
) -> FineTuningRun:
    """Return a new fine-tuning; start its job."""
    folder = find_runs_folder() / f"{config.name}-x{config.factor}"

    def events(cancel: Cancel, pause: Pause) -> Iterator[Event]:
        from napari_structsr.finetuning.fine_tune import iter_fine_tune
        from napari_structsr.zoo.catalogue import load_model

        # in the worker, since it takes a second or two
        model = load_model(config.parent, factor=config.factor)
        yield from iter_fine_tune(
            config, pairs, model, cancel, split=split, pause=pause
        )

    return FineTuningRun(config.name, folder, events)


def make_resumed_run(summary: RunSummary) -> FineTuningRun:
    """Return a fine-tuning that goes on from its folder; start its job."""

    def events(cancel: Cancel, pause: Pause) -> Iterator[Event]:
        from napari_structsr.finetuning.fine_tune import resume_fine_tuning

        yield from resume_fine_tuning(summary.folder, cancel, pause=pause)

    return FineTuningRun(summary.name, summary.folder, events)


def list_fine_tunings() -> list[RunSummary]:
    """Return the fine-tunings that were not decided about, the latest first."""
    return list_runs(find_runs_folder())


def list_trainable_models() -> list[Parent]:
    """Return the models that can be fine-tuned."""
    return [
        Parent(card.name, card.factor, card.description)
        for card in list_models()
        if card.architecture in TRAINABLE
    ]


def make_pairs(
    requests: Sequence[PairRequest], there: Sequence[PairEntry], *, cancel: Cancel
) -> Iterator[Event]:
    """Read and register the images of pairs, beside those that are there.

    A pair that is refused is an answer like another, and does not end the job.

    Yields
    ------
    Event
        The output of `Finished` is a list of `PairEntry`, refused ones included.
    """
    yield Progressed(0, len(requests), "pairs")
    made: list[PairEntry] = []
    for number, request in enumerate(requests):
        if cancel:
            yield Cancelled(number)
            return
        made.append(_make_entry(request, [*there, *made]))
        yield Progressed(number + 1, len(requests), "pairs")
    yield Finished(made)


def _make_entry(request: PairRequest, there: Sequence[PairEntry]) -> PairEntry:
    from napari_structsr.pairs.checks import find_twin
    from napari_structsr.pairs.duplicate_fields import note_overlap
    from napari_structsr.pairs.register_pair import field_pair
    from napari_structsr.pairs.simulate import high_only_pair

    pairs = [one.pair for one in there if one.pair is not None]
    # the first pair of a list decides for those after it, in one go too
    factor = request.factor or next((pair.factor for pair in pairs), None)
    entry = PairEntry(name=request.name, frame=request.frame, request=request)
    try:
        request = request.open_files()
        assert request.high is not None
        axes = (request.low or request.high).spec.axes
        entry = replace(entry, request=request, unit=axes["y"].unit)
        if request.low is None:
            pair = high_only_pair(
                request.high,
                factor=factor or 2,
                region=request.region,
                plane=request.plane,
                name=request.name,
                psf_sigma=request.psf_sigma,
                sample=request.sample,
            )
        else:
            pair = field_pair(
                request.low,
                request.high,
                region=request.region,
                plane=request.plane,
                factor=factor,
                bins=request.bins,
                name=request.name,
            )
    except StructsrError as error:
        return replace(entry, refused=str(error))
    # the same pixels twice would train and validate at once
    if (twin := find_twin(pair, pairs)) is not None:
        return replace(
            entry, refused=f"it holds the same pixels as {twin}; draw another region"
        )
    pair = note_overlap(pair, pairs)
    frame = request.frame
    if frame is not None:
        # registration has cropped the pair; its origin is an outer corner, half a pixel
        # before the first pixel
        y, x = (
            (edge - axes[name].translate) / axes[name].scale + 0.5
            for name, edge in zip("yx", pair.where.origin, strict=True)
        )
        frame = replace(frame, first=(y, x))
    return replace(entry, pair=pair, frame=frame)


def split_regions(
    pairs: Sequence[ImagePair], parent: Parent, *, share: float
) -> Iterator[Event]:
    """Choose which regions are for training and which for validation.

    Yields
    ------
    Event
        The output of `Finished` is the `Split`.
    """
    from napari_structsr.finetuning.split import split_pairs
    from napari_structsr.zoo.catalogue import load_model

    model = load_model(parent.name, factor=parent.factor)
    # within the receptive field a validation pixel would see a training one
    yield Finished(split_pairs(pairs, gap=model.radius, share=share))


def make_job(name: str, work: Callable[[], Any]) -> Job:
    """Return a job for a call that may take a second; its output is the result."""

    def events(cancel: Cancel) -> Iterator[Event]:
        yield Finished(work())  # too short to be cancelled

    return Job(name, events)
