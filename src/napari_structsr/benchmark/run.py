"""A comparison: every method on every plane, under the conditions of every track.

The run is a generator of events, as every long job. Each plane is read, measured and
prepared once a track; what cannot be scored is left out with a warning.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_structsr.benchmark.comparison import Comparison, Timing
from napari_structsr.benchmark.images import list_built_in_images
from napari_structsr.benchmark.measures import MEASURES
from napari_structsr.benchmark.methods import Method, list_default_methods, load_methods
from napari_structsr.benchmark.paired import compare_pairs
from napari_structsr.benchmark.score_files import read_scores, write_scores
from napari_structsr.benchmark.score_planes import PlaneScorer
from napari_structsr.benchmark.settings import BenchmarkSettings
from napari_structsr.benchmark.tracks import Track, find_tracks
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.engine.failures import yield_failures
from napari_structsr.errors import SettingsError, SourceError
from napari_structsr.io.formats.image_folders import find_images
from napari_structsr.zoo.catalogue import load_model

_TIMED_SIDE = 512  # measured pixels
_ROUNDS = 3
_PATIENCE = 20.0  # seconds after which a method is timed no more


@dataclass(frozen=True)
class BenchmarkPlan:
    """What a comparison is going to do.

    Parameters
    ----------
    images
        Images, read again for each track.
    methods
        By track, the names of the methods.
    """

    images: int
    methods: dict[str, list[str]]

    # as any plan of a run has; a comparison cannot be resumed
    done: int = 0

    def __str__(self) -> str:
        lines = [f"{self.images} images"]
        lines += [f"{track}: {', '.join(ms)}" for track, ms in self.methods.items()]
        return "\n".join(lines)


def benchmark(
    out: Path,
    *,
    settings: BenchmarkSettings | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Event]:
    """Compare methods and write tables and figures.

    Parameters
    ----------
    out
        Folder for quality.md, quality.csv, quality.json, speed.md, speed.csv and
        figures, or for paired.md and paired.csv; earlier ones are replaced, other
        files stay.
    settings
        Choices of the user.
    cancel
        Looked at before each plane; nothing is written then.

    Yields
    ------
    Event
        `Started` first, then `Progressed` for each image and `Warned` for each that is
        left out, and one of `Finished`, whose output is `out` and whose record is the
        `Comparison`, or the scores of pairs, `Cancelled` or `Failed` last.
    """
    cancel = cancel if cancel is not None else Cancel()
    settings = settings or BenchmarkSettings()
    if settings.paired is not None:
        events = compare_pairs(settings.paired, out, settings, cancel)
    else:
        events = _run(out, settings, cancel)
    yield from yield_failures(events, "the comparison")


def _run(out: Path, settings: BenchmarkSettings, cancel: Cancel) -> Iterator[Event]:
    from napari_structsr.benchmark.figures import check_matplotlib, draw_figures
    from napari_structsr.benchmark.tables import write_tables

    # before a long run, not after it
    check_matplotlib()
    tracks = find_tracks(settings.tracks)
    unknown = [key for key in settings.measures or () if key not in MEASURES]
    if unknown:
        raise SettingsError(
            f"there is no measure named {unknown[0]!r}; choose among "
            f"{', '.join(MEASURES)}"
        )
    if settings.data is None:
        images = list_built_in_images(limit=settings.limit)
    else:
        images = find_images(settings.data, limit=settings.limit)
    load = functools.cache(load_model)  # tracks of one factor share their networks
    methods = {
        track.name: load_methods(
            settings.methods or list_default_methods(track.factor),
            track,
            settings=settings,
            load=load,
        )
        for track in tracks
    }
    out.mkdir(parents=True, exist_ok=True)
    total = len(images) * len(tracks)
    names = {track: [m.name for m in found] for track, found in methods.items()}
    yield Started(total, BenchmarkPlan(len(images), names))
    outcome = Comparison(apart=settings.apart)
    known = read_scores(out) if settings.resume else {}
    scorer = PlaneScorer(settings, outcome, known)
    done = 0
    for track in tracks:
        outcome.facts[track.name] = list(methods[track.name])
        for image in images:
            for warning in scorer.score_image(image, track, methods[track.name]):
                if warning:
                    yield Warned(warning)
                if cancel:
                    break
            if cancel:
                yield Cancelled(done)
                return
            done += 1
            yield Progressed(done, total, f"{track.name}, {image.source}")
        if not outcome.sources(track.name):
            raise SourceError(
                "no image could be scored: " + "; ".join(outcome.left_out)
            )
        if settings.resume:
            # what an interrupted run leaves for the next one
            known |= {entry.key: entry for entry in outcome.scores}
            write_scores(known.values(), out)
        # tracks of a group differ in the image alone, and time is told once
        if settings.speed and track.group is None:
            outcome.timings[track.name] = _time_methods(methods[track.name], track)
    if cancel:
        yield Cancelled(done)
        return
    write_tables(outcome, out)
    draw_figures(outcome, out)
    yield Finished(out, outcome)


def _time_methods(methods: list[Method], track: Track) -> list[Timing]:
    """Time methods on one plane, in turns; the median of the rounds after the first."""
    from napari_structsr.benchmark.phantoms import draw_nuclei

    plane = np.tile(track.measure(draw_nuclei(side=_TIMED_SIDE)), (track.factor,) * 2)
    seconds: dict[str, list[float]] = {method.name: [] for method in methods}
    # in turns, so that a machine that slows down slows all methods alike; the first
    # round, which compiles kernels and fills caches, is dropped
    for _ in range(1 + _ROUNDS):
        for method in methods:
            spent = seconds[method.name]
            # seconds of a slow method are known well enough after one round
            if spent and max(spent) > _PATIENCE:
                continue
            start = time.perf_counter()
            method.run(plane)
            spent.append(time.perf_counter() - start)
    return [
        Timing(name, float(np.median(spent[1:] or spent)), plane.size)
        for name, spent in seconds.items()
    ]
