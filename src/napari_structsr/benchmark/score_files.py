"""Scores as a CSV file: one value a row, so that measures need no new columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_structsr.benchmark.comparison import ResultScores, ScoreKey
from napari_structsr.errors import SettingsError

KnownScores = dict[ScoreKey, ResultScores]

_HEAD = ("track", "source", "plane", "method", "weights", "measure", "value")
_NAME = "quality.csv"


def write_scores(scores: Iterable[ResultScores], folder: Path) -> None:
    """Write quality.csv; what does not apply has no value."""
    rows = [
        (*entry.key[:4], entry.weights, key, round_score(value))
        for entry in scores
        for key, value in entry.values.items()
    ]
    write_csv(folder / _NAME, _HEAD, rows)


def read_scores(folder: Path) -> KnownScores:
    """Read quality.csv; nothing if there is none.

    Raises
    ------
    SettingsError
        If it is no such file.
    """
    path = folder / _NAME
    if not path.exists():
        return {}
    values: dict[ScoreKey, dict[str, float | None]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                track, source, plane, method, weights = (
                    row[name] for name in _HEAD[:5]
                )
                text = row["value"]
                measures = values.setdefault(
                    (track, source, plane, method, weights), {}
                )
                measures[row["measure"]] = float(text) if text else None
    except (KeyError, ValueError) as error:
        raise SettingsError(
            f"{path} holds no scores that can be taken ({error!r}); remove it, or "
            "leave --resume out"
        ) from error
    return {
        key: ResultScores(*key[:4], measures, key[4])
        for key, measures in values.items()
    }


def round_score(value: float | None) -> float | None:
    """Keep six digits, which the same machine repeats; the rest is rounding."""
    return None if value is None else float(f"{value:.6g}")


def write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        # csv ends lines with \r\n by default, which git would show as changes
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
