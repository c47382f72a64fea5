"""Scores on disk: plane by plane while they are computed, then as tables.

An interrupted inspection finds the planes that it has scored.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from napari_structsr.core.record import Record
from napari_structsr.core.types import Array
from napari_structsr.inspection.results import Inspection, ScoreRow, WorstRegion
from napari_structsr.inspection.scores import PlaneScores

_NAME = "scores-journal.jsonl"


class ScoreJournal:
    """The scored planes of one inspection; without a folder nothing is kept."""

    def __init__(
        self, folder: Path | None, record: Record, regions: Array | None
    ) -> None:
        self._folder = folder
        self._file: IO[str] | None = None
        self._found: dict[tuple[int, ...], PlaneScores] = {}
        if folder is None:
            return
        # scores of another inspection, or of other regions, are not taken over
        facts = json.dumps(record.to_json(), sort_keys=True).encode()
        if regions is not None:
            facts += np.ascontiguousarray(regions).tobytes()
        mark = hashlib.sha256(facts).hexdigest()
        path = folder / _NAME
        if path.exists():
            self._read(path.read_text("utf-8").splitlines(), mark)
        # what is kept is written again, without the torn line
        path.write_text("", "utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._write(mark)
        for plane, scores in self._found.items():
            self._write([plane, asdict(scores)])

    def find(self, plane: tuple[int, ...]) -> PlaneScores | None:
        """Return the scores of a plane that an earlier run has scored."""
        return self._found.get(plane)

    def add(self, plane: tuple[int, ...], scores: PlaneScores) -> PlaneScores:
        """Keep the scores of a plane."""
        self._write([plane, asdict(scores)])
        return scores

    def finish(self, found: Inspection) -> None:
        """Write scores.csv, worst.csv and inspection.json, and drop the journal."""
        if self._folder is None or self._file is None:
            return
        self._file.close()
        (self._folder / "scores.csv").write_text(found.scores.to_csv(), "utf-8")
        (self._folder / "worst.csv").write_text(_format_worst(found), "utf-8")
        facts = {
            "notes": found.notes,
            "alignment": found.alignment,
            "limits": found.limits,
            "record": found.record.to_json(),
        }
        text = json.dumps(facts, indent=1) + "\n"
        (self._folder / "inspection.json").write_text(text, "utf-8")
        (self._folder / _NAME).unlink()

    def _read(self, lines: list[str], mark: str) -> None:
        """Take over what an earlier run of the same inspection has left."""
        if not lines or lines[0] != json.dumps(mark):
            return
        for line in lines[1:]:
            try:
                plane, entry = json.loads(line)
            except ValueError:
                return  # a process that was killed leaves half a line: score it again
            self._found[tuple(plane)] = PlaneScores(
                tuple(ScoreRow(**row) for row in entry["rows"]),
                # pairs come back from JSON as lists
                tuple(
                    WorstRegion(
                        **place | {k: tuple(place[k]) for k in ("rows", "columns")}
                    )
                    for place in entry["worst"]
                ),
                entry["samples"],
            )

    def _write(self, entry: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()  # so that a kill loses no finished plane

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # an unfinished journal stays, for the next run
        if self._file is not None:
            self._file.close()


def _format_worst(found: Inspection) -> str:
    """Write the worst places as CSV, in pixels of the maps and in the world."""
    axes = found.spec.axes
    loops = [axis.name for axis in axes.loops]
    lines = [",".join(["map", *loops, "row", "column", "y", "x", "value"])]
    for place in found.worst:
        middles = [(sum(part) - 1) / 2 for part in (place.rows, place.columns)]
        world = [
            axes[name].translate + axes[name].scale * find_middle
            for name, find_middle in zip("yx", middles, strict=True)
        ]
        words = [place.map, *map(str, place.plane.values())]
        words += [f"{value:.7g}" for value in (*middles, *world, place.value)]
        lines.append(",".join(words))
    return "\n".join(lines) + "\n"
