"""Tables of a comparison: Markdown for people, CSV and JSON for programs.

The quality files hold no time and no machine, so that the same command writes them
again to the printed digits. What depends on the machine is in the speed files.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from napari_structsr.benchmark.comparison import Comparison, MethodFacts
from napari_structsr.benchmark.fairness import describe_fairness
from napari_structsr.benchmark.group_tables import format_group, say_apart
from napari_structsr.benchmark.markdown import format_table
from napari_structsr.benchmark.measures import MEASURES
from napari_structsr.benchmark.score_files import round_score, write_csv, write_scores
from napari_structsr.benchmark.tracks import TRACKS

_PIXELS = ("psnr", "ssim", "ms_ssim", "micro_ssim", "gradient_error", "slope")
_DETAIL = (
    "resolution",
    "power_in",
    "correlation_in",
    "power_beyond",
    "correlation_beyond",
)
_STRUCTURE = (
    "improvement",
    "omission",
    "hallucination",
    "objects",
    "lines",
    "structure",
)
_COST = ["k parameters", "M operations a pixel", "Mpx seen"]
_BASES = ("bicubic", "faithful")  # what times are compared with
_BY_SOURCE = (
    ("psnr", "ssim"),
    ("gradient_error", "power_in"),
    ("objects", "lines"),
    ("improvement", "hallucination"),
    ("agreement_slope", "agreement_offset"),
)


def write_tables(outcome: Comparison, out: Path) -> None:
    """Write quality.md, .csv and .json, and speed.md and .csv if methods were timed."""
    there = {key for track in outcome.facts for key in outcome.measures(track)}
    legend = "\n".join(
        f"* *{m.title}*: {m.meaning}." for key, m in MEASURES.items() if key in there
    )
    parts = ["# Quality", legend]
    groups: dict[str, list[str]] = {}
    for track in outcome.facts:
        groups.setdefault(TRACKS[track].group or track, []).append(track)
    for name, tracks in groups.items():
        if name in TRACKS:
            parts.append(_format_track(outcome, name))
        else:
            parts.append(format_group(outcome, name, tracks))
    if outcome.left_out:
        parts.append("Left out: " + "; ".join(outcome.left_out))
    (out / "quality.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    write_scores(outcome.scores, out)
    text = json.dumps(_to_json(outcome), indent=1, ensure_ascii=False)
    (out / "quality.json").write_text(text + "\n", encoding="utf-8")
    if outcome.timings:
        _write_speed(outcome, out)


def _format_track(outcome: Comparison, track: str) -> str:
    """Return the tables of a track in Markdown: means over sources, then by source."""
    facts = outcome.facts[track]
    conditions = TRACKS[track]
    sources = outcome.sources(track)
    planes = len({(s.source, s.plane) for s in outcome.scores if s.track == track})
    text = [
        f"## {track}",
        f"Factor {conditions.factor}, point-spread sigma {conditions.psf_sigma} "
        f"measured pixels, {conditions.photons:g} photons at full range, camera noise "
        f"{conditions.read_noise:.1%}; {planes} planes of {len(sources)} sources. "
        + say_apart(outcome, track)
        + "Means over sources:",
    ]
    parts = [_keep(keys, outcome, track) for keys in (_PIXELS, _DETAIL, _STRUCTURE)]
    parts = [keys for keys in parts if keys]
    for keys in parts:
        head = ["method", *(MEASURES[key].title for key in keys)]
        last = keys is parts[-1]
        head += _COST if last else []
        rows = []
        for fact in facts:
            row = [fact.name]
            row += [
                MEASURES[key].write(outcome.average(track, fact.name, key))
                for key in keys
            ]
            rows.append(row + (_format_cost(fact) if last else []))
        text.append(format_table(head, rows))
    text.append(describe_fairness(facts))
    pairs = [_keep(keys, outcome, track) for keys in _BY_SOURCE]
    text += [_format_sources(outcome, track, keys) for keys in pairs if keys]
    return "\n\n".join(text)


def _keep(keys: Sequence[str], outcome: Comparison, track: str) -> tuple[str, ...]:
    """Return those measures that were computed."""
    there = outcome.measures(track)
    return tuple(key for key in keys if key in there)


def _format_sources(outcome: Comparison, track: str, keys: Sequence[str]) -> str:
    """Return a table of sources by methods, each cell holding some measures."""
    names = [fact.name for fact in outcome.facts[track]]

    def cell(name: str, source: str | None = None) -> str:
        return " / ".join(
            MEASURES[key].write(outcome.average(track, name, key, source))
            for key in keys
        )

    rows = []
    for source in outcome.sources(track):
        # a task applies to some planes only; the same ones for all methods
        values = [outcome.values(track, source, names[0], key) for key in keys]
        counts = [str(sum(value is not None for value in one)) for one in values]
        count = counts[0] if len(set(counts)) == 1 else " / ".join(counts)
        rows.append([source, count, *(cell(name, source) for name in names)])
    count = str(len(outcome.averaged_sources(track)))
    rows.append(["**over sources**", count, *map(cell, names)])
    title = " / ".join(MEASURES[key].title for key in keys)
    return f"{title}:\n\n" + format_table(["source", "planes", *names], rows)


def _format_cost(fact: MethodFacts) -> list[str]:
    if not fact.learned:
        return ["-", "-", "-"]
    seen = "?" if fact.seen_megapixels is None else f"{fact.seen_megapixels:.0f}"
    return [f"{fact.parameters / 1e3:.0f}", f"{fact.operations / 1e6:.3f}", seen]


def _to_json(outcome: Comparison) -> dict[str, Any]:
    """Return means as plain values."""

    def means(track: str, name: str, source: str | None = None) -> dict[str, Any]:
        return {
            key: round_score(outcome.average(track, name, key, source))
            for key in MEASURES
        }

    tracks: dict[str, Any] = {}
    for track, facts in outcome.facts.items():
        sources = outcome.sources(track)
        methods = {
            fact.name: {
                "parameters": fact.parameters,
                "operations": fact.operations,
                "seen_megapixels": fact.seen_megapixels,
                "over_sources": means(track, fact.name),
                "sources": {one: means(track, fact.name, one) for one in sources},
            }
            for fact in facts
        }
        tracks[track] = {"methods": methods, "fairness": describe_fairness(facts)}
    apart = list(outcome.apart)
    return {"tracks": tracks, "apart": apart, "left_out": outcome.left_out}


def _write_speed(outcome: Comparison, out: Path) -> None:
    parts = [
        "# Speed",
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads. Each method upscales one plane in memory, "
        "in turns with the others; the median is shown. Ratios within this table are "
        "comparable, times only on a machine that does nothing else.",
    ]
    rows = []
    for track, timings in outcome.timings.items():
        # ratios carry over to other machines, seconds do not
        bases = [t for t in timings if t.method in _BASES]
        head = ["method", "ms", "input Mpx/s"]
        head += [f"times {base.method}" for base in bases]
        head += [*_COST, "training"]
        facts = {fact.name: fact for fact in outcome.facts[track]}
        table = []
        for timing in timings:
            fact = facts[timing.method]
            speed = timing.pixels / timing.seconds / 1e6
            row = [timing.method, f"{timing.seconds * 1e3:.0f}", f"{speed:.3g}"]
            row += [f"{timing.seconds / base.seconds:.2f}" for base in bases]
            row += [*_format_cost(fact), fact.training or "-"]
            table.append(row)
            rows.append((track, timing.method, timing.pixels, timing.seconds))
        parts += [f"## {track}", format_table(head, table)]
    (out / "speed.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    write_csv(out / "speed.csv", ("track", "method", "pixels", "seconds"), rows)
