"""One of several runs that make one result together, each a share of its tiles."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_structsr.errors import SettingsError

_MOST = 100_000  # as many jobs as a queue takes in one array


@dataclass(frozen=True)
class RunPart:
    """RunPart `number` of `count`, counted from 1.

    Raises
    ------
    SettingsError
        If there is no such part.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count <= _MOST:
            raise SettingsError(
                f"there is no part {self.number} of {self.count}; give K/N with K from "
                f"1 to N, such as 1/8, and N up to {_MOST}"
            )

    @classmethod
    def parse(cls, text: str) -> RunPart:
        """Return the part that a text such as "2/8" names.

        Raises
        ------
        SettingsError
            If it names none.
        """
        found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text, re.ASCII)
        if found is None:
            raise SettingsError(f"{text!r} is no part; give K/N such as 1/8")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number} of {self.count}"

    @property
    def label(self) -> str:
        """What it is called in names of files."""
        return f"part-{self.number}-of-{self.count}"

    def own(self, total: int) -> range:
        """Return its share of `total` tiles: neighbours, which share what is read."""
        first, last = (
            total * number // self.count for number in (self.number - 1, self.number)
        )
        return range(first, last)


BOTH_WAYS = (
    "parts and a cluster are two ways to share the work; give --part, or --scheduler "
    "or --workers"
)
"""What is said to whoever asks for both."""


def describe_part(part: RunPart, missing: int) -> str:
    """Say that a part is written, and who finishes the whole.

    `missing` are the tiles of others that are not there yet.
    """
    rest = f"{missing} tiles of others are missing" if missing else "as are all others"
    return (
        f"part {part} is written, {rest}; the last part to end finishes the result, "
        "and so does the same command without --part"
    )
