"""What a fine-tuning takes over from its parent.

Kind of images, loss and adversary are those of the parent's recipe, as far as its card
holds one.
"""

from __future__ import annotations

from pydantic import ValidationError

from napari_structsr.finetuning.config import FineTuneConfig
from napari_structsr.models.card import ModelCard
from napari_structsr.models.conditional_generator import SIGMA_RANGE
from napari_structsr.training.recipe import (
    AdversaryConfig,
    DataConfig,
    LossConfig,
    NetworkConfig,
    OpticsConfig,
    Recipe,
)

_STRUCTURE_LOSS = LossConfig(ssim=0.01, gradient=0.3, data=0.0002)
_DECAY = 0.99  # of the running average: a fine-tuning has few hundred steps
_GENERATORS = ("residual-generator", "conditional-generator")
_RATE = 8e-4
_GENTLE_RATE = 2e-4  # for the other architectures
_ENOUGH_MINUTES, _ENOUGH_STEPS = 10.0, 3000  # for an adversary that starts anew
_ADVERSARY_START = 0.6  # share of the fine-tuning


def read_data_config(card: ModelCard) -> DataConfig:
    """Return how the images that a model was trained on were measured."""
    if recipe := _read_recipe(card):
        return recipe.data
    # Of a model without a recipe the card tells the width alone.
    width = (max(0.0, card.psf_sigma - 0.1), card.psf_sigma + 0.1)
    return DataConfig(psf_sigma=width)


def read_optics_config(card: ModelCard) -> OpticsConfig | None:
    """Return how the images of a conditional model were measured; None for others."""
    if card.architecture != "conditional-generator":
        return None
    recipe = _read_recipe(card)
    if recipe and recipe.optics:
        return recipe.optics
    # Of one without a recipe, itself fine-tuned for example, the card tells the range.
    return OpticsConfig(psf_sigma=card.psf_range or SIGMA_RANGE)


def make_tuning_recipe(
    config: FineTuneConfig, card: ModelCard, *, patch: int, psf_sigma: float
) -> Recipe:
    """Return the recipe of a fine-tuning: choices, and what they leave to the parent.

    Parameters
    ----------
    config
        What is asked for.
    card
        Of the parent.
    patch
        Measured pixels along the side of a patch.
    psf_sigma
        Point-spread width of the pairs, in measured pixels.
    """
    before = _read_recipe(card)
    optics = read_optics_config(card)
    rate = config.rate or (_RATE if card.architecture in _GENERATORS else _GENTLE_RATE)
    loss = before.loss if before else _STRUCTURE_LOSS
    if optics:  # the data term asks for one forward model
        loss = loss.model_copy(update={"data": 0.0})
    return Recipe(
        name=config.name,
        factor=config.factor,
        network=NetworkConfig(
            architecture=card.architecture,  # type: ignore[arg-type]
            options=card.options,
        ),
        data=DataConfig(psf_sigma=(psf_sigma, psf_sigma)),
        optics=optics,
        loss=loss,
        # Its weights are in no file: it starts anew.
        adversary=_choose_adversary(config, before.adversary if before else None),
        patch=patch,
        batch=config.batch,
        rate=rate,
        decay=_DECAY,
        seed=config.seed,
    )


def _read_recipe(card: ModelCard) -> Recipe | None:
    try:
        return Recipe.model_validate_json(card.recipe)
    except ValidationError:  # interpolation, foreign, or itself fine-tuned
        return None


def _choose_adversary(
    config: FineTuneConfig, before: AdversaryConfig | None
) -> AdversaryConfig | None:
    # A discriminator starts anew, and is of no use before it has learnt something.
    wanted = config.adversarial == "on"
    if config.adversarial == "auto" and before is not None:
        minutes, steps = config.minutes or 0, config.steps or 0
        wanted = minutes >= _ENOUGH_MINUTES or steps >= _ENOUGH_STEPS
    if not wanted:
        return None
    return (before or AdversaryConfig()).model_copy(update={"start": _ADVERSARY_START})
