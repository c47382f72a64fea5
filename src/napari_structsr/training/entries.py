"""Kinds of entries in recipes and fine-tunings, and the ranges that they may have.

The limits lie far beyond what trains anywhere: they are there so that a file of a
stranger asks for no memory and no time without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from napari_structsr.io.limits import BATCH, MINUTES, PATCH

# Not strict: JSON and TOML have lists where a range is a tuple.
Range = Annotated[tuple[float, float], Field(strict=False)]
Weight = Annotated[float, Field(ge=0, le=1e9)]
Rate = Annotated[float, Field(gt=0, le=1)]
# What torch takes for a seed, and less than 0 numpy does not.
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Batch = Annotated[int, Field(ge=1, le=BATCH)]
Patch = Annotated[int, Field(ge=16, le=PATCH)]
Shrinkage = Annotated[float, Field(gt=1, le=8)]
Minutes = Annotated[float, Field(gt=0, le=MINUTES)]


class Table(BaseModel):
    """Entries of a file or a user: unknown ones are faults."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


def check_rising(ranges: Mapping[str, tuple[float, float]]) -> None:
    """Raise ValueError unless every range rises within its limits."""
    for name, (low, high) in ranges.items():
        least = 0 if name == "psf_sigma" else 1e-9
        # A kernel of 2 pixels is the widest that a card can name.
        wide = ("psf_sigma", "narrow", "usual")
        most = 2 if name in wide else 1e9
        if not least <= low <= high <= most:
            raise ValueError(
                f"{name} runs from {low} to {high}; it must rise, from {least:g} to "
                f"{most:g}"
            )
