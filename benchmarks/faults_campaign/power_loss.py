"""Power that fails: what was not synchronised with the disk is damaged.

A file system may write data late, and change names late, in their order. So of a file
that was not synchronised since it was last written the data may be missing, cut or
zeros; and the last changes of names since any synchronisation may not have happened.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.faults_campaign.jobs import Job, Place, remove
from benchmarks.faults_campaign.kills import (
    disturb,
    kill_at,
    run_watched,
    step_through,
)
from benchmarks.faults_campaign.tally import Outcome, Tally

KINDS = ("truncated", "zeroed", "gone", "renamed late")


def lose_power(
    place: Place, job: Job, tries: int, seed: int, *, kind: str
) -> Iterator[Tally]:
    """Kill a job before a file event, and damage what no disk was told to keep.

    Parameters
    ----------
    place, job, tries, seed
        As in `kills.kill_at_events`; one try more lets the job end before power fails.
    kind
        One of `KINDS`: what becomes of files that were not synchronised; or the last
        names that are undone.
    """
    tally = Tally(f"power lost, newest files {kind}: {job.name}")
    chance = random.Random(seed)
    for at in step_through(place, job, tries, tally, first=1, end=True):
        notes = place.log / "notes.txt"
        ending = run_watched(place, job, partial(kill_at, at), notes=notes)
        hurt = damage(place.work, notes, kind, chance)
        with tally.locate(f"{kind} {hurt}"):
            if ending.code != 0:
                disturb(place, job, ending, tally)
            # the user was told that it is done: it must be on the disk
            elif place.is_whole(job):
                tally.add(Outcome.IDENTICAL)
            else:
                tally.add(Outcome.LOST, f"after its end: {place.tell_difference(job)}")
    yield tally


def damage(work: Path, notes: Path, kind: str, chance: random.Random) -> list[str]:
    """Damage what was not synchronised; return which files."""
    lines = notes.read_text("utf-8").splitlines() if notes.exists() else []
    steps = [line.split("\t") for line in lines]
    if kind == "renamed late":
        return _undo_names(steps, chance)
    kept = {(words[1], words[2]) for words in steps if words[0] == "sync"}
    loose = []
    for path in sorted(work.rglob("*")):
        if not path.is_file() or (work / "in") in path.parents:
            continue
        found = path.stat()
        if (str(found.st_ino), str(found.st_size)) not in kept and found.st_size:
            loose.append(path)
    # some of them, as the disk had begun to write
    hit = [path for path in loose if chance.random() < 0.7] or loose[:1]
    for path in hit:
        size = path.stat().st_size
        if kind == "gone":
            path.unlink()
        elif kind == "zeroed":
            path.write_bytes(bytes(size))
        else:
            os.truncate(path, chance.choice((0, size // 2)))
    return [path.relative_to(work).as_posix() for path in hit]


def _undo_names(steps: list[list[str]], chance: random.Random) -> list[str]:
    """Undo the last changes of names since the last synchronisation."""
    last = max((n for n, words in enumerate(steps) if words[0] == "sync"), default=-1)
    late = steps[last + 1 :]
    late = late[len(late) - chance.randint(1, len(late)) :] if late else []
    for words in reversed(late):
        match words:
            case ["rename", source, target, kept]:
                if Path(target).exists():
                    Path(target).rename(source)
                if kept:
                    os.link(kept, target)
            case ["remove", target, kept]:
                if not Path(target).exists():
                    Path(target).parent.mkdir(parents=True, exist_ok=True)
                    os.link(kept, target)
            case ["create" | "mkdir", target]:
                if Path(target).exists():
                    remove(Path(target))
            case ["rmdir", target]:
                Path(target).mkdir(exist_ok=True)
    return [" ".join(Path(word).name for word in words) for words in late]
