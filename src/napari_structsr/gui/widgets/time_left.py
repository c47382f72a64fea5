"""How long a job goes on, from how long its steps have taken."""

from __future__ import annotations

import time
from collections.abc import Callable

from napari_structsr.engine.events import Progressed

_ENOUGH = 1.0  # seconds of work from which on a rate means something


def describe_seconds(seconds: float) -> str:
    """Write a time for people: "8 s", "3 min", "2 h 10 min"."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


class TimeLeft:
    """Watches the steps of a job.

    Parameters
    ----------
    clock
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._doing, self._first, self._since = "", 0, 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the job began."""
        return self._clock() - self._begun

    def begin(self) -> None:
        """Count from now on: what waits does not work."""
        self._begun = self._clock()

    def describe(self, event: Progressed) -> str:
        """Return what is left, such as "3 min left"; "" while nobody knows."""
        now = self._clock()
        # a pyramid takes another time than tiles, and an earlier run took none of ours
        if event.doing != self._doing or event.done < self._first:
            self._doing, self._first, self._since = event.doing, event.done, now
        steps, spent = event.done - self._first, now - self._since
        if not steps or spent < _ENOUGH or event.done >= event.total:
            return ""
        left = (event.total - event.done) * spent / steps
        return f"{describe_seconds(left)} left"
