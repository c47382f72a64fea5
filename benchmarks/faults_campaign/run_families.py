"""Files that runs leave for later ones, and TIFFs as cameras compress them.

More families for `readers`: journals and pairs travel with a folder, and so are
strangers' files where a colleague goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from benchmarks.faults_campaign.odd_files import Family, change_bytes, change_json
from benchmarks.faults_campaign.readers import read_image
from napari_structsr.core.intensity import Intensity
from napari_structsr.core.record import Record


def _make_lzw(folder: Path) -> Path:
    path = folder / "lzw.tif"
    values = np.random.default_rng(0).integers(0, 4000, (2, 48, 40)).astype(np.uint16)
    options: dict[str, Any] = {"compression": "lzw", "predictor": 2}
    tifffile.imwrite(path, values, photometric="minisblack", **options)
    return path


def _make_record() -> Record:
    source = {
        "origin": "/nowhere/b.tif",
        "name": "a",
        "axes": "zyx",
        "shape": [2, 48, 40],
        "dtype": "uint16",
        "options": {},
    }
    model = {"name": "bicubic", "factor": 2, "sha256": None, "psf_sigma": 0.4}
    ranges = (Intensity(0.0, 4000.0),)
    return Record(source, model, {}, ranges, (0.1,), "cpu", {"numpy": "2"})


def _make_scores(folder: Path) -> Path:
    from napari_structsr.inspection.results import ScoreRow
    from napari_structsr.inspection.scoring.score_journal import ScoreJournal
    from napari_structsr.inspection.scoring.scores import PlaneScores

    row = ScoreRow({"z": 0}, "", "whole", 100, {"error": 0.5})
    with ScoreJournal(folder, _make_record(), None) as journal:
        journal.add((0,), PlaneScores((row,), (), {"error": [0.1, 0.2]}))
    return folder / "scores-journal.jsonl"


def _read_scores(path: Path) -> None:
    from napari_structsr.inspection.scoring.score_journal import ScoreJournal

    with ScoreJournal(path.parent, _make_record(), None) as journal:
        journal.find((0,))


def _make_pairs(folder: Path) -> Path:
    from napari_structsr.finetuning.split import Block, Split
    from napari_structsr.finetuning.store import write_pairs
    from napari_structsr.pairs.image_pair import ImagePair, Place

    place = Place(("a", "b"), (), (0, 8), (0, 8), (0.0, 0.0))
    small, large = (np.zeros((side, side), np.float32) for side in (8, 16))
    pair = ImagePair("a", small, large, 2, place, psf_sigma=0.4, noise=(0.1, 0.1))
    split = Split(
        training=(Block(0, (0, 3), (0, 8)),),
        validation=(Block(0, (5, 8), (0, 8)),),
        gap=2,
    )
    write_pairs(folder / "pairs.safetensors", [pair], split)
    return folder / "pairs.safetensors"


def _read_pairs(path: Path) -> None:
    from napari_structsr.finetuning.store import read_pairs

    read_pairs(path)


def change_lines(data: bytes, chance: Any) -> bytes:
    """Change one line of a journal, behind its checksum."""
    lines = data.splitlines(keepends=True)
    number = chance.randrange(len(lines))
    checksum, _, entry = lines[number].partition(b" ")
    lines[number] = checksum + b" " + change_json(entry, chance) + b"\n"
    return b"".join(lines)


RUN_FAMILIES = (
    Family("lzw tiff", _make_lzw, read_image, (("lzw.tif", change_bytes),)),
    Family(
        "journal of scores",
        _make_scores,
        _read_scores,
        (("*.jsonl", change_lines), ("*.jsonl", change_bytes)),
    ),
    Family(
        "pairs of a fine-tuning",
        _make_pairs,
        _read_pairs,
        (("pairs.safetensors", change_bytes),),
    ),
)
"""What runs leave in their folders, and LZW."""
