"""Tables of tracks that differ in width and light alone: a column for each.

PSNR is written as the gain over bicubic, since that is what a method is worth; a worst
source stands beside the mean, or a mean would hide what a method spoils.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari_structsr.benchmark.comparison import Comparison
from napari_structsr.benchmark.markdown import format_table
from napari_structsr.benchmark.measures import MEASURES
from napari_structsr.benchmark.tracks import TRACKS

_BASE = "bicubic"
_SHAPES = {
    "gaussian": "Round Gaussian",
    "airy": "Airy pattern of a circular aperture",
    "elliptic": "Elliptic Gaussian, axes 1.2 to 1",
    "astigmatic": "Elliptic Gaussian, axes 1.44 to 1",
}


def format_group(outcome: Comparison, group: str, tracks: Sequence[str]) -> str:
    """Return the tables of a group in Markdown.

    Parameters
    ----------
    outcome
        What was measured.
    group
        Its name, the head of the section.
    tracks
        The names of its tracks.
    """
    first = TRACKS[tracks[0]]
    sources = outcome.sources(first.name)
    planes = len({(s.source, s.plane) for s in outcome.scores if s.track == first.name})
    measures = outcome.measures(first.name)
    names = [fact.name for fact in outcome.facts[first.name]]
    text = [
        f"## {group}",
        f"{_SHAPES[first.shape]}, factor {first.factor}; columns are its width in "
        f"measured pixels and the photons at full range; {planes} planes of "
        f"{len(sources)} sources. {say_apart(outcome, first.name)}"
        + _title(measures[0])
        + ", means over sources:",
    ]
    for key in measures:
        if key != measures[0]:
            text.append(f"{_title(key)}, means over sources:")
        rows = [
            [name, *(_write(outcome, track, name, key) for track in tracks)]
            for name in names
        ]
        text.append(_tabulate(tracks, rows))
    if "psnr" not in measures:
        return "\n\n".join(text)
    others = [name for name in names if name != _BASE]
    text.append("Least gain of any source that means are taken over, in dB:")
    rows = [
        [name, *(_find_least_gain(outcome, track, name) for track in tracks)]
        for name in others
    ]
    text.append(_tabulate(tracks, rows))
    for name in others:
        text.append(f"{name}, gain over bicubic in dB, by source:")
        rows = [
            [
                source,
                *(_write(outcome, track, name, "psnr", source) for track in tracks),
            ]
            for source in sources
        ]
        text.append(_tabulate(tracks, rows))
    return "\n\n".join(text)


def say_apart(outcome: Comparison, track: str) -> str:
    """Say which sources are kept out of means; nothing if none are."""
    kept = outcome.averaged_sources(track)
    apart = [source for source in outcome.sources(track) if source not in kept]
    if not apart:
        return ""
    return f"The truth of {', '.join(apart)} is noise; means are without. "


def _title(key: str) -> str:
    return "Gain over bicubic in dB" if key == "psnr" else MEASURES[key].title


def _tabulate(tracks: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    points = (TRACKS[track] for track in tracks)
    head = (f"{point.psf_sigma:.1f}, {point.photons:g}" for point in points)
    return format_table(["sigma, photons", *head], rows)


def _write(
    outcome: Comparison, track: str, name: str, key: str, source: str | None = None
) -> str:
    """Write a mean: of PSNR the gain over bicubic, and bicubic itself as it is."""
    value = outcome.average(track, name, key, source)
    if key != "psnr" or name == _BASE:
        return MEASURES[key].write(value)
    return _write_gain(value, outcome.average(track, _BASE, key, source))


def _find_least_gain(outcome: Comparison, track: str, name: str) -> str:
    average: Callable[..., float | None] = outcome.average
    gains = [
        value - base
        for source in outcome.averaged_sources(track)
        if (value := average(track, name, "psnr", source)) is not None
        and (base := average(track, _BASE, "psnr", source)) is not None
    ]
    return f"{min(gains):+.2f}" if gains else "-"


def _write_gain(value: float | None, base: float | None) -> str:
    return "-" if value is None or base is None else f"{value - base:+.2f}"
