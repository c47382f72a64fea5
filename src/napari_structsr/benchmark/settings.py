"""What a user can choose about a comparison."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from napari_structsr.engine.device import Precision
from napari_structsr.imaging.agreement import Agreement


class BenchmarkSettings(BaseModel):
    """What a user can choose about a comparison.

    Parameters
    ----------
    data
        Folder that holds one folder of images a source; None takes the images that
        come with the program.
    methods
        Names of models, paths of .safetensors files, or "richardson-lucy"; None takes
        all that ship. Bicubic is always among them.
    tracks
        Names of conditions; None takes all.
    limit
        Images of each source; None takes all.
    every
        Of the planes of a stack, each `every`-th one is measured.
    agreement
        Agreement with the measurement; learned methods run once with each.
    device, precision
        As in `UpscaleSettings`.
    speed
        Whether to time the methods.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    data: Path | None = None
    methods: tuple[str, ...] | None = None
    tracks: tuple[str, ...] | None = None
    limit: int | None = Field(default=None, ge=1)
    every: int = Field(default=12, ge=1)
    agreement: tuple[Agreement, ...] = ("off",)
    device: str = "auto"
    precision: Precision = "auto"
    speed: bool = True
