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

from napari_structsr.benchmark.comparison import (
    Comparison,
    Example,
    ResultScores,
    Timing,
)
from napari_structsr.benchmark.images import list_built_in_images
from napari_structsr.benchmark.measures import Reference, find_busiest_window
from napari_structsr.benchmark.methods import Method, list_default_methods, load_methods
from napari_structsr.benchmark.settings import BenchmarkSettings
from napari_structsr.benchmark.tracks import TRACKS, Track, make_truth
from napari_structsr.core.types import Array
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
from napari_structsr.io.image_folders import ImageFile, find_images
from napari_structsr.zoo.catalogue import load_model

_SMALLEST_SIDE = 64  # pixels of the truth
_EXAMPLE_SIDE = 96  # pixels of the truth
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
        figures; earlier ones are replaced, other files stay.
    settings
        Choices of the user.
    cancel
        Looked at before each plane; nothing is written then.

    Yields
    ------
    Event
        `Started` first, then `Progressed` for each image and `Warned` for each that is
        left out, and one of `Finished`, whose output is `out` and whose record is the
        `Comparison`, `Cancelled` or `Failed` last.
    """
    cancel = cancel if cancel is not None else Cancel()
    events = _run(out, settings or BenchmarkSettings(), cancel)
    yield from yield_failures(events, "the comparison")


def _run(out: Path, settings: BenchmarkSettings, cancel: Cancel) -> Iterator[Event]:
    from napari_structsr.benchmark.figures import check_matplotlib, draw_figures
    from napari_structsr.benchmark.tables import write_tables

    # before a long run, not after it
    check_matplotlib()
    unknown = [name for name in settings.tracks or () if name not in TRACKS]
    if unknown:
        raise SettingsError(
            f"there is no track named {unknown[0]!r}; choose among {', '.join(TRACKS)}"
        )
    tracks = [TRACKS[name] for name in dict.fromkeys(settings.tracks or TRACKS)]
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
    outcome = Comparison()
    done = 0
    for track in tracks:
        outcome.facts[track.name] = list(methods[track.name])
        for image in images:
            found = methods[track.name]
            for warning in _compare_image(image, track, found, settings, outcome):
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
        if settings.speed:
            outcome.timings[track.name] = _time_methods(methods[track.name], track)
    if cancel:
        yield Cancelled(done)
        return
    write_tables(outcome, out)
    draw_figures(outcome, out)
    yield Finished(out, outcome)


def _compare_image(
    image: ImageFile,
    track: Track,
    methods: list[Method],
    settings: BenchmarkSettings,
    outcome: Comparison,
) -> Iterator[str | None]:
    """Score every method on each plane of an image; yield why one is left out."""
    try:
        for name, plane in image.planes(settings.every):
            reason = _find_reason(plane)
            if reason:
                reason = f"{image.source}/{name} is left out: {reason}"
                outcome.left_out.append(f"{track.name}, {reason}")
            else:
                _score_plane(image.source, name, plane, track, methods, outcome)
            yield reason
    except SourceError as error:
        outcome.left_out.append(f"{track.name}, {error}")
        yield f"{error}; it is left out"


def _score_plane(
    source: str,
    name: str,
    plane: Array,
    track: Track,
    methods: list[Method],
    outcome: Comparison,
) -> None:
    """Measure a plane once, and score what every method makes of it."""
    truth = make_truth(plane, track.factor)
    measured = track.measure(truth)
    reference = Reference(truth, measured, track)
    part = find_busiest_window(truth, _EXAMPLE_SIDE)
    parts = {}
    for method in methods:
        result = method.run(measured)
        # a view would keep the whole plane in memory
        parts[method.name] = result[part].copy()
        values = reference.score(result)
        outcome.scores.append(
            ResultScores(track.name, source, name, method.name, values)
        )
    # one example of each source is drawn
    examples = outcome.examples.setdefault(track.name, [])
    if source not in {example.source for example in examples}:
        examples.append(Example(source, name, truth[part].copy(), parts))


def _find_reason(plane: Array) -> str | None:
    """Say why a plane cannot be scored, or return None."""
    if min(plane.shape) < _SMALLEST_SIDE:
        return f"it has {plane.shape} pixels, less than {_SMALLEST_SIDE} along a side"
    if not np.isfinite(plane).all():
        return "it holds values that are no numbers"
    if plane.min() == plane.max():
        return "all its pixels are equal"
    return None


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
