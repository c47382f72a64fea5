"""A job tells what happened once, and never takes an error to the grave."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Failed,
    Finished,
    Plan,
    Progressed,
    Started,
)
from napari_structsr.errors import SinkError
from napari_structsr.gui.viewer.jobs import Job, submit

PLAN = Plan(3, 0, 10, 10, "cpu", "float32")


class Heard:
    """Everything a job said, in order, and in which thread it was heard."""

    def __init__(self, job: Job) -> None:
        self.said: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.values: list[object] = []
        for name in ("started", "progressed", "finished", "cancelled", "failed"):
            getattr(job, name).connect(lambda value, name=name: self._note(name, value))
        job.ended.connect(lambda: self._note("ended", None))

    def _note(self, name: str, value: object) -> None:
        self.threads.add(threading.current_thread())
        self.said.append(name)
        self.values.append(value)


def run(job: Job, qtbot) -> Heard:
    heard = Heard(job)
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
    qtbot.wait(30)  # whatever would come too late has time to come
    return heard


def three_steps(cancel: Cancel) -> Iterator[Event]:
    yield Started(3, PLAN)
    for done in (1, 2, 3):
        yield Progressed(done, 3)
    yield Finished("result")


def test_events_arrive_in_the_main_thread_and_in_order(qtbot):
    heard = run(Job("Counting", three_steps), qtbot)

    assert heard.threads == {threading.main_thread()}
    assert heard.said[0] == "started"
    assert heard.said[-2:] == ["finished", "ended"]
    assert heard.values[-2].output == "result"
    assert heard.said.count("ended") == 1


def test_ten_thousand_steps_do_not_drown_the_event_loop(qtbot):
    def events(cancel: Cancel) -> Iterator[Event]:
        for done in range(1, 10_001):
            yield Progressed(done, 10_000)
        yield Finished(None)

    heard = run(Job("Counting", events), qtbot)

    assert heard.said.count("progressed") < 100
    last = [v for v in heard.values if isinstance(v, Progressed)][-1]
    assert last.done == 10_000


def test_failure_is_one_notification(qtbot, notifications):
    def events(cancel: Cancel) -> Iterator[Event]:
        yield Failed(SinkError("the disk is full; make room"))

    heard = run(Job("Upscaling cells", events), qtbot)

    assert heard.said == ["failed", "ended"]
    assert notifications() == ["Upscaling cells: the disk is full; make room"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("shapes differ"), "RuntimeError: shapes differ"),
        (ValueError("no such thing"), "ValueError: no such thing"),
        (SinkError("the folder is gone; choose another"), "the folder is gone"),
        (MemoryError("no room"), "memory is short"),
        (RuntimeError("CUDA out of memory. Tried 2 GiB"), "memory is short"),
    ],
)
def test_exception_is_one_notification_and_is_logged(
    qtbot, notifications, caplog, error, words
):
    def events(cancel: Cancel) -> Iterator[Event]:
        yield Started(3, PLAN)
        raise error

    with caplog.at_level(logging.ERROR):
        heard = run(Job("Upscaling cells", events), qtbot)

    assert heard.said == ["started", "failed", "ended"]
    assert len(notifications()) == 1
    assert words in notifications()[0]
    if not isinstance(error, SinkError):  # nobody expected it: the log says where
        assert caplog.records[-1].exc_info[1] is error


def test_generator_without_an_end_is_a_failure(qtbot, notifications):
    def events(cancel: Cancel) -> Iterator[Event]:
        yield Started(3, PLAN)

    heard = run(Job("Upscaling cells", events), qtbot)

    assert heard.said == ["started", "failed", "ended"]
    assert len(notifications()) == 1


def patient(cancel: Cancel) -> Iterator[Event]:
    yield Started(3, PLAN)
    while not cancel:
        time.sleep(0.005)
    yield Cancelled(2)


def test_cancel_reaches_the_generator(qtbot, notifications):
    job = Job("Upscaling cells", patient)
    heard = Heard(job)
    job.start()
    qtbot.waitUntil(lambda: "started" in heard.said)

    with qtbot.waitSignal(job.ended, timeout=2000):
        job.cancel()

    assert heard.said == ["started", "cancelled", "ended"]
    assert heard.values[1].done == 2
    assert notifications() == []


def test_one_job_computes_at_a_time(qtbot):
    running: list[int] = []
    most: list[int] = []

    def events(cancel: Cancel) -> Iterator[Event]:
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        yield Finished(None)

    jobs = [Job(f"Job {n}", events) for n in range(3)]
    for job in jobs:
        submit(job)
    qtbot.waitUntil(lambda: all(job.has_ended for job in jobs), timeout=5000)

    assert most == [1, 1, 1]


def test_failed_job_lets_the_next_one_run(qtbot):
    def broken(cancel: Cancel) -> Iterator[Event]:
        raise ValueError("broken")
        yield

    first, second = Job("First", broken), Job("Second", three_steps)
    heard = Heard(second)
    submit(first)
    submit(second)
    qtbot.waitUntil(lambda: second.has_ended, timeout=5000)

    assert heard.said[-2:] == ["finished", "ended"]


def test_waiting_job_is_cancelled_without_running(qtbot):
    first, second = Job("First", patient), Job("Second", three_steps)
    heard = Heard(second)
    submit(first)
    submit(second)

    second.cancel()
    first.cancel()
    qtbot.waitUntil(lambda: first.has_ended, timeout=5000)

    assert heard.said == ["cancelled", "ended"]


def test_ended_job_holds_no_pixels(qtbot):
    import gc
    import weakref

    class Pixels:
        pass

    pixels = Pixels()
    reference = weakref.ref(pixels)

    def events(cancel: Cancel, pixels=pixels) -> Iterator[Event]:
        yield Finished(None)

    job = Job("Upscaling cells", events)
    del events, pixels
    run(job, qtbot)
    gc.collect()

    assert reference() is None


def test_a_step_is_told_before_what_is_said_of_it(qtbot):
    """The bar of a fine-tuning stood behind its curve while scores were computed."""

    def events(cancel: Cancel) -> Iterator[Event]:
        yield Started(3, PLAN)
        yield Progressed(1, 3)
        yield Progressed(2, 3)  # too soon after the first to be told by itself
        yield Event()
        yield Finished("result")

    job = Job("Tuning", events)
    told: list[int] = []
    seen: list[int] = []
    job.progressed.connect(lambda event: told.append(event.done))
    job.said.connect(lambda _: seen.extend(told[-1:]))
    run(job, qtbot)

    assert seen == [2]
