"""The outcome of a comparison, as data from which tables and figures are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_structsr.benchmark.measures import MEASURES
from napari_structsr.core.types import Float32Array

ScoreKey = tuple[str, str, str, str, str]
"""Track, source, plane, method, and what tells its weights from others."""


@dataclass(frozen=True)
class ResultScores:
    """The measures of one result, by their keys in `MEASURES`.

    `weights` tells those of a learned method from others of the same name.
    """

    track: str
    source: str
    plane: str
    method: str
    values: Mapping[str, float | None]
    weights: str = ""

    @property
    def key(self) -> ScoreKey:
        """What tells it from every other result."""
        return self.track, self.source, self.plane, self.method, self.weights


@dataclass(frozen=True)
class MethodFacts:
    """What tables say of a method besides its scores.

    Parameters
    ----------
    name
        Name in tables.
    learned
        Whether it was trained.
    parameters, operations
        Numbers that were learned, and multiply-adds for each measured pixel.
    seen_megapixels
        Measured pixels seen in training, in millions; None if not stated.
    training
        What the card says of the training.
    data
        Names of the sources it was trained on.
    """

    name: str
    learned: bool = False
    parameters: int = 0
    operations: float = 0.0
    seen_megapixels: float | None = None
    training: str = ""
    data: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """A part of a plane: the truth and what each method made of it."""

    source: str
    plane: str
    truth: Float32Array
    results: Mapping[str, Float32Array]


@dataclass(frozen=True)
class Timing:
    """Seconds of a method for a plane of so many measured pixels."""

    method: str
    seconds: float
    pixels: int


@dataclass
class Comparison:
    """Everything that was measured.

    Parameters
    ----------
    facts
        By track, the methods in the order of tables.
    scores
        One entry for each plane and method.
    examples, timings
        By track.
    left_out
        Planes that could not be scored, and why.
    apart
        Sources that are kept out of means over sources.
    """

    facts: dict[str, list[MethodFacts]] = field(default_factory=dict)
    scores: list[ResultScores] = field(default_factory=list)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    timings: dict[str, list[Timing]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    apart: tuple[str, ...] = ()
    _groups: dict[tuple[str, str, str], list[ResultScores]] = field(
        default_factory=dict, init=False, repr=False
    )
    _grouped: int = field(default=0, init=False, repr=False)

    def group_scores(self) -> dict[tuple[str, str, str], list[ResultScores]]:
        """Return the scores by track, source and method."""
        # tables ask for thousands of means, and scores are only ever added
        for entry in self.scores[self._grouped :]:
            key = (entry.track, entry.source, entry.method)
            self._groups.setdefault(key, []).append(entry)
        self._grouped = len(self.scores)
        return self._groups

    def sources(self, track: str) -> list[str]:
        """Name the sources of a track, in order, those that are kept apart last."""
        found = dict.fromkeys(key[1] for key in self.group_scores() if key[0] == track)
        return sorted(found, key=lambda source: source in self.apart)

    def averaged_sources(self, track: str) -> list[str]:
        """Name the sources over which means are taken."""
        sources = self.sources(track)
        return [source for source in sources if source not in self.apart] or sources

    def measures(self, track: str) -> list[str]:
        """Name the measures of a track, in the order of tables."""
        there = {
            measure
            for key, entries in self.group_scores().items()
            if key[0] == track
            for entry in entries
            for measure in entry.values
        }
        return [key for key in MEASURES if key in there]

    def values(
        self, track: str, source: str, method: str, measure: str
    ) -> list[float | None]:
        """Return a measure of each plane of a source."""
        entries = self.group_scores().get((track, source, method), [])
        return [entry.values.get(measure) for entry in entries]

    def average(
        self, track: str, method: str, measure: str, source: str | None = None
    ) -> float | None:
        """Average a measure over the planes of a source, or over all sources."""
        combine = MEASURES[measure].combine
        if source is not None:
            return combine(self.values(track, source, method, measure))
        # a source counts once, or that of most planes would decide alone
        return combine(
            self.average(track, method, measure, one)
            for one in self.averaged_sources(track)
        )
