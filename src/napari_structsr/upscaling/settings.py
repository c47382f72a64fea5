"""What a user can choose about a run, strictly checked: people and files say it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_structsr.engine.device import Precision
from napari_structsr.imaging.agreement import Agreement

Color = Literal["channels", "luminance"]

OPTICS = ("psf_sigma", "undo_optics", "aperture", "wavelength", "confocal", "noise")
"""Settings that only conditional models follow."""


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
        Input pixels along the side of what is written at once, about; None chooses.
        The result does not depend on it.
    color
        RGB images: "channels" upscales each sample, "luminance" the luminance
        alone, with interpolated colours.
    dtype
        "same" as the input, or "float32".
    psf_sigma
        For conditional models: width of the point-spread function to undo, in
        measured pixels. None undoes little more than the integration over pixels:
        finer pixels, same optics.
    undo_optics
        Undo the blur of the optics, its width from `aperture` and `wavelength`, which
        are taken from the file where they are None.
    aperture, wavelength, confocal
        Numerical aperture, wavelength of the detected light in micrometres, and
        whether there was a pinhole.
    noise
        Standard deviation of the noise at half of the range, relative to the range;
        None measures it for each channel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    agreement: Agreement = "off"
    device: str = "auto"
    precision: Precision = "auto"
    tile: int | None = Field(default=None, ge=16, le=16384)
    color: Color = "channels"
    dtype: Literal["same", "float32"] = "same"
    psf_sigma: float | None = Field(default=None, ge=0.25, le=2)
    undo_optics: bool = False
    aperture: float | None = Field(default=None, gt=0, lt=2)
    wavelength: float | None = Field(default=None, ge=0.1, le=5)
    confocal: bool | None = None
    noise: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _agree_on_width(self) -> UpscaleSettings:
        """Refuse two widths, and optics that nobody asked to undo."""
        if self.psf_sigma is not None and self.undo_optics:
            raise ValueError(
                "psf-sigma and undo-optics both say how much blur is undone; give one"
            )
        described = (self.aperture, self.wavelength, self.confocal)
        if not self.undo_optics and any(value is not None for value in described):
            raise ValueError(
                "aperture, wavelength and confocal say how wide the blur of the optics "
                "is; add undo-optics, or leave them out to keep the optics"
            )
        return self

    @property
    def names_optics(self) -> bool:
        """Whether anything is said that only a conditional model can follow."""
        return (self.psf_sigma, self.undo_optics, self.noise) != (None, False, None)

    def to_record(self) -> dict[str, Any]:
        """Return the settings for a record: of the optics, what was said."""
        silent = dict.fromkeys(OPTICS) | {"undo_optics": False}
        return {
            name: value
            for name, value in self.model_dump().items()
            if name not in silent or value != silent[name]
        }
