"""Scores on disk: plane by plane while they are computed, then as tables.

An interrupted inspection finds the planes that it has scored.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from napari_structsr.core.record import Record
from napari_structsr.core.types import Array
from napari_structsr.inspection.results import Inspection, ScoreRow, WorstRegion
from napari_structsr.inspection.scoring.scores import PlaneScores
from napari_structsr.io.atomic import replace_whole

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
            self._read(path.read_text("utf-8", "replace").splitlines(), mark)
        # what is kept is written again, without the torn line
        entries = [mark, *([plane, asdict(one)] for plane, one in self._found.items())]
        with replace_whole(path) as part:
            part.write_text("".join(map(_format_line, entries)), "utf-8")
        self._file = path.open("a", encoding="utf-8")

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
        write_tables(self._folder, found)
        (self._folder / _NAME).unlink()

    def _read(self, lines: list[str], mark: str) -> None:
        """Take over what an earlier run of the same inspection has left."""
        if not lines or _read_line(lines[0]) != mark:
            return
        for line in lines[1:]:
            found = _read_line(line)
            if found is None:
                return  # a kill leaves half a line, a power cut any: score it again
            plane, entry = found
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
                entry["usual"],
            )

    def _write(self, entry: Any) -> None:
        if self._file is not None:
            self._file.write(_format_line(entry))
            self._file.flush()  # so that a kill loses no finished plane

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # an unfinished journal stays, for the next run
        if self._file is not None:
            self._file.close()


def write_tables(folder: Path, found: Inspection) -> None:
    """Write scores.csv, worst.csv and, last, inspection.json."""
    facts = {
        "found": found.sentence,
        "notes": found.notes,
        "doubts": found.doubts,
        "alignment": found.alignment,
        "limits": found.limits,
        "record": found.record.to_json(),
    }
    for name, text in (
        ("scores.csv", found.scores.to_csv()),
        ("worst.csv", _format_worst(found)),
        ("inspection.json", json.dumps(facts, indent=1) + "\n"),
    ):
        with replace_whole(folder / name) as part:
            part.write_text(text, "utf-8")


def _format_line(entry: Any) -> str:
    """Return an entry as a line that begins with its checksum."""
    text = json.dumps(entry)
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def _read_line(line: str) -> Any:
    """Return the entry of a line, None of one that is damaged."""
    checksum, _, text = line.partition(" ")
    if checksum != f"{zlib.crc32(text.encode()):08x}":
        return None
    return json.loads(text)


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
