"""Which faults are tried on which jobs, and how often."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.faults_campaign import disks, kills, numbers, power_loss, sharing
from benchmarks.faults_campaign.fuzz import fuzz, try_odd_files
from benchmarks.faults_campaign.jobs import Place, list_jobs
from benchmarks.faults_campaign.tally import Tally

_STORES = {"upscale to OME-Zarr": 1.0, "upscale to OME-TIFF": 1.0}
_WRITERS = {**_STORES, "inspect": 0.5, "train": 0.4, "finetune": 0.3, "accept": 0.3}
_ALL = {**_WRITERS, "import": 0.3, "export": 0.2, "calibrate": 0.2}
# what it leaves alone when power is lost is not lost, and it fills no disk
_WITH_CLEAN = {**_ALL, "clean": 0.3}

_Try = Callable[..., Iterator[Tally]]


@dataclass(frozen=True)
class Row:
    """One fault.

    Parameters
    ----------
    name
        For ``--only``.
    attempt
        Called with place, job, tries and seed.
    jobs
        Which jobs, and which share of the tries each gets.
    tries
        Of the first job, in a full campaign.
    """

    name: str
    attempt: _Try
    jobs: dict[str, float]
    tries: int

    def run(
        self,
        place: Place,
        *,
        share: float,
        seed: int,
        quick: bool = False,
        only: Collection[str] = (),
    ) -> Iterator[Tally]:
        """Yield the tallies of all jobs, or of some; see `__main__`."""
        jobs = list_jobs()
        for name, part in self.jobs.items():
            # a quick campaign leaves the slow jobs to the full one
            if quick and part < 1 and name not in ("accept", "export"):
                continue
            if only and name not in only:
                continue
            tries = max(2, round(self.tries * part * share))
            yield from self.attempt(place, jobs.get(name), tries, seed)


def list_rows(*, fuzz_seconds: float, readers: Sequence[str] = ()) -> dict[str, Row]:
    """Return all rows by name; the last ones have no job of their own."""
    options: dict[str, Any] = {"seconds": fuzz_seconds, "readers": readers}
    rows = [
        Row("kill-events", kills.kill_at_events, _WITH_CLEAN, 70),
        Row("kill-random", kills.kill_at_random, _WITH_CLEAN, 30),
        Row("interrupt", kills.interrupt, _WITH_CLEAN, 8),
    ]
    rows += [
        Row(
            f"power-{kind.replace(' ', '-')}",
            partial(power_loss.lose_power, kind=kind),
            _ALL,
            15,
        )
        for kind in power_loss.KINDS
    ]
    rows += [
        Row("disk-full", disks.fill_disk, _ALL, 8),
        Row("disk-fails", disks.fail_events, _WITH_CLEAN, 16),
        Row("read-only", disks.forbid_writing, _WITH_CLEAN, 6),
        Row("vanish", disks.let_vanish, _ALL, 16),
        Row("two-processes", sharing.run_twice, _WITH_CLEAN, 12),
        Row("changed-image", sharing.change_source, _STORES, 10),
        Row("damaged-chunk", sharing.damage_chunks, {**_STORES, "inspect": 0.5}, 12),
        Row(
            "unfinished-store",
            sharing.use_unfinished,
            {"upscale to OME-Zarr": 1.0},
            8,
        ),
        Row("numbers", _without_job(numbers.try_numbers), {"numbers": 1.0}, 80),
        Row(
            "odd-files",
            _without_job(partial(try_odd_files, **options)),
            {"odd files": 1.0},
            1,
        ),
        Row(
            "fuzz",
            _without_job(partial(fuzz, **options)),
            {"fuzz": 1.0},
            1,
        ),
    ]
    return {row.name: row for row in rows}


def _without_job(attempt: _Try) -> _Try:
    return lambda place, _, tries, seed: attempt(place, tries, seed)
