"""What a fine-tuning is asked to do, as a small JSON or TOML file.

The dock saves it, `structsr finetune` runs it. It owns the choices and their limits;
what a choice left open becomes is decided from the parent, see `make_tuning_recipe`.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, model_validator

from napari_structsr.core.names import expand_home
from napari_structsr.engine.device import Precision
from napari_structsr.errors import TrainingError, blame_file
from napari_structsr.io.atomic import replace_whole
from napari_structsr.io.limits import read_text
from napari_structsr.models.card import ModelName
from napari_structsr.training.entries import Batch, Patch, Rate, Seed, Table

# Pixels and planes are counted from 0, and images have no more.
Index = Annotated[int, Field(ge=0, lt=2**40)]
_Span = Annotated[tuple[Index, Index], Field(strict=False)]


class Rectangle(Table):
    """A part of an image.

    Parameters
    ----------
    rows, columns
        First and last + 1 pixel along y and x.
    """

    rows: _Span
    columns: _Span


class PairFiles(Table):
    """Where a pair comes from.

    Parameters
    ----------
    high
        File of the true image.
    low
        File of the measured image; None lets the forward model make it.
    region
        First and last + 1 row, first and last + 1 column that are taken, in pixels
        of the measured image, or of the true one if there is no other; None takes
        all.
    plane
        Index of the plane along the axes before y and x; None takes the first.
    bins
        Pixels of the measured image that are averaged along y and x; rectangles count
        the larger pixels.
    training, validation
        Parts to train on and to validate on, in the same pixels as `region`, whatever
        region is given. Where no pair of the file has any, they are chosen by the
        share `FineTuneConfig.validation`.
    """

    high: str
    low: str | None = None
    region: Annotated[tuple[Index, Index, Index, Index] | None, Field(strict=False)] = (
        None
    )
    plane: Annotated[tuple[Index, ...] | None, Field(strict=False)] = None
    bins: int = Field(default=1, ge=1, le=8)
    # The old names of these entries are still read, never written.
    training: Annotated[
        tuple[Rectangle, ...],
        Field(strict=False, validation_alias=AliasChoices("training", "teaches")),
    ] = ()
    validation: Annotated[
        tuple[Rectangle, ...],
        Field(strict=False, validation_alias=AliasChoices("validation", "judges")),
    ] = ()


class MicroscopeConfig(Table):
    """How measured images are made where only true ones are given.

    Parameters
    ----------
    psf_sigma
        Point-spread width in measured pixels; None takes 0.4.
    photons
        Photons per measured pixel at full light.
    read_noise
        Camera noise as a share of the full range.
    sample
        File of a measured image whose noise is taken, where the two are None.
    """

    psf_sigma: float | None = Field(default=None, ge=0, le=2)
    photons: float | None = Field(default=None, gt=0, le=1e9)
    read_noise: float | None = Field(default=None, gt=0, le=1e3)
    sample: str | None = None


class FineTuneConfig(Table):
    """One fine-tuning.

    Parameters
    ----------
    name
        Name of the model to be.
    parent
        Model to begin with: a name, or the path of a .safetensors file. By default
        faithful, and conditional for the factor 1.
    factor
        Upscaling factor; 1 removes noise and blur alone.
    pairs
        Files of the pairs; a caller that has pairs already leaves it empty.
    microscope
        For pairs without a measured image.
    minutes
        Length. The clock of a paused fine-tuning stands still.
    steps
        Length in steps instead, which can be repeated number by number.
    mode
        "whole" trains all weights, "efficient" a low-rank change of each layer,
        "auto" the latter for large networks without a GPU.
    adversarial
        "auto" adds a discriminator, which starts anew, if the parent was trained
        with one and the fine-tuning takes 10 minutes or 3000 steps at least.
    replay
        Share of each batch that keeps the model at what it did before, on images of
        the parent's own kind.
    replay_weight
        What a difference from the parent weighs there, to begin with; it follows the
        loss on images of the parent's own kind.
    largest_loss
        dB that may be lost on images of the parent's own kind, in the mean; one sort
        of them may lose twice as much. The result stops on the way from the parent's
        weights to the trained ones where that is reached; None lets it go all the way.
        The images are picked to be lost easily: micrographs lose about a third of it.
    validation
        Share of the regions that is kept for validation.
    gap
        Measured pixels between regions for training and for validation; None takes
        the receptive field.
    patience
        End after so many scores without a better one; 0 goes on to the end.
    batch
        Patches of a step; halved where memory is short.
    patch
        Measured pixels along the side of a patch, smaller where regions are.
    rate
        Learning rate; None takes one that suits the parent.
    seed
        Seed of every random choice.
    device, precision
        As in `TrainingSettings`.
    out
        Folder of the fine-tuning; None takes one among those of the user's models.
    """

    name: ModelName
    parent: str = "faithful"
    factor: Literal[1, 2, 4] = 2
    pairs: Annotated[tuple[PairFiles, ...], Field(strict=False)] = ()
    microscope: MicroscopeConfig = MicroscopeConfig()
    minutes: float | None = Field(default=None, gt=0, le=60 * 24 * 7)
    steps: int | None = Field(default=None, ge=1, le=10**9)
    mode: Literal["auto", "whole", "efficient"] = "auto"
    adversarial: Literal["auto", "on", "off"] = "auto"
    replay: float = Field(default=0.5, ge=0, le=0.9)
    replay_weight: float = Field(default=0.1, ge=0, le=1000)
    largest_loss: float | None = Field(default=0.2, ge=0, le=1000)
    validation: float = Field(default=0.25, gt=0, lt=1)
    gap: int | None = Field(
        default=None, ge=0, le=10**6, validation_alias=AliasChoices("gap", "guard")
    )
    patience: int = Field(default=8, ge=0, le=10**6)
    batch: Batch = 16
    patch: Patch = 48
    rate: Rate | None = None
    seed: Seed = 0
    device: str = "auto"
    precision: Precision = "auto"
    out: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _set_default_length(cls, values: object) -> object:
        # As the default of the field it would be a second length beside `steps`.
        if isinstance(values, dict) and not (
            values.get("minutes") or "steps" in values
        ):
            return {**values, "minutes": 3.0}
        return values

    @model_validator(mode="before")
    @classmethod
    def _set_default_parent(cls, values: object) -> object:
        # No other model that ships has the factor 1.
        if (
            isinstance(values, dict)
            and values.get("factor") == 1
            and "parent" not in values
        ):
            return {**values, "parent": "conditional"}
        return values

    @model_validator(mode="after")
    def _check_length(self) -> FineTuneConfig:
        if self.minutes is not None and self.steps is not None:
            raise ValueError("give minutes or steps, not both")
        return self


def read_fine_tuning(path: Path) -> FineTuneConfig:
    """Read a file; relative paths in it begin at its folder.

    Raises
    ------
    TrainingError
        Naming the entries at fault.
    """
    remedy = "give a .json or .toml file, as the dock saves it"
    with blame_file(path, TrainingError, what="a fine-tuning", remedy=remedy):
        text = read_text(path)
        # By the ending: both are text, and errors shall speak of the right one.
        toml = path.suffix.lower() == ".toml"
        entries = tomllib.loads(text) if toml else json.loads(text)
        config = FineTuneConfig.model_validate(entries)
        return _make_paths_absolute(config, path.absolute().parent)


def write_fine_tuning(path: Path, config: FineTuneConfig) -> None:
    """Write a file, as JSON, whole or not at all."""
    with replace_whole(path) as part:
        part.write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _make_paths_absolute(config: FineTuneConfig, folder: Path) -> FineTuneConfig:
    # Paths are relative to the file, so that a folder can be moved as a whole.
    def full(path: str | None) -> str | None:
        return None if path is None else str(folder / expand_home(path))

    pairs = tuple(
        pair.model_copy(update={"high": full(pair.high), "low": full(pair.low)})
        for pair in config.pairs
    )
    microscope = config.microscope.model_copy(
        update={"sample": full(config.microscope.sample)}
    )
    update = {"pairs": pairs, "microscope": microscope, "out": full(config.out)}
    # A model that ships is a name; only a file lies in a folder.
    if config.parent.endswith(".safetensors"):
        update["parent"] = full(config.parent)
    return config.model_copy(update=update)
