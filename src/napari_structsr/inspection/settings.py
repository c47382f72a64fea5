"""What a user can choose about an inspection, strictly checked."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_structsr.core.error_map import MAPS
from napari_structsr.engine.device import Precision
from napari_structsr.inspection.matching import Match


class InspectSettings(BaseModel):
    """What a user can choose about an inspection.

    Parameters
    ----------
    maps
        Keys of `MAPS`; None takes all that what is given allows, but for slow ones.
    registration
        Whether the reference is moved below a pixel so that it fits best.
    fit_intensity
        Whether gain and offset of the result are fitted to the reference.
    match
        How pixels of the images are matched, see `match_images`.
    data_range
        Values that count as 0 and 1 for PSNR and the family of SSIM; None takes
        percentiles 0.1 and 99.9 of the reference.
    model
        Name or path of the model to run again; None takes that of the record.
    calibration
        File of a calibration that replaces the one of the model's card.
    worst
        Places to list of each map.
    place
        Result pixels along the side of such a place.
    device, tile
        As in `UpscaleSettings`.
    precision
        Of models that are run again. "auto" takes half precision where the device is
        made for it, but only for the artefacts, which are found by contrast alone; how
        far results spread is computed in float32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    maps: tuple[str, ...] | None = None
    registration: bool = False
    fit_intensity: bool = False
    match: Match = "auto"
    data_range: tuple[float, float] | None = None
    model: str | None = None
    calibration: Path | None = None
    worst: int = Field(default=20, ge=0, le=10000)
    place: int = Field(default=64, ge=16, le=1024, multiple_of=16)
    device: str = "auto"
    precision: Precision = "auto"
    tile: int | None = Field(default=None, ge=16, le=16384)

    @field_validator("maps")
    @classmethod
    def _check_maps(cls, maps: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for key in maps or ():
            if key not in MAPS:
                raise ValueError(
                    f"no map is named {key}; choose among {', '.join(MAPS)}"
                )
        return maps and tuple(dict.fromkeys(maps))

    @field_validator("data_range")
    @classmethod
    def _check_range(
        cls, limits: tuple[float, float] | None
    ) -> tuple[float, float] | None:
        if limits and not limits[0] < limits[1]:
            raise ValueError(f"the range {limits} is empty; give low, then high")
        return limits
