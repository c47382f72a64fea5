"""What a user can choose about a run, strictly checked: people and files say it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from napari_structsr.engine.device import Precision
from napari_structsr.imaging.agreement import Agreement

Color = Literal["channels", "luminance"]

OPTICS = (
    "psf_sigma",
    "undo_optics",
    "aperture",
    "wavelength",
    "confocal",
    "bead",
    "edge",
    "filament",
    "plane",
    "diameter",
    "width_from_image",
    "noise",
)
"""Settings that only conditional models follow."""

_FLAGS = ("undo_optics", "width_from_image")


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
    bead, edge, filament
        Where in a plane the width is measured: Y and X of each bead, in pixels from 0,
        or Y, X, Y, X of a line across each edge or filament.
    plane
        Index along t, c and z, as far as present, of the plane with these; None means
        the first.
    diameter
        Of the bead or the filament, in micrometres.
    width_from_image
        Estimate the width from the whole image, and undo the least that it may be.
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
    bead: tuple[float, ...] | None = None
    edge: tuple[float, ...] | None = None
    filament: tuple[float, ...] | None = None
    plane: tuple[int, ...] | None = None
    diameter: float | None = Field(default=None, gt=0, le=10)
    width_from_image: bool = False
    noise: float | None = Field(default=None, ge=0, le=1)

    @field_validator("bead", "edge", "filament")
    @classmethod
    def _count_numbers(
        cls, value: tuple[float, ...] | None, info: ValidationInfo
    ) -> tuple[float, ...] | None:
        """Refuse marks that are no points or lines."""
        step = 2 if info.field_name == "bead" else 4
        if value is not None and (not value or len(value) % step):
            wanted = "Y,X of each bead" if step == 2 else "Y,X,Y,X of a line across it"
            raise ValueError(f"{len(value)} numbers came, expected {wanted}")
        return value

    @model_validator(mode="after")
    def _agree_on_width(self) -> UpscaleSettings:
        """Refuse two widths, and optics that nobody asked to undo."""
        said = {
            "psf-sigma": self.psf_sigma is not None,
            "bead": self.bead is not None,
            "edge": self.edge is not None,
            "filament": self.filament is not None,
            "width-from-image": self.width_from_image,
        }
        names = [name for name, given in said.items() if given]
        described = (self.aperture, self.wavelength, self.confocal)
        if self.psf_sigma is not None and self.undo_optics:
            names.append("undo-optics")
        elif names and any(value is not None for value in described):
            names.append("aperture, wavelength or confocal")
        if len(names) > 1:
            raise ValueError(
                f"{' and '.join(names)} both say how much blur is undone; give one"
            )
        if not self.marks and (self.plane, self.diameter) != (None, None):
            raise ValueError(
                "plane and diameter belong to a bead, edge or filament; say where it "
                "is, or leave them out"
            )
        if not self.undo_optics and any(value is not None for value in described):
            raise ValueError(
                "aperture, wavelength and confocal say how wide the blur of the optics "
                "is; add undo-optics, or leave them out to keep the optics"
            )
        return self

    @property
    def names_optics(self) -> bool:
        """Whether anything is said that only a conditional model can follow."""
        said = (self.psf_sigma, self.undo_optics, self.noise) != (None, False, None)
        return said or self.measures_width

    @property
    def marks(self) -> bool:
        """Whether the user points at something."""
        return any(m is not None for m in (self.bead, self.edge, self.filament))

    @property
    def measures_width(self) -> bool:
        """Whether the width is measured in the image."""
        return self.marks or self.width_from_image

    def to_record(self) -> dict[str, Any]:
        """Return the settings for a record: of the optics, what was said."""
        silent = dict.fromkeys(OPTICS) | dict.fromkeys(_FLAGS, False)
        return {
            # as JSON gives it back
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.model_dump().items()
            if name not in silent or value != silent[name]
        }
