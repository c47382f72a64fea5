"""What a user can choose about a comparison."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from napari_structsr.engine.device import Precision
from napari_structsr.imaging.agreement import Agreement

NOISY_TRUTH = ("atomsegnet_stem", "n2v_sem_noisy", "nasa_superalloy", "stedactin_sted")
"""Sources of the public benchmark whose truth is itself noise."""


class BenchmarkSettings(BaseModel):
    """What a user can choose about a comparison.

    Parameters
    ----------
    data
        Folder that holds one folder of images a source; None takes the images that
        come with the program.
    paired
        Folder of really measured pairs, which are compared instead; see
        `napari_structsr.benchmark.paired`.
    methods
        Names of models, paths of .safetensors files, "richardson-lucy" or "wiener"; a
        conditional model with what it is told, as "conditional@told" or
        "conditional@0.8". None takes all that ship. Bicubic is always among them.
    tracks
        Names of conditions, or the first parts of them, see
        `napari_structsr.benchmark.tracks`.
    limit
        Images of each source, spread over its files; None takes all.
    every
        Of the planes of a stack, each `every`-th one is measured.
    crop
        Measured pixels along the side of the part with most gradient, which alone is
        measured; None takes whole planes.
    measures
        Which measures are computed; None means all.
    apart
        Sources that are shown, and kept out of means: their truth is noise.
    resume
        Take scores that an earlier run has left in the same folder; what has changed
        since is not noticed but for weights and `crop`.
    agreement
        Agreement with the measurement; learned methods run once with each.
    device, precision
        As in `UpscaleSettings`.
    speed
        Whether to time the methods.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    data: Path | None = None
    paired: Path | None = None
    methods: tuple[str, ...] | None = None
    tracks: tuple[str, ...] | None = None
    limit: int | None = Field(default=None, ge=1, le=10**9)
    every: int = Field(default=12, ge=1, le=10**9)
    crop: int | None = Field(default=None, ge=32)
    measures: tuple[str, ...] | None = None
    apart: tuple[str, ...] = NOISY_TRUTH
    resume: bool = False
    agreement: tuple[Agreement, ...] = ("off",)
    device: str = "auto"
    precision: Precision = "auto"
    speed: bool = True
