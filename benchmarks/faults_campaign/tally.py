"""How tries ended, counted by fault, as the table of the documentation."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """How one try ended for the user."""

    IDENTICAL = "identical"
    """The result is, byte for byte, that of an undisturbed run."""
    REFUSED = "refused"
    """A sentence said what is wrong, and the remedy it names worked."""
    LOST = "lost"
    """Wrong or missing pixels without a word, or no way out that works."""
    TRACEBACK = "traceback"
    """The user met a traceback, or the process died by itself."""
    HANG = "hang"
    """It did not end."""


@dataclass
class Tally:
    """The tries of one fault.

    Parameters
    ----------
    fault
        What was done, in words.
    kills
        How many processes were killed.
    counts
        Tries by outcome.
    examples
        What went wrong first, for who mends it.
    skipped
        Why it was not tried here; empty where it was.
    seconds
        How long it took.
    row
        Which row of the campaign it belongs to.
    """

    fault: str
    kills: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0
    row: str = ""

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {name}" for name, number in self.counts.items())
        words = f"not tried: {self.skipped}" if self.skipped else counts
        return f"{self.fault}: {words} ({self.kills} kills, {self.seconds:.0f} s)"

    @property
    def kind(self) -> str:
        """Return the fault without its job."""
        return self.fault.partition(": ")[0]

    @property
    def job(self) -> str:
        """Return the job; empty where there is none."""
        return self.fault.partition(": ")[2]

    @property
    def tries(self) -> int:
        """Return how many tries there were."""
        return sum(self.counts.values())

    @property
    def failed(self) -> int:
        """Return how many of them broke a promise."""
        good = (Outcome.IDENTICAL, Outcome.REFUSED)
        return sum(n for name, n in self.counts.items() if name not in good)

    def write(self, folder: Path) -> None:
        """Write it into a file of its own, so that single rows can be run again."""
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", self.fault)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", "utf-8")

    def add(self, outcome: Outcome, story: str = "") -> None:
        """Count a try; the story of one that went wrong is kept."""
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        if outcome not in (Outcome.IDENTICAL, Outcome.REFUSED) and story:
            self.examples.append(f"{outcome}: {story}")

    @contextmanager
    def keep_time(self) -> Iterator[None]:
        """Note how long all that is done meanwhile took."""
        begun = time.monotonic()
        yield
        self.seconds = time.monotonic() - begun

    @contextmanager
    def locate(self, where: str) -> Iterator[None]:
        """Say where it was of every story that is kept meanwhile."""
        before = len(self.examples)
        yield
        self.examples[before:] = [f"{where}: {one}" for one in self.examples[before:]]


def read_tallies(folder: Path, rows: Sequence[str]) -> list[Tally]:
    """Return all tallies that lie in a folder, in the order of the rows."""
    found = [Tally(**json.loads(path.read_text())) for path in folder.glob("*.json")]
    return sorted(found, key=lambda tally: (rows.index(tally.row), tally.fault))


def write_tables(folder: Path, tallies: Sequence[Tally]) -> str:
    """Write the table by fault, and the kills by job; return both as markdown."""
    kinds = _merge(tallies, lambda tally: tally.kind)
    killed = _merge([t for t in tallies if t.kills and t.job], lambda tally: tally.job)
    text = "\n".join([*_format(kinds, "fault"), "", *_format(killed, "killed job"), ""])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "faults.md").write_text(text, "utf-8")
    return text


def _merge(tallies: Iterable[Tally], key: Callable[[Tally], str]) -> list[Tally]:
    merged: dict[str, Tally] = {}
    for tally in tallies:
        into = merged.setdefault(key(tally), Tally(key(tally)))
        into.kills += tally.kills
        into.skipped = into.skipped or tally.skipped
        for name, number in tally.counts.items():
            into.counts[name] = into.counts.get(name, 0) + number
    return list(merged.values())


def _format(tallies: Sequence[Tally], title: str) -> list[str]:
    heads = [title, "kills", "tries", "identical", "refused in words"]
    heads += ["lost", "traceback", "hang"]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for tally in [*tallies, *_merge(tallies, lambda _: "**all**")]:
        name = tally.fault
        if tally.skipped and not tally.tries:
            name = f"{name} (not tried: {tally.skipped})"
        counts = [tally.counts.get(outcome, 0) for outcome in Outcome]
        cells = [name, *(f"{n:,}" for n in (tally.kills, tally.tries, *counts))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines
