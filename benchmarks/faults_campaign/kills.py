"""Kills: at the n-th file event, at random moments, and by signals that can be heard.

After each the same command runs again, and what it says is done.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.faults_campaign.children import Ending, draw_moment
from benchmarks.faults_campaign.file_events import FileEvents
from benchmarks.faults_campaign.jobs import Job, Place, find_remedy, remove
from benchmarks.faults_campaign.tally import Outcome, Tally

_ROUNDS = 4  # remedies that are taken one after the other


def go_on(place: Place, job: Job, *, refused: bool = False) -> tuple[Outcome, str]:
    """Run a disturbed job again as a user would, until its result is whole.

    Parameters
    ----------
    place, job
        Where, and what.
    refused
        Whether the user has been told already that something is wrong.

    Returns
    -------
    Outcome
        How it ended.
    str
        What happened, for who mends it.
    """
    words: list[str] = []
    for _ in range(_ROUNDS):
        ending = place.run(partial(job.call, tuple(words)))
        outcome, story = weigh(place, job, ending)
        if outcome is not None:
            if outcome is Outcome.IDENTICAL and refused:
                outcome = Outcome.REFUSED
            return outcome, story
        refused = True
        remedy = find_remedy(job, ending.said)
        if remedy is None:
            return Outcome.LOST, f"no remedy is named: {ending.said[-500:]}"
        if remedy.whole:
            if place.is_whole(job):
                return Outcome.REFUSED, ""
            # said to be there, and it is not
            story = f"{place.tell_difference(job)}; {ending.said[-300:]}"
            return Outcome.LOST, story
        words = [word for word in words if word not in remedy.without]
        words += [word for word in remedy.words if word not in words]
        for name in remedy.remove:
            remove(place.work / name)
    return Outcome.LOST, f"no way out works: {ending.said[-500:]}"


def weigh(place: Place, job: Job, ending: Ending) -> tuple[Outcome | None, str]:
    """Return how a run ended; None where it was refused in words."""
    if ending.hung:
        return Outcome.HANG, ending.said[-500:]
    if ending.broke:
        return Outcome.TRACEBACK, ending.said[-1500:]
    if ending.code == 0:
        if place.is_whole(job):
            return Outcome.IDENTICAL, ""
        return Outcome.LOST, place.tell_difference(job)
    return None, ""


def disturb(place: Place, job: Job, ending: Ending, tally: Tally) -> None:
    """Judge a run that was disturbed, go on with it, and count how that ended."""
    if ending.code == -signal.SIGKILL and not ending.hung:
        tally.kills += 1
        tally.add(*go_on(place, job))
        return
    outcome, story = weigh(place, job, ending)
    if outcome is None:  # cancelled, or refused in words
        outcome, story = go_on(place, job, refused=ending.code != 130)
    tally.add(outcome, story)


def count_events(place: Place, job: Job) -> list[str]:
    """Return what an undisturbed job does to files, event by event."""
    notes = place.root / "events.txt"
    notes.unlink(missing_ok=True)

    def act() -> None:
        handle = os.open(notes, os.O_WRONLY | os.O_CREAT, 0o644)

        def tell(number: int, event: str, paths: list[str]) -> None:
            os.write(handle, f"{event} {paths[-1]}\n".encode())

        FileEvents(place.work, tell)
        job.call(())

    place.sweep(job)
    place.run(act)
    return notes.read_text("utf-8").splitlines()


def run_watched(
    place: Place,
    job: Job,
    before: Callable[[int, str, list[str]], None],
    *,
    notes: Path | None = None,
) -> Ending:
    """Run a job whose file events meet `before`; see `FileEvents`."""

    def act() -> None:
        FileEvents(place.work, before, notes=notes)
        job.call(())

    return place.run(act)


def step_through(
    place: Place,
    job: Job,
    tries: int,
    tally: Tally,
    *,
    first: int = 0,
    least: str = "",
    last: int = 0,
    end: bool = False,
) -> Iterator[int]:
    """Yield numbers of file events of a job, each at a clean place: the one loop.

    Parameters
    ----------
    place, job
        Where, and what.
    tries
        How many events, spread evenly; all of them if there are no more.
    tally
        Is told the time, and the event of each story.
    first, last
        How many events at the beginning and at the end are left out.
    least
        Begin with the first event that names this.
    end
        Whether the moment after all events comes last, where the job has ended.
    """
    with tally.keep_time():
        place.measure(job)
        events = count_events(place, job)
        first += next(n for n, line in enumerate(events) if least in line)
        length = len(events) - first - last
        count = min(tries, length)
        moments = [first + step * length // count for step in range(count)]
        for at in [*moments, len(events)] if end else moments:
            place.sweep(job)
            with tally.locate(f"event {at}, {[*events, 'end'][at]}"):
                yield at


def kill_at_events(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Kill a job before its n-th file event; all of them, or `tries` spread evenly."""
    tally = Tally(f"killed before its n-th file event: {job.name}")
    for at in step_through(place, job, tries, tally):
        disturb(place, job, run_watched(place, job, partial(kill_at, at)), tally)
    yield tally


def kill_at(at: int, number: int, event: str, paths: list[str]) -> None:
    """End this process before its n-th file event; for `FileEvents`."""
    if number == at:
        os.kill(os.getpid(), signal.SIGKILL)


def kill_at_random(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Kill a job at random moments, twice in a row every third time."""
    tally = Tally(f"killed at a random moment: {job.name}")
    chance = random.Random(seed)
    with tally.keep_time():
        place.measure(job)
        for number in range(tries):
            place.sweep(job)
            for _ in range(2 if number % 3 == 2 else 1):
                moment = draw_moment(chance, place.seconds[job.name])
                stop = moment, signal.SIGKILL
                ending = place.run(partial(job.call, ()), stop=stop)
            disturb(place, job, ending, tally)
    yield tally


def interrupt(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Send Ctrl-C at random moments."""
    tally = Tally(f"interrupted by Ctrl-C: {job.name}")
    chance = random.Random(seed)
    with tally.keep_time():
        place.measure(job)
        for _ in range(tries):
            place.sweep(job)
            moment = draw_moment(chance, place.seconds[job.name])
            ending = place.run(partial(job.call, ()), stop=(moment, signal.SIGINT))
            disturb(place, job, ending, tally)
    yield tally
