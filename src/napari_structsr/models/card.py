"""The card of a model: what it does, what it was made from, and on which terms.

Reading a card needs no torch, so that models can be listed at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from napari_structsr.core.names import check_model_name
from napari_structsr.errors import ModelError, blame_file
from napari_structsr.io.limits import OPTION
from napari_structsr.models.calibration import TrustCalibration

Architecture = Literal[
    "residual-generator",
    "conditional-generator",
    "srresnet",
    "rrdb",
    "swinir",
    "spandrel",
    "onnx",
    "bicubic",
    "bilinear",
]

TRAINABLE = (
    "residual-generator",
    "conditional-generator",
    "srresnet",
    "rrdb",
    "swinir",
)
"""Architectures that can be fine-tuned; others are interpolations or foreign."""

_RESTORE = "restore the file from where it came"

ModelName = Annotated[str, AfterValidator(check_model_name)]
"""A name in a file: a file of a model is called by it, and lies where it should."""

Options = dict[str, Annotated[int, Field(ge=0, le=OPTION)]]
"""Arguments of an architecture, as a card or a recipe gives them."""

_Span = Annotated[tuple[int, int], Field(strict=False)]


class _Entry(BaseModel):
    # unknown names are faults: a card of a newer version is not half understood
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataSource(_Entry):
    """Images that a model was trained on."""

    name: str
    licence: str
    attribution: str


class TrainingPair(_Entry):
    """One pair of the user.

    Parameters
    ----------
    name
        As the user saw it.
    sha256
        Hash of both images.
    shape
        Height and width in measured pixels.
    psf_sigma
        Point-spread width between truth and measurement, in measured pixels.
    noise
        Rise of the noise variance with the value, and the variance at value 0.
    """

    name: str
    sha256: str
    shape: _Span
    psf_sigma: float
    noise: Annotated[tuple[float, float], Field(strict=False)] = (0.0, 0.0)


class PairRegion(_Entry):
    """A rectangle of a pair: its index, and first and last + 1 measured pixel."""

    pair: int
    rows: _Span
    columns: _Span


class FineTuning(_Entry):
    """How a model was made from another one: it travels without the images.

    Parameters
    ----------
    parent
        Name of the model that it began as; its hash stands in the card's `parents`.
    pairs
        What it was trained on.
    training, validation
        Regions that it was trained on, and those it was validated on.
    gap
        Measured pixels between the two.
    scores
        By the method ("bicubic", "parent", "adapted") and the measure, means over the
        validation regions.
    drift
        dB lost on images of the parent's own kind; None if that was not measured.
    recommended
        Whether it beat both others beyond chance.
    sentence
        The verdict in words.
    curves
        By step: scores of the validation regions, drift, and share of the way from the
        weights of the parent to the trained ones.
    """

    parent: str
    pairs: list[TrainingPair]
    training: list[PairRegion]
    validation: list[PairRegion]
    # cards of earlier versions call it guard
    gap: int = Field(validation_alias=AliasChoices("gap", "guard"))
    scores: dict[str, dict[str, float]] = {}
    drift: float | None = None
    recommended: bool = False
    sentence: str = ""
    curves: list[dict[str, float]] = []


class ModelCard(_Entry):
    """What must be known to use a model and to trust it.

    Parameters
    ----------
    name
        Name by which users ask for it.
    description
        One sentence for users.
    architecture
        Kind of network.
    options
        Arguments of the architecture, such as width and blocks.
    factor
        Upscaling factor along y and x.
    channels
        Channels that the network sees at once.
    psf_sigma
        Point-spread width of the forward model it was trained to undo, in pixels of
        the measured image; agreement with the measurement is computed with it. A
        conditional generator is told this width unless the user asks for another.
    psf_range, noise_range
        Point-spread widths in measured pixels, and noise relative to the range, over
        which a conditional generator was trained; None for all others.
    intensity_equivariant
        Whether gain and offset pass through exactly.
    training
        What it saw: ranges of blur and noise, loss, steps, device.
    licence
        SPDX identifier of the weights.
    data
        Sources of the training images.
    recipe
        Command that trained it.
    seed
        Seed of the training.
    sha256
        Hash of the weights file; None for models without weights.
    purpose
        "use", or "comparison" for methods of others that are trained alike and are
        there to compare with.
    seen_megapixels
        Measured pixels seen in training, in millions, with those that the weights it
        was started from had seen.
    blend_with
        Name of the model with which it can be blended; this one is the sharper.
    sharpness
        Share of the way from that model to this one, of a model in use; None where
        there is no other.
    radius
        Measured pixels that a tile reads around itself; None takes the exact
        receptive field. Measured for deep networks, see `models.receptive_field`.
    seam
        Largest difference that this radius leaves between tiles and the whole image,
        as a share of the range of the image; None for an exact radius.
    parents
        Hashes of the weights it was started from or blended of.
    calibration
        How far its results are usually off; None where nobody has checked.
    fine_tuning
        From which pairs of a user it was made, and how well; None for others.
    """

    name: str
    description: str
    architecture: Architecture
    options: Options = {}
    factor: int = Field(ge=1, le=8)
    channels: Literal[1] = 1
    psf_sigma: float = Field(ge=0, le=2)
    psf_range: tuple[float, float] | None = Field(default=None, strict=False)
    noise_range: tuple[float, float] | None = Field(default=None, strict=False)
    intensity_equivariant: bool = True
    training: str = ""
    licence: str = "BSD-3-Clause"
    data: list[DataSource] = []
    recipe: str = ""
    seed: int | None = None
    sha256: str | None = None
    purpose: Literal["use", "comparison"] = "use"
    seen_megapixels: float | None = None
    blend_with: ModelName | None = None
    sharpness: float | None = Field(default=None, ge=0, le=1)
    radius: int | None = Field(default=None, ge=0, le=10**5)
    seam: float | None = Field(default=None, ge=0)
    parents: list[str] = []
    calibration: TrustCalibration | None = None
    fine_tuning: FineTuning | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, origin: str) -> ModelCard:
        """Read a card.

        Raises
        ------
        ModelError
            Naming the entries that are missing, unknown or of the wrong kind.
        """
        with blame_file(origin, ModelError, what="a model card", remedy=_RESTORE):
            card = cls.model_validate(data)
            # here, as foreign weights are shown by the name of their file
            check_model_name(card.name)
            return card
