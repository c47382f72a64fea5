"""A fuzz of all readers, in children that may crash, by two kinds of damage.

Odd files are whole ones with an entry, a tag or an element changed, see `odd_files`.
Hypothesis draws changes of bytes and of values. A file that breaks a reader is kept.
"""

from __future__ import annotations

import logging
import random
import re
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults_campaign.exchange_family import EXCHANGE_FAMILY
from benchmarks.faults_campaign.image_families import IMAGE_FAMILIES
from benchmarks.faults_campaign.jobs import Place
from benchmarks.faults_campaign.odd_files import Family, find_fault
from benchmarks.faults_campaign.readers import FAMILIES
from benchmarks.faults_campaign.run_families import RUN_FAMILIES
from benchmarks.faults_campaign.tally import Outcome, Tally

READERS = {
    family.name: family
    for family in (*FAMILIES, *RUN_FAMILIES, *IMAGE_FAMILIES, EXCHANGE_FAMILY)
}
_SLOW = 120  # seconds for one small file, where others share the machine
_MEMORY = 12 * 2**30  # bytes that a process may ask for
_ENOUGH = 3  # faults of one reader; who mends them needs no more
_TOKENS = (
    *(b"", b"0", b"-1", b"1e400", b"NaN", b"Infinity", b"null", b"true", b"[]"),
    *(b"{}", b'""', b'"x"', b'"../../x"', b"99999999999999999999", b"0.5", b"\xff"),
    *(b"[" * 5000, b"9" * 5000, b"\0\0\0\0", b"\xff\xff\xff\xff", b'"\x1b[31m"'),
)
_VALUES = re.compile(rb'-?\d+(?:\.\d+)?(?:e-?\d+)?|"[^"]*"|true|false|null')


class _TooSlow(BaseException):
    """No error of any reader: none may take it for one of its file."""


# copies the whole files, damaged, and returns what is opened
_Damage = Callable[[Path, Path], Path]


def fuzz(
    place: Place,
    tries: int,
    seed: int,
    *,
    seconds: float,
    readers: Sequence[str] = (),
) -> Iterator[Tally]:
    """Let hypothesis damage the files of every reader, or some, for some seconds."""
    _warm_up()
    for family in [READERS[name] for name in readers or READERS]:
        # what it draws when the time is over is drawn in vain
        examples = 300 if seconds > 30 else 10
        act = partial(_draw_by_hypothesis, family, examples)
        tally = Tally(f"bytes and values fuzzed: {family.name}")
        yield fuzz_reader(place, family, tally, act, seed, seconds=seconds)


def try_odd_files(
    place: Place,
    tries: int,
    seed: int,
    *,
    seconds: float,
    readers: Sequence[str] = (),
) -> Iterator[Tally]:
    """Give odd files to every reader, or some, for some seconds each."""
    for family in [READERS[name] for name in readers or READERS]:
        act = partial(_draw_odd, family)
        tally = Tally(f"odd and hostile files: {family.name}")
        yield fuzz_reader(place, family, tally, act, seed, seconds=seconds)


def fuzz_reader(
    place: Place,
    family: Family,
    tally: Tally,
    act: Callable[..., None],
    seed: int,
    *,
    seconds: float,
) -> Tally:
    """Fuzz one reader in a child, and in another one where that dies."""
    begun = time.monotonic()
    number = 0
    while (left := seconds - (time.monotonic() - begun)) > 0:
        place.sweep()
        counts = place.log / "counts.txt"
        run = partial(_fuzz, family, act, place.work, counts, seed + number, left)
        ending = place.run(run, patience=left + 3 * _SLOW)
        words = counts.read_text().split() if counts.exists() else []
        for outcome, count in zip(
            (Outcome.IDENTICAL, Outcome.REFUSED), words, strict=False
        ):
            tally.counts[outcome] = tally.counts.get(outcome, 0) + int(count)
        number += 1
        if ending.code == 0:
            continue
        kept = place.root / "found" / f"{family.name}-{seed + number}"
        shutil.rmtree(kept, ignore_errors=True)
        # a child that died before its first file leaves none
        if (place.work / "trial").exists():
            shutil.copytree(place.work / "trial", kept)
        hung = ending.hung or "took too long" in ending.said
        tally.add(
            Outcome.HANG if hung else Outcome.TRACEBACK,
            f"{kept}: ended with {ending.code}: {ending.said[-1500:]}",
        )
        if tally.failed >= _ENOUGH:
            break
    tally.seconds = time.monotonic() - begun
    return tally


def damage(data: bytes, edits: list[tuple[int, str, bytes]]) -> bytes:
    """Damage a file: bytes are exchanged, put in, cut out, or values exchanged."""
    found = bytearray(data)
    for where, kind, new in edits:
        at = where % (len(found) + 1)
        if kind == "put":
            found[at : at + len(new)] = new
        elif kind == "insert":
            found[at:at] = new
        elif kind == "cut":
            del found[at : at + len(new) + 1]
        elif kind == "end":
            del found[at:]
        elif kind == "repeat":
            found[at:at] = found[at : at + 64]
        elif spans := [m.span() for m in _VALUES.finditer(bytes(found))]:
            first, last = spans[where % len(spans)]
            found[first:last] = new
    return bytes(found)


def _fuzz(
    family: Family,
    act: Callable[..., None],
    work: Path,
    counts: Path,
    seed: int,
    seconds: float,
) -> None:
    """Damage and read files until the time is over; called in a child."""
    limit_process()
    whole, trial = work / "whole", work / "trial"
    family.prepare(whole)
    tally = [0, 0]
    until = time.monotonic() + seconds
    refused = [False]

    def read(path: Path) -> None:
        refused[0] = True
        family.read(path)
        refused[0] = False

    def attempt(change: _Damage) -> None:
        if time.monotonic() > until and sum(tally):
            return
        path = change(whole, trial)
        signal.alarm(_SLOW)
        try:
            if fault := find_fault(read, path):
                raise fault
        finally:
            signal.alarm(0)
        tally[refused[0]] += 1
        counts.write_text(f"{tally[0]} {tally[1]}")

    number = 0
    while time.monotonic() < until:
        number += 1
        act(attempt, 10_000 * seed + number)


def _draw_odd(family: Family, attempt: Callable[..., None], seed: int) -> None:
    chance = random.Random(seed)
    attempt(lambda whole, trial: family.change(whole, trial, chance))


def _draw_by_hypothesis(
    family: Family, examples: int, attempt: Callable[..., None], seed: int
) -> None:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    kinds = ["put", "insert", "cut", "end", "repeat", "value", "value", "value"]
    edit = st.tuples(
        st.integers(0, 2**20),
        st.sampled_from(kinds),
        st.one_of(st.sampled_from(_TOKENS), st.binary(min_size=1, max_size=4)),
    )

    def try_edits(which: int, edits: list[tuple[int, str, bytes]]) -> None:
        attempt(lambda whole, trial: _damage_one(family, whole, trial, which, edits))

    run = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(given(st.integers(0, 99), st.lists(edit, min_size=1, max_size=5))(try_edits))
    seeded(seed)(run)()


def _damage_one(
    family: Family, whole: Path, trial: Path, which: int, edits: list[Any]
) -> Path:
    """Copy the whole files of a family, one of them damaged."""

    def change(data: bytes, chance: random.Random) -> bytes:
        return damage(data, edits)

    pattern = family.changes[which % len(family.changes)][0]
    changed = Family(family.name, family.make, family.read, ((pattern, change),))
    return changed.change(whole, trial, random.Random(which))


def _warm_up() -> None:
    """Import what hypothesis imports late, once for all children."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    settings(max_examples=5, deadline=None, database=None)(
        given(st.lists(st.tuples(st.integers(), st.binary())))(lambda _: None)
    )()


def limit_process() -> None:
    """Bound memory and time of this process, and quieten it."""

    def end(*_: Any) -> None:
        raise _TooSlow("one small file took too long")

    signal.signal(signal.SIGALRM, end)
    # Windows has no such limits, and reads the families of this module in tests
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    logging.disable()
    warnings.simplefilter("ignore")
