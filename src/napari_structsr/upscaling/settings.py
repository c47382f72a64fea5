"""What a user can choose about a run, strictly checked: people and files say it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_structsr.engine.device import Precision
from napari_structsr.imaging.agreement import Agreement

__all__ = ["Color", "UpscaleSettings"]

Color = Literal["channels", "luminance"]


class UpscaleSettings(BaseModel):
    """What a user can choose about a run.

    Parameters
    ----------
    agreement
        Agreement with the measurement: "off" leaves the result of the model,
        "noise" corrects what the noise of the image cannot explain, "exact" makes
        the result measure as the input exactly.
    device
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    precision
        Number format of the model: "auto", "float32", "bfloat16" or "float16".
    tile
        Input pixels along the side of what is computed at once; None chooses.
    color
        RGB images: "channels" upscales each sample, "luminance" the luminance
        alone, with interpolated colours.
    dtype
        "same" as the input, or "float32".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    agreement: Agreement = "off"
    device: str = "auto"
    precision: Precision = "auto"
    tile: int | None = Field(default=None, ge=16, le=16384)
    color: Color = "channels"
    dtype: Literal["same", "float32"] = "same"
