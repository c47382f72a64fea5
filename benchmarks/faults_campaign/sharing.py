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

from benchmarks.faults_campaign.children import Ending, start_child, wait_for
from benchmarks.faults_campaign.jobs import Job, Place, run_command
from benchmarks.faults_campaign.kills import (
    disturb,
    go_on,
    kill_at,
    run_watched,
    step_through,
    weigh,
)
from benchmarks.faults_campaign.tally import Outcome, Tally

_CHUNK = "/0/c/"  # in its path
_SHARE = 0.8  # of a run, within which the second one starts


def run_twice(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Start the same command a second time while the first one runs."""
    tally = Tally(f"two processes into one place: {job.name}")
    chance = random.Random(seed)
    with tally.keep_time():
        place.measure(job)
        for _ in range(tries):
            place.sweep(job)
            _judge_both(place, job, tally, _start_both(place, job, chance))
    yield tally


def _start_both(place: Place, job: Job, chance: random.Random) -> list[Ending]:
    logs = [place.log / f"said-{number}.txt" for number in range(2)]
    children = []
    for log in logs:
        act = partial(job.call, ())
        children.append(start_child(act, log=log, folder=place.work))
        time.sleep(chance.uniform(0, _SHARE) * place.seconds[job.name])
    pairs = zip(children, logs, strict=True)
    return [wait_for(child, log=log) for child, log in pairs]


def _judge_both(place: Place, job: Job, tally: Tally, endings: list[Ending]) -> None:
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
            _swap(kept, source)
            for at in step_through(place, job, tries, tally, first=1):
                _swap(kept, source)
                if when.startswith("between"):
                    ending = run_watched(place, job, partial(kill_at, at))
                    if place.is_whole(job):
                        continue  # it was done before the image changed
                    _swap(other, source)
                    disturb(place, changed, ending, tally)
                    continue
                swap = partial(_swap_at, at, other, source)
                ending = run_watched(place, job, swap)
                if ending.code == 0 and place.is_whole(job):
                    # nothing of the new image was read any more
                    tally.add(Outcome.IDENTICAL)
                else:
                    disturb(place, changed, ending, tally)
            yield tally
    finally:
        _swap(kept, source)


def damage_chunks(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Damage a chunk that is done, between a kill and the resume."""
    tally = Tally(f"a finished chunk damaged: {job.name}")
    chance = random.Random(seed)
    steps = step_through(place, job, tries, tally, least=_CHUNK)
    for number, at in enumerate(steps):
        ending = run_watched(place, job, partial(kill_at, at))
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
    yield tally


def use_unfinished(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Upscale and inspect a store that a kill has left unfinished, and its level."""
    tally = Tally(f"an unfinished store as image: {job.name}")
    # the last events are those of a store that is finished
    steps = step_through(place, job, tries, tally, least=_CHUNK, last=3)
    for step, at in enumerate(steps):
        run_watched(place, job, partial(kill_at, at))
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
