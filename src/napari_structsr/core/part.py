"""One of several runs that make one result together, each a share of its tiles."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_structsr.errors import SettingsError

_MOST = 100_000  # as many jobs as a queue takes in one array


@dataclass(frozen=True)
class Part:
    """Part `number` of `count`, counted from 1.

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
    def parse(cls, text: str) -> Part:
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
