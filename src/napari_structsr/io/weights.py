"""Weights on disk: a safetensors file and, beside it, its card as JSON.

The card holds the hash of the weights, so that a damaged or exchanged file is
noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_structsr.errors import ModelError, blame_file
from napari_structsr.io.atomic import replace_whole
from napari_structsr.io.limits import WEIGHTS_BYTES, read_limited, read_text

if TYPE_CHECKING:
    from torch import Tensor


def read_card(path: Path) -> dict[str, Any]:
    """Read the card beside ``name.safetensors``, or ``name.json`` itself.

    Raises
    ------
    ModelError
        If the card is missing or no JSON.
    """
    path = path.with_suffix(".json")
    remedy = "restore the file from where it came"
    with blame_file(path, ModelError, what="a model card", remedy=remedy):
        try:
            card = json.loads(read_text(path))
        except FileNotFoundError as error:
            raise ModelError(
                f"{path} is missing; a model is a .safetensors file with its card, "
                "a .json file of the same name, beside it"
            ) from error
        if not isinstance(card, dict):
            raise ValueError("it holds no entries")
        return card


def read_weights(path: Path, *, sha256: str | None) -> dict[str, Tensor]:
    """Read weights whose hash must be `sha256`.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or not the one that the card describes.
    """
    import safetensors.torch

    path = path.with_suffix(".safetensors")
    try:
        data = read_limited(path, WEIGHTS_BYTES)
    except OSError as error:
        raise ModelError(
            f"the weights {path} cannot be read ({error.strerror}); "
            "restore the file from where it came"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(
            f"the weights {path} have the hash {found[:12]}, but their card says "
            f"{str(sha256)[:12]}: one of the two is damaged or from another model; "
            "restore both files from where they came"
        )
    remedy = "restore the file from where it came"
    with blame_file(path, ModelError, what="a safetensors file", remedy=remedy):
        return safetensors.torch.load(data)


def write_bundle(
    path: Path,
    card: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    *,
    exact: bool = False,
) -> None:
    """Write weights in half precision, and the card with their hash beside them.

    Each file appears whole. With `exact`, weights that half precision would change are
    written in single precision.
    """
    import safetensors.torch

    path = path.with_suffix(".safetensors")
    # safetensors stores no channels_last strides
    halves = {name: value.half().contiguous() for name, value in weights.items()}
    if exact and any(
        not bool((half.float() == weights[name].float()).all())
        for name, half in halves.items()
    ):
        halves = {name: value.float().contiguous() for name, value in weights.items()}
    data = safetensors.torch.save(halves)
    with replace_whole(path) as part:
        part.write_bytes(data)
    # the card comes last: until then there is no model
    entries = {**card, "sha256": hashlib.sha256(data).hexdigest()}
    text = json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
    with replace_whole(path.with_suffix(".json")) as part:
        part.write_bytes(text.encode())
