"""The pairs of a fine-tuning on disk, so that it goes on without the images.

One safetensors file holds the pixels, its metadata all else as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import safetensors.numpy
from pydantic import TypeAdapter
from safetensors import safe_open

from napari_structsr.errors import TrainingError, blame_file
from napari_structsr.finetuning.split import Split
from napari_structsr.imaging.registration import Registration
from napari_structsr.io.atomic import replace_whole
from napari_structsr.pairs.image_pair import ImagePair, Place

_PIXELS = ("measured", "truth")


def write_pairs(path: Path, pairs: Sequence[ImagePair], split: Split) -> None:
    """Write pairs and their split, whole or not at all."""
    pixels = {
        # Copied in C order: pixels of a pair may be views of an image.
        f"{number}.{name}": getattr(pair, name).copy(order="C")
        for number, pair in enumerate(pairs)
        for name in _PIXELS
    }
    names = [field.name for field in fields(ImagePair) if field.name not in _PIXELS]
    about = [{name: getattr(pair, name) for name in names} for pair in pairs]
    facts = {
        # Place and registration are dataclasses, which JSON does not know.
        "pairs": json.dumps(about, default=asdict),
        "split": json.dumps(asdict(split)),
    }
    with replace_whole(path) as part:
        safetensors.numpy.save_file(pixels, part, facts)


def read_pairs(path: Path) -> tuple[list[ImagePair], Split]:
    """Read what `write_pairs` wrote.

    Raises
    ------
    TrainingError
        If the file is missing or damaged.
    """
    # JSON has neither tuples nor dataclasses.
    kinds: list[tuple[str, TypeAdapter[Any]]] = [
        ("where", TypeAdapter(Place)),
        ("registration", TypeAdapter(Registration)),
        ("noise", TypeAdapter(tuple[float, float])),
        ("notes", TypeAdapter(tuple[str, ...])),
    ]
    remedy = "start the fine-tuning anew"
    with blame_file(path, TrainingError, what="the pairs", remedy=remedy):
        pixels = safetensors.numpy.load_file(path)
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata()
        entries = json.loads(facts["split"])
        if "guard" in entries:  # the gap, in files of earlier versions
            entries["gap"] = entries.pop("guard")
        split = TypeAdapter(Split).validate_python(entries)
        return [
            ImagePair(
                **entries
                | {
                    name: kind.validate_python(entries[name])
                    for name, kind in kinds
                    if name in entries
                }
                | {name: pixels[f"{number}.{name}"] for name in _PIXELS}
            )
            for number, entries in enumerate(json.loads(facts["pairs"]))
        ], split
