"""Scores of every method on one image after another, in one track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_structsr.benchmark.comparison import Comparison, Example, ResultScores
from napari_structsr.benchmark.measures import (
    MEASURES,
    Reference,
    find_busiest_window,
)
from napari_structsr.benchmark.methods import Method
from napari_structsr.benchmark.score_files import KnownScores
from napari_structsr.benchmark.settings import BenchmarkSettings
from napari_structsr.benchmark.tracks import Track, make_truth
from napari_structsr.core.types import Array, Float32Array
from napari_structsr.errors import SourceError
from napari_structsr.io.formats.image_folders import ImageFile

_SMALLEST_SIDE = 64  # pixels of the truth
_EXAMPLE_SIDE = 96  # pixels of the truth


@dataclass(frozen=True)
class PlaneScorer:
    """Scores planes, and adds what it finds to a comparison.

    Parameters
    ----------
    settings
        Choices of the user.
    outcome
        Receives scores, examples, and planes that were left out.
    known
        Scores that need not be computed again.
    """

    settings: BenchmarkSettings
    outcome: Comparison
    known: KnownScores

    def score_image(
        self, image: ImageFile, track: Track, methods: list[Method]
    ) -> Iterator[str | None]:
        """Score every method on each plane of an image; yield why one is left out."""
        try:
            for name, plane in image.planes(self.settings.every):
                reason = _find_reason(plane)
                if reason:
                    reason = f"{image.source}/{name} is left out: {reason}"
                    self.outcome.left_out.append(f"{track.name}, {reason}")
                else:
                    truth, name = self._cut(
                        make_truth(plane, track.factor), name, track
                    )
                    self._score_plane(image.source, name, truth, track, methods)
                yield reason
        except SourceError as error:
            self.outcome.left_out.append(f"{track.name}, {error}")
            yield f"{error}; it is left out"

    def _cut(
        self, truth: Float32Array, name: str, track: Track
    ) -> tuple[Float32Array, str]:
        """Return the part of a plane that is measured, and its name."""
        side = self.settings.crop
        if side is None:
            return truth, name
        # after scaling by the whole plane: a dark part stays dark
        part = truth[find_busiest_window(truth, side * track.factor)]
        height, width = (size // track.factor * track.factor for size in part.shape)
        return np.ascontiguousarray(part[:height, :width]), f"{name} busiest {side}"

    def _score_plane(
        self,
        source: str,
        name: str,
        truth: Float32Array,
        track: Track,
        methods: list[Method],
    ) -> None:
        """Measure a plane once, and score what every method makes of it."""
        wanted = set(self.settings.measures or MEASURES)
        found = {}
        for method in methods:
            key = (track.name, source, name, method.name, method.weights)
            entry = self.known.get(key)
            if entry is not None and wanted <= set(entry.values):
                found[method.name] = entry
        if len(found) == len(methods):
            self.outcome.scores += found.values()
            return
        # an example shows all methods, also those whose scores are known
        again = track.group is None
        measured = track.measure(truth)
        reference = Reference(truth, measured, track)
        window = find_busiest_window(truth, _EXAMPLE_SIDE)
        parts = {}
        for method in methods:
            if again or method.name not in found:
                result = method.run(measured)
                # a view would keep the whole plane in memory
                parts[method.name] = result[window].copy()
                values = reference.score(result, wanted)
                found[method.name] = ResultScores(
                    track.name, source, name, method.name, values, method.weights
                )
            self.outcome.scores.append(found[method.name])
        # one example of each source is drawn
        if not again:
            return
        examples = self.outcome.examples.setdefault(track.name, [])
        if source not in {example.source for example in examples}:
            examples.append(Example(source, name, truth[window].copy(), parts))


def _find_reason(plane: Array) -> str | None:
    """Say why a plane cannot be scored, or return None."""
    if min(plane.shape) < _SMALLEST_SIDE:
        return f"it has {plane.shape} pixels, less than {_SMALLEST_SIDE} along a side"
    if not np.isfinite(plane).all():
        return "it holds values that are no numbers"
    if plane.min() == plane.max():
        return "all its pixels are equal"
    return None
