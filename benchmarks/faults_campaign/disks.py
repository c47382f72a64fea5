"""Disks that are full, fail, refuse to be written, or vanish in the middle."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults_campaign.jobs import Job, Place, remove
from benchmarks.faults_campaign.kills import (
    disturb,
    kill_at,
    run_watched,
    step_through,
)
from benchmarks.faults_campaign.tally import Tally

_PAGE = 4096
# what a full disk refuses; names can still be changed
_TAKES_SPACE = ("open", "os.mkdir", "os.fsync", "os.link", "os.symlink")


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def fill_disk(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Run a job on a small disk that fills up, then make room."""
    tally = Tally(f"disk full: {job.name}")
    with tally.keep_time():
        place.measure(job)
        place.sweep()
        place.run(partial(job.call, ()))
        taken = [_count_bytes(place.work / name) for name in job.outputs]
        place.sweep()
        inputs = _count_bytes(place.work / "in")
        for number in range(tries):
            room = max(2 * _PAGE, sum(taken) * number // tries)
            place.sweep()
            try:
                with _mount(place.work, inputs + room):
                    ending = place.run(partial(_ignore_free_space, job))
                    _resize(place.work, inputs + 20 * sum(taken) + 2**20)
                    disturb(place, job, ending, tally)
            except (OSError, subprocess.CalledProcessError) as error:
                tally.skipped = f"no small disk can be mounted here ({error})"
                break
    yield tally


def fail_events(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Fail file events from the n-th on as a full disk does, or one as a bad disk."""
    for number, words in (
        (errno.ENOSPC, "no space from the n-th file event on"),
        (errno.EIO, "input/output error at the n-th file event"),
    ):
        tally = Tally(f"{words}: {job.name}")
        for at in step_through(place, job, tries, tally):
            ending = run_watched(place, job, partial(_fail_at, at, number))
            disturb(place, job, ending, tally)
        yield tally


def forbid_writing(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Run a job where it may not write, at its start and after a kill."""
    tally = Tally(f"read-only: {job.name}")
    for at in step_through(place, job, tries, tally):
        if at:  # something of it is there already
            run_watched(place, job, partial(kill_at, at))
        with _closed(place.work):
            ending = place.run(partial(_without_privileges, partial(job.call, ())))
        disturb(place, job, ending, tally)
    yield tally


def let_vanish(place: Place, job: Job, tries: int, seed: int) -> Iterator[Tally]:
    """Take away all that a job writes while it runs; half the time it comes back."""
    tally = Tally(f"folder vanishes: {job.name}")
    for step, at in enumerate(step_through(place, job, tries, tally)):
        away = place.log / "away"
        away.mkdir()
        take = partial(_take_away, at, place.work, away)
        ending = run_watched(place, job, take)
        back = step % 2 and ending.code != 0
        for path in list(away.iterdir()) if back else ():
            remove(place.work / path.name)
            path.rename(place.work / path.name)
        with tally.locate("back" if back else "gone"):
            disturb(place, job, ending, tally)
    yield tally


def _ignore_free_space(job: Job) -> None:
    """Run a job that believes in a large disk, so that it fills up in the middle."""
    plenty = _Usage(2**50, 0, 2**50)
    shutil.disk_usage = lambda _: plenty  # type: ignore[assignment,misc]
    job.call(())


def _fail_at(at: int, fault: int, number: int, event: str, paths: list[str]) -> None:
    if number == at or (
        fault == errno.ENOSPC and number > at and event in _TAKES_SPACE
    ):
        raise OSError(fault, os.strerror(fault), paths[-1])


def _take_away(
    at: int, work: Path, away: Path, number: int, event: str, paths: list[str]
) -> None:
    if number == at:
        for path in list(work.iterdir()):
            if path.name != "in":
                path.rename(away / path.name)


def _without_privileges(act: Callable[[], object]) -> None:
    """Run something as a user whom permissions bind, though root may start it."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        # version 3 of the structure, for this process, and no capability at all
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        libc.capset(header, (ctypes.c_uint32 * 6)())
    act()


@contextmanager
def _closed(folder: Path) -> Iterator[None]:
    """Take the right to write from a folder and all in it but its inputs."""
    paths = [folder]
    for top in folder.iterdir():
        if top.name != "in":
            paths += [top, *(path for path in top.rglob("*"))]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)


@contextmanager
def _mount(work: Path, size: int) -> Iterator[None]:
    """Lay a disk of some bytes over the workplace, with its inputs."""
    kept = work.with_name("kept")
    shutil.copytree(work / "in", kept)
    try:
        _call("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(work))
        try:
            shutil.copytree(kept, work / "in")
            yield
        finally:
            _call("umount", "-l", str(work))
    finally:
        shutil.rmtree(kept)


def _resize(work: Path, size: int) -> None:
    _call("mount", "-o", f"remount,size={size}", str(work))


def _call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def _count_bytes(path: Path) -> int:
    """Return what a folder takes on a disk of pages."""
    files = [path, *path.rglob("*")]
    return sum(
        _PAGE if file.is_dir() else -(-file.stat().st_size // _PAGE) * _PAGE
        for file in files
    )
