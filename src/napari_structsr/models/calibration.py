"""The calibration of a model: the numbers behind its expected error and intervals.

A few hundred numbers that a card holds, or a file of their own that was made from the
user's pairs. Reading them needs no torch. `imaging.expected_error` says what they mean,
`calibration.fit` finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_structsr.errors import ModelError, SettingsError, blame_file
from napari_structsr.io.atomic import replace_whole
from napari_structsr.io.limits import read_text

if TYPE_CHECKING:
    from napari_structsr.imaging.expected_error import ErrorPredictor

Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Numbers = Annotated[tuple[Number, ...], Field(strict=False)]
Rows = Annotated[tuple[Numbers, ...], Field(strict=False)]
Names = Annotated[tuple[str, ...], Field(strict=False)]
Range = Annotated[tuple[Number, Number], Field(strict=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NetworkLayer(_Entry):
    """A layer of the network that predicts errors.

    Parameters
    ----------
    weight, bias
        One row, and one number, for each output.
    """

    weight: Rows
    bias: Numbers


class Interval(_Entry):
    """A factor that conformal risk control found.

    Parameters
    ----------
    level
        Share of pixels that shall lie inside; ``1 - level`` is the risk alpha.
    factor
        By what the predicted bound is multiplied to reach it.
    """

    level: float = Field(gt=0, lt=1)
    factor: Positive


class TrustCalibration(_Entry):
    """What predicts the error of one model, and on what that was checked.

    Parameters
    ----------
    version
        Of the features and of the network.
    model, factor
        Whose results it belongs to.
    features
        Names of the inputs, `FEATURES` or `TOLD_FEATURES` of `imaging.expected_error`.
    means, deviations
        Of the features, by which they are standardised.
    layers
        Of the network; the last has two outputs.
    scale
        Factor on the predicted mean error.
    intervals
        Factors on the predicted bound, by share of pixels.
    patches, images
        How many separated patches, of how many images, decided the intervals.
    side, gap
        Measured pixels along the side of a patch, and between two.
    sources
        Names of the images that it was made from.
    conditions
        How these were measured, in words.
    input_ranges
        Range of each statistic of their measured images, `imaging.out_of_distribution`.
    left_out
        Share of pixels within the interval of 90% by source, predicted by a network
        that had not seen the source; where sources decided the intervals.
    """

    version: Literal[1] = 1
    model: str = Field(min_length=1)
    factor: int = Field(ge=1, le=8)
    features: Names
    means: Numbers
    deviations: Annotated[tuple[Positive, ...], Field(strict=False)]
    layers: Annotated[tuple[NetworkLayer, ...], Field(strict=False, min_length=1)]
    scale: Positive = 1.0
    intervals: Annotated[tuple[Interval, ...], Field(strict=False, min_length=1)]
    patches: int = Field(ge=1)
    images: int = Field(ge=1)
    side: int = Field(ge=1)
    gap: int = Field(ge=0)
    sources: Names = ()
    conditions: str = ""
    input_ranges: Mapping[str, Range] = {}
    left_out: Mapping[str, Share] = {}

    @model_validator(mode="after")
    def _check_sizes(self) -> TrustCalibration:
        width = len(self.features)
        if len(self.means) != width or len(self.deviations) != width:
            raise ValueError(f"{width} features need as many means and deviations")
        for number, layer in enumerate(self.layers):
            if any(len(row) != width for row in layer.weight):
                raise ValueError(f"layer {number} needs rows of {width} numbers")
            width = len(layer.weight)
            if len(layer.bias) != width:
                raise ValueError(f"layer {number} needs {width} biases")
        if width != 2:
            raise ValueError(f"the last layer has {width} outputs; it needs two")
        return self

    @property
    def predictor(self) -> ErrorPredictor:
        """The network, on the CPU.

        Raises
        ------
        ModelError
            If it was made for other features.
        """
        import torch

        from napari_structsr.imaging.expected_error import (
            FEATURES,
            TOLD_FEATURES,
            ErrorPredictor,
        )

        if self.features not in (FEATURES, TOLD_FEATURES):
            raise ModelError(
                f"the calibration of {self.model} x{self.factor} looks at "
                f"{', '.join(self.features)}; this version offers "
                f"{', '.join(TOLD_FEATURES)}: make it again with structsr calibrate"
            )
        return ErrorPredictor(
            torch.tensor(self.means),
            torch.tensor(self.deviations),
            tuple(torch.tensor(layer.weight) for layer in self.layers),
            tuple(torch.tensor(layer.bias) for layer in self.layers),
        )

    @property
    def levels(self) -> tuple[float, ...]:
        """Shares of pixels that there are intervals for."""
        return tuple(interval.level for interval in self.intervals)

    def quantile(self, level: float) -> float:
        """Return the factor on the predicted bound for a share of pixels.

        Raises
        ------
        SettingsError
            If it was not calibrated for that share.
        """
        for interval in self.intervals:
            # levels are typed by people and read from JSON
            if abs(interval.level - level) < 1e-9:
                return interval.factor
        raise SettingsError(
            f"there is no interval for {level:.0%} of pixels; choose one of "
            f"{', '.join(f'{known:.0%}' for known in self.levels)}"
        )

    def save(self, path: Path) -> None:
        """Write a JSON file.

        Raises
        ------
        ModelError
            If it cannot be written there.
        """
        try:
            with replace_whole(path) as part:
                part.write_text(self.model_dump_json(indent=2) + "\n", "utf-8")
        except OSError as error:
            raise ModelError(
                f"the calibration cannot be written to {path} ({error.strerror}); "
                "choose a file in a folder that exists and can be written to"
            ) from error


def read_calibration(path: Path) -> TrustCalibration:
    """Read a calibration that `TrustCalibration.save` wrote.

    Raises
    ------
    ModelError
        If the file is missing, damaged or of another kind.
    """
    remedy = "give a file that structsr calibrate has written"
    with blame_file(path, ModelError, what="a calibration", remedy=remedy):
        return TrustCalibration.model_validate_json(read_text(path))
