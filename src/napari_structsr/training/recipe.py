"""Recipes: everything that decides a training, as a small TOML file.

A recipe together with the images and a seed gives the same weights on the same
machine. What does not change the weights (device, time, folder) is not in it.
"""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from napari_structsr.errors import TrainingError, blame_file
from napari_structsr.io.limits import read_text
from napari_structsr.models.card import ModelName, Options
from napari_structsr.training.entries import (
    Batch,
    Patch,
    Range,
    Rate,
    Seed,
    Shrinkage,
    Table,
    Weight,
    check_rising,
)

_RECIPES = Path(str(resources.files("napari_structsr"))) / "training" / "recipes"


class NetworkConfig(Table):
    """The generator.

    Parameters
    ----------
    architecture
        As on a model's card.
    options
        Arguments of the architecture.
    """

    architecture: Literal[
        "residual-generator", "conditional-generator", "srresnet", "rrdb", "swinir"
    ] = "residual-generator"
    options: Options = Field(default={})


class DataConfig(Table):
    """How measured images are made from true ones; each pair draws its own values.

    Parameters
    ----------
    psf_sigma
        Range of the point-spread width, in measured pixels.
    photons
        Range of photons per measured pixel at value 1, drawn by their logarithm.
    read_noise
        Range of the camera noise as a share of the full range, by its logarithm.
    gain
        Range of the brightness.
    """

    psf_sigma: Range = (0.3, 0.5)
    photons: Range = (300.0, 20000.0)
    read_noise: Range = (0.001, 0.012)
    gain: Range = (0.5, 1.0)

    @model_validator(mode="after")
    def _check_ranges(self) -> DataConfig:
        check_rising(self.model_dump())
        return self


class OpticsConfig(Table):
    """How images are measured in many ways, and what a conditional generator is told.

    Parameters
    ----------
    psf_sigma
        Range of the point-spread width, in measured pixels.
    narrow, usual
        Ranges within it that are drawn more often: undersampled images, and images
        sampled about as Nyquist asks.
    shares
        Of `narrow`, of `usual`, and of the whole range.
    photons
        Range of photons per measured pixel at value 1, by its logarithm.
    towards_light
        Below 1, much light is drawn more often than little.
    read_noise
        Range of the camera noise as a share of the full range, by its logarithm.
    gain
        Range of the brightness.
    airy, elliptic
        Shares of point-spread functions that are Airy patterns, and that are elliptic.
    ellipticity
        Largest ratio of the longer width to the geometric mean.
    jitter_sigma, jitter_noise
        Relative errors of what is told.
    oversampled
        Sources of true images that are trained on in smaller copies alone.
    shrunk
        How many times smaller copies of all true images are, beside those that are
        binned 2 x 2.
    bend
        Spread of the logarithm of a power that the brightness of a true image is
        raised to.
    negatives
        Share of true images in which light and dark change places.
    """

    psf_sigma: Range = (0.25, 2.0)
    narrow: Range = (0.28, 0.6)
    usual: Range = (0.5, 1.6)
    shares: Annotated[tuple[float, float, float], Field(strict=False)] = (
        0.35,
        0.5,
        0.15,
    )
    photons: Range = (20.0, 20000.0)
    towards_light: float = Field(default=0.75, gt=0, le=1)
    read_noise: Range = (0.0005, 0.03)
    gain: Range = (0.5, 1.0)
    airy: float = Field(default=0.2, ge=0, le=1)
    elliptic: float = Field(default=0.2, ge=0, le=1)
    ellipticity: float = Field(default=1.2, ge=1, le=4)
    jitter_sigma: float = Field(default=0.03, ge=0, le=1)
    jitter_noise: float = Field(default=0.05, ge=0, le=1)
    oversampled: Annotated[tuple[str, ...], Field(strict=False)] = ()
    shrunk: Annotated[tuple[Shrinkage, ...], Field(strict=False)] = ()
    bend: float = Field(default=0.0, ge=0, le=1)
    negatives: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _check_ranges(self) -> OpticsConfig:
        names = ("psf_sigma", "narrow", "usual", "photons", "read_noise", "gain")
        check_rising({name: getattr(self, name) for name in names})
        return self


class LossConfig(Table):
    """What each term weighs; 0 leaves it out.

    Parameters
    ----------
    mse
        Mean squared difference.
    pixel, ssim, gradient, data
        Terms of the convex functional, `napari_structsr.imaging.structure_loss`.
    texture
        Difference of Gabor magnitudes: how strong detail is, wherever its crests lie.
    content
        Distance of VGG19 features, if torchvision's weights lie in its cache; otherwise
        the same as `texture`. The card of the model says which.
    """

    mse: Weight = 0.0
    pixel: Weight = 1.0
    ssim: Weight = 0.0
    gradient: Weight = 0.0
    data: Weight = 0.0
    texture: Weight = 0.0
    content: Weight = 0.0

    @model_validator(mode="after")
    def _check_weights(self) -> LossConfig:
        if not any(self.model_dump().values()):
            raise ValueError("every term weighs 0; give one a weight")
        return self


class AdversaryConfig(Table):
    """The adversarial phase.

    Parameters
    ----------
    kind
        "patch" gives a logit for each patch, "plain" is the one of SRGAN and ESRGAN.
    conditional
        Whether a "patch" discriminator sees the measured image.
    told
        Whether it is told the optics, where the generator is.
    relativistic
        Relativistic average loss (Jolicoeur-Martineau 2018); otherwise that of
        Goodfellow et al. 2014.
    weight
        Weight of the adversarial term at the end of its rise.
    start
        Share of the training after which it begins; before, the generator is alone.
    rise
        Share of the adversarial phase over which its weight rises from 0.
    width
        Channels of the first features of the discriminator.
    rate
        Learning rate of the generator in this phase.
    discriminator_rate
        Learning rate of the discriminator.
    loss
        The other terms in this phase; None keeps those of the recipe.
    """

    kind: Literal["patch", "plain"] = "patch"
    conditional: bool = True
    told: bool = True
    relativistic: bool = True
    weight: Weight = 0.001
    start: float = Field(default=0.75, ge=0, lt=1)
    rise: float = Field(default=0.3, ge=0, le=1)
    width: int = Field(default=32, ge=4, le=1024)
    rate: Rate = 2e-4
    discriminator_rate: Rate = 2e-4
    loss: LossConfig | None = None


class Recipe(Table):
    """One training.

    Parameters
    ----------
    name
        Name of the model on its card.
    description
        One sentence for users.
    factor
        Upscaling factor.
    purpose
        "use", or "comparison" for methods that stand in benchmarks alone.
    blend_with
        Model of the same architecture towards which this one can be softened.
    start
        Model whose weights the generator begins with: a name, or the path of a
        .safetensors file; None begins anew.
    start_factor
        Factor of that model where it is another: all but its last layer is taken.
    network, data, loss, adversary
        See there; without an adversary the generator stays alone.
    optics
        In place of `data`: each image by optics of its own, which a conditional
        generator is told.
    drawn
        Images that are drawn and trained on as one more source, see `draw_planes`.
    megapixels
        Measured pixels to see, in millions.
    patch
        Measured pixels along the side of a training patch.
    batch
        Patches of a step.
    rate
        Learning rate, falling by a cosine to 1% of it.
    decay
        Weight of the past in the running average that is validated and kept.
    seed
        Seed of every random choice.
    """

    name: ModelName
    description: str = ""
    factor: Literal[1, 2, 4] = 2
    purpose: Literal["use", "comparison"] = "use"
    blend_with: ModelName | None = None
    start: str | None = None
    start_factor: Literal[2, 4] | None = None
    network: NetworkConfig = NetworkConfig()
    data: DataConfig = DataConfig()
    optics: OpticsConfig | None = None
    loss: LossConfig = LossConfig()
    adversary: AdversaryConfig | None = None
    drawn: int = Field(default=0, ge=0, le=10_000)
    megapixels: float = Field(default=300.0, gt=0, le=1e9)
    patch: Patch = 48
    batch: Batch = 16
    rate: Rate = 8e-4
    decay: float = Field(default=0.999, ge=0, lt=1)
    seed: Seed = 0

    @model_validator(mode="after")
    def _check_optics(self) -> Recipe:
        if self.told and self.optics is None:
            raise ValueError(
                "a network that is told the optics is trained on many; add the table "
                "optics"
            )
        losses = [self.loss, self.adversary.loss if self.adversary else None]
        if self.optics and any(loss.data for loss in losses if loss):
            raise ValueError(
                "the data term asks for one forward model, and the table optics "
                "draws many; give it no weight"
            )
        if self.factor == 1 and not self.optics:
            raise ValueError(
                "the factor 1 undoes blur and noise; add the table optics, or take 2 "
                "or 4"
            )
        return self

    @property
    def told(self) -> bool:
        """Whether the generator is told the optics of each image."""
        conditional = self.network.architecture == "conditional-generator"
        return conditional or bool(self.network.options.get("told"))

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        # Counted in pixels seen: with another batch or patch the amount of data stays.
        return math.ceil(self.megapixels * 1e6 / (self.batch * self.patch**2))


def list_recipes() -> list[str]:
    """Name the recipes that ship."""
    return sorted(path.stem for path in _RECIPES.glob("*.toml"))


def read_recipe(name: str, **changes: Any) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name
        Name of one that ships, or the path of a .toml file.
    **changes
        Entries that replace those of the file, if they are not None.

    Raises
    ------
    TrainingError
        If there is no such recipe, or naming the entries at fault.
    """
    path = Path(name) if name.endswith(".toml") else _RECIPES / f"{name}.toml"
    remedy = "mend it, or take a recipe that ships"
    with blame_file(name, TrainingError, what="a recipe", remedy=remedy):
        try:
            text = read_text(path)
        except FileNotFoundError as error:
            known = ", ".join(list_recipes())
            raise TrainingError(
                f"there is no recipe {name!r}; give the path of a .toml file, or one "
                f"of {known}"
            ) from error
        entries = tomllib.loads(text)
        # Choices of the command line are None where nothing was said.
        given = {key: value for key, value in changes.items() if value is not None}
        return Recipe.model_validate(entries | given)
