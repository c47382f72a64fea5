"""Long work in the background: the one place that knows threads.

A `Job` runs one generator of events in a worker thread and tells the main thread
what happened, by signals. It owns the wish to cancel, the translation of whatever
breaks to one sentence for the user, and the end: `Job.ended` is emitted exactly once.
It knows nothing of images, layers or models.

::

    worker thread   events(cancel) ──► Started, Progressed, ..., Finished
                                          │  queued, Progressed at most 20 a second
    main thread     Job.started, .progressed, ..., .finished ──► .ended
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import ClassVar

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from superqt.utils import WorkerBase

from napari_structsr.core.llvm_clash import keep_triton_out
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Failed,
    Finished,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.errors import StructsrError, UnexpectedError
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.gui.viewer.torch_libraries import load_libraries_of_torch

logger = logging.getLogger(__name__)

Events = Callable[[Cancel], Iterator[Event]]

_PAUSE = 0.05  # seconds between two reports of progress
_PATIENCE = 3.0  # seconds to wait for a tile when a viewer closes


class Job(QObject):
    """One generator of events, run in a worker thread.

    Its name says what is done, for people: "Upscaling cells". `events` is called in the
    worker thread with the `Cancel` to look at. If the job `notifies`, a failure is
    shown as a notification of napari. One that `needs_torch` does not hold up the
    interface while that is loaded.
    """

    began = Signal()
    """It is this job's turn; what comes before `started` can take a while."""
    started = Signal(object)
    """The `Started` event."""
    progressed = Signal(object)
    """A `Progressed` event."""
    said = Signal(object)
    """Any other event on the way, such as the scores of a fine-tuning."""
    finished = Signal(object)
    """The `Finished` event."""
    cancelled = Signal(object)
    """The `Cancelled` event."""
    failed = Signal(str)
    """The sentence for the user."""
    ended = Signal()
    """Nothing more will happen; emitted exactly once, in every case."""

    _arrived = Signal(object)
    # Qt keeps no reference to an object that only receives signals
    _alive: ClassVar[set[Job]] = set()

    def __init__(
        self,
        name: str,
        events: Events,
        *,
        notifies: bool = True,
        needs_torch: bool = True,
    ) -> None:
        super().__init__()
        self.name = name
        self._events: Events | None = events
        self._notifies = notifies
        self._needs_torch = needs_torch
        self._cancel = Cancel()
        self._idle = threading.Event()
        self._running = self._abandoned = False
        # queued, since the worker thread emits it and the main thread owns the job
        self._arrived.connect(self._receive)
        self._worker: _Worker | None = create_worker(
            name,  # only shown; what is run is the job
            job=self,
            _worker_class=_Worker,
            _start_thread=False,
        )
        Job._alive.add(self)

    @property
    def has_ended(self) -> bool:
        """Whether `ended` has been emitted."""
        return self._events is None

    @property
    def is_running(self) -> bool:
        """Whether it is this job's turn, and it has not ended."""
        return self._running and not self.has_ended

    def start(self) -> None:
        """Run in a thread now; see `submit` for work that waits its turn."""
        if self._worker is not None:
            self._running = True
            self.began.emit()
            self._worker.start()

    def cancel(self) -> None:
        """Ask the generator to stop at its next tile; a waiting job ends at once."""
        self._cancel()
        if not self._running:
            self._receive(Cancelled(0))

    def abandon(self) -> None:
        """Stop without telling anybody but `ended`: the viewer is closing."""
        if self.has_ended:
            return
        self._abandoned = True
        self.cancel()
        computes = self._worker is not None and self._worker.is_running
        if computes and not self._idle.wait(_PATIENCE):
            logger.warning("%s goes on until its current tile is done", self.name)

    def run(self) -> None:
        """Empty the generator; called in the worker thread."""
        try:
            self._arrived.emit(self._last_event())
        finally:
            self._idle.set()

    def _last_event(self) -> Event:
        """Report events as they come, and return the one that ends the job."""
        if self._abandoned or self._events is None:
            return Cancelled(0)
        # before anything imports torch: any job may
        keep_triton_out()
        if self._needs_torch:
            load_libraries_of_torch()
        reported = 0.0
        held: Progressed | None = None
        try:
            for event in self._events(self._cancel):
                if isinstance(event, (Finished, Cancelled, Failed)):
                    return event
                if isinstance(event, Progressed):
                    now = time.monotonic()
                    # each report costs a turn of the event loop of Qt
                    if now - reported < _PAUSE and event.done < event.total:
                        held = event
                        continue
                    reported = now
                elif held is not None:
                    # the bar would lag behind what is said of the same step
                    self._arrived.emit(held)
                held = None
                self._arrived.emit(event)
        except StructsrError as error:
            return Failed(error)
        except Exception as error:
            from napari_structsr.engine.failures import explain_error  # imports torch

            logger.exception("%s broke", self.name)
            return Failed(explain_error(error))
        logger.error("%s ended without a last event", self.name)
        return Failed(UnexpectedError("the job stopped without a result; report it"))

    def _receive(self, event: Event) -> None:
        """Pass an event on, in the main thread."""
        if self.has_ended:
            return
        # a slot that raises must not keep the job from ending
        try:
            if not self._abandoned:
                self._announce(event)
        finally:
            if isinstance(event, (Finished, Cancelled, Failed)):
                self._end()

    def _announce(self, event: Event) -> None:
        match event:
            case Warned(message):
                show_warning(keep_plain(message))
            case Failed(error):
                self.failed.emit(str(error))
                if self._notifies:
                    show_error(keep_plain(f"{self.name}: {error}"))
            case Started() | Progressed() | Finished() | Cancelled():
                getattr(self, type(event).__name__.lower()).emit(event)
            case _:
                self.said.emit(event)

    def _end(self) -> None:
        # it holds pixels, which must not outlive the job
        self._events = None
        if self._worker is not None:
            # napari keeps the worker in its list of tasks
            self._worker.job = None
        self._worker = None
        self.ended.emit()
        Job._alive.discard(self)


class _Worker(WorkerBase[None]):
    """Lets a job run in Qt's thread pool, and lets napari stop it on closing."""

    def __init__(self, name: str, *, job: Job) -> None:
        super().__init__()
        self.job: Job | None = job
        # warnings of libraries would disturb as notifications
        self.warned.connect(lambda texts: logger.warning("%s", texts[0]))

    def work(self) -> None:
        if self.job is not None:
            self.job.run()

    def quit(self) -> None:
        """Abandon the job; napari calls this when a viewer or the program closes."""
        # it would run no `finally:` of a generator, hence the `Cancel` of the job
        super().quit()
        if self.job is not None:
            self.job.abandon()


# jobs share one device; the first of them is the one that runs
_submitted: deque[Job] = deque()


def submit(job: Job) -> None:
    """Run a job when all jobs submitted before it have ended."""
    _submitted.append(job)
    job.ended.connect(_advance)
    _advance()


def _advance() -> None:
    # a job can have been cancelled while it waited
    while _submitted and _submitted[0].has_ended:
        _submitted.popleft()
    if _submitted and not _submitted[0].is_running:
        _submitted[0].start()
