"""A training on disk: one safetensors file that is always whole.

It holds every number on which the next step depends, so that a killed run goes on to
the same weights as an undisturbed one: generator, running average, discriminator,
both optimisers and the random generator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import safe_open
from torch import Tensor
from torch.optim import Optimizer

from napari_structsr.errors import TrainingError, blame_file
from napari_structsr.io.atomic import replace_whole


def write_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Write tensors and facts, whole or not at all."""
    # safetensors refuses tensors that share memory or are not contiguous.
    plain = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with replace_whole(path) as part:
        safetensors.torch.save_file(plain, part, {"facts": json.dumps(facts)})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_checkpoint` wrote.

    Raises
    ------
    TrainingError
        If there is none, or it is damaged.
    """
    if not path.exists():
        raise TrainingError(
            f"there is no training to go on with: {path} is missing; start one "
            "without --resume"
        )
    with blame_checkpoint(path):
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
        if not facts["step"] >= 0 <= facts["seconds"]:
            raise ValueError("it was made after less than no time")
        return safetensors.torch.load_file(path), facts


def blame_checkpoint(path: Path) -> AbstractContextManager[None]:
    """Turn what taking over a checkpoint raises into one error; see `blame_file`."""
    remedy = (
        "remove it and start anew, for example with --start from the weights beside it"
    )
    return blame_file(path, TrainingError, what="a checkpoint", remedy=remedy)


def select_tensors(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix and a dot, without these."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def optimiser_tensors(optimiser: Optimizer, prefix: str) -> dict[str, Tensor]:
    """Return the state of an optimiser as tensors by name."""
    return {
        f"{prefix}.{number}.{name}": value
        for number, entries in optimiser.state_dict()["state"].items()
        for name, value in entries.items()
    }


def restore_optimiser(
    optimiser: Optimizer, tensors: Mapping[str, Tensor], prefix: str
) -> None:
    """Set the state of an optimiser to what `optimiser_tensors` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in select_tensors(tensors, prefix).items():
        number, name = key.split(".")
        state.setdefault(int(number), {})[name] = value
    # Rates are set at each step, so that groups need not be stored.
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
