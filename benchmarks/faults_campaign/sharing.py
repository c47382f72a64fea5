"""What others do meanwhile: run the same command, change the image, take a half one."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.faults_campaign.children import start_child, wait_for
from benchmarks.faults_campaign.file_events import FileEvents
from benchmarks.faults_campaign.jobs import Job, Place, run_command
from benchmarks.faults_campaign.kills import (
    count_events,
    disturb,
    go_on,
    kill_at,
    weigh,
)
from benchmarks.faults_campaign.tally import Outcome, Tally

_SHARE = 0.8  # of a run, within which the second one starts


def run_twice(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Start the same command a second time while the first one runs."""
    tally = Tally(f"two processes into one place: {job.name}")
    begun = time.monotonic()
    place.measure(job)
    chance = random.Random(seed)
    for _ in range(tries):
        place.sweep()
        logs = [place.log / f"said-{number}.txt" for number in range(2)]
        children = []
        for log in logs:
            act = partial(job.call, ())
            children.append(start_child(act, log=log, folder=place.work))
            time.sleep(chance.uniform(0, _SHARE) * place.seconds[job.name])
        pairs = zip(children, logs, strict=True)
        endings = [wait_for(child, log=log) for child, log in pairs]
        bad = [weigh(place, job, ending) for ending in endings]
        worst = [entry for entry in bad if entry[0] not in (None, Outcome.IDENTICAL)]
        if worst:
            said = " | ".join(ending.said[-200:] for ending in endings)
            outcome, story = worst[0]
            assert outcome is not None
            tally.add(outcome, f"{story}; {said}")
        elif all(ending.code for ending in endings):
            tally.add(*go_on(place, job, refused=True))
        else:
            refused = any(ending.code for ending in endings)
            tally.add(Outcome.REFUSED if refused else Outcome.IDENTICAL)
    tally.seconds = time.monotonic() - begun
    yield tally


def change_source(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Change some pixels of the image between a kill and the resume, or meanwhile."""
    source = place.work / "in" / "stack.tif"
    kept, other = (place.root / f"{name}.tif" for name in ("kept", "other"))
    shutil.copy2(source, kept)
    place.measure(job)
    place.run(partial(_change_pixels, source, other))
    changed = replace(job, name=f"{job.name}, image changed")
    try:
        _swap(other, source)
        place.measure(changed)
        for when in ("between kill and resume", "while it runs"):
            tally = Tally(f"image changed {when}: {job.name}")
            begun = time.monotonic()
            _swap(kept, source)
            events = count_events(place, job)
            count = min(tries, len(events) - 1)
            for step in range(count):
                at = 1 + step * (len(events) - 1) // count
                place.sweep()
                _swap(kept, source)
                if when.startswith("between"):

                    def act(at: int = at) -> None:
                        FileEvents(place.work, partial(kill_at, at))
                        job.call(())

                    ending = place.run(act)
                    if place.is_whole(job):
                        continue  # it was done before the image changed
                    _swap(other, source)
                    disturb(place, changed, ending, tally)
                    continue

                def run(at: int = at) -> None:
                    FileEvents(place.work, partial(_swap_at, at, other, source))
                    job.call(())

                ending = place.run(run)
                if ending.code == 0 and place.is_whole(job):
                    # nothing of the new image was read any more
                    tally.add(Outcome.IDENTICAL)
                else:
                    disturb(place, changed, ending, tally)
            tally.seconds = time.monotonic() - begun
            yield tally
    finally:
        _swap(kept, source)


def damage_chunks(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Damage a chunk that is done, between a kill and the resume."""
    tally = Tally(f"a finished chunk damaged: {job.name}")
    begun = time.monotonic()
    place.measure(job)
    events = count_events(place, job)
    chance = random.Random(seed)
    for number in range(tries):
        at = chance.randrange(len(events) // 2, len(events))

        def act(at: int = at) -> None:
            FileEvents(place.work, partial(kill_at, at))
            job.call(())

        place.sweep()
        ending = place.run(act)
        chunks = [
            path
            for path in sorted(place.work.rglob("c/*/*/*"))
            if path.is_file() and (place.work / "in") not in path.parents
        ]
        if place.is_whole(job) or not chunks:
            continue  # only what is unfinished is gone on with
        path = chance.choice(chunks)
        data = bytearray(path.read_bytes())
        if number % 3 == 0:
            path.unlink()
        elif number % 3 == 1:
            os.truncate(path, len(data) // 2)
        else:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
        disturb(place, job, ending, tally)
    tally.seconds = time.monotonic() - begun
    yield tally


def use_unfinished(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Upscale and inspect a store that a kill has left unfinished, and its level."""
    tally = Tally(f"an unfinished store as image: {job.name}")
    begun = time.monotonic()
    place.measure(job)
    events = count_events(place, job)
    first = next(n for n, line in enumerate(events) if "/0/c/" in line)
    for step in range(tries):
        at = first + step * (len(events) - 3 - first) // tries

        def act(at: int = at) -> None:
            FileEvents(place.work, partial(kill_at, at))
            job.call(())

        place.sweep()
        place.run(act)
        name = "out.ome.zarr/0" if step % 2 else "out.ome.zarr"
        command = [
            ("upscale", name, "more.ome.zarr", "--model", "bicubic"),
            ("inspect", name, "--out", "maps", "--maps", "residual"),
        ][step // 2 % 2]
        ending = place.run(partial(run_command, command, ()))
        outcome, story = weigh(place, job, ending)
        if outcome in (Outcome.IDENTICAL, Outcome.LOST):
            outcome, story = Outcome.LOST, f"{' '.join(command)}: {ending.said[-300:]}"
        tally.add(outcome or Outcome.REFUSED, story)
    tally.seconds = time.monotonic() - begun
    yield tally


def _change_pixels(source: Path, target: Path) -> None:
    """Write an image again with another patch, of the same size in bytes."""
    import tifffile

    pixels = tifffile.imread(source)
    pixels[1, 30:40, 30:40] += 777
    tifffile.imwrite(target, pixels, imagej=True, metadata={"axes": "ZYX"})


def _swap(new: Path, target: Path) -> None:
    """Put a file in the place of another at once, with its own time."""
    beside = target.with_name("beside")
    shutil.copy2(new, beside)
    beside.replace(target)


def _swap_at(
    at: int, new: Path, target: Path, number: int, event: str, paths: list[str]
) -> None:
    if number == at:
        _swap(new, target)
