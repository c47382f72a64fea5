"""What a fine-tuning takes over from its parent: kind of images, loss, adversary."""

from __future__ import annotations

from pydantic import ValidationError

from napari_structsr.finetuning.config import FineTuneConfig
from napari_structsr.models.card import ModelCard
from napari_structsr.training.recipe import (
    AdversaryConfig,
    DataConfig,
    LossConfig,
    NetworkConfig,
    Recipe,
)

__all__ = ["make_tuning_recipe", "read_data_config"]

_STRUCTURE_LOSS = LossConfig(ssim=0.01, gradient=0.3, data=0.0002)
_DECAY = 0.99  # of the running average: a fine-tuning has few hundred steps
_RATE = 8e-4
_GENTLE = 2e-4  # for networks that were not made here
_ENOUGH_MINUTES, _ENOUGH_STEPS = 10.0, 3000  # for an adversary that starts anew
_ADVERSARY_START = 0.6  # share of the fine-tuning


def read_data_config(card: ModelCard) -> DataConfig:
    """Return how the images were measured that a model was trained on."""
    if recipe := _recipe_of(card):
        return recipe.data
    width = (max(0.0, card.psf_sigma - 0.1), card.psf_sigma + 0.1)
    return DataConfig(psf_sigma=width)


def make_tuning_recipe(
    config: FineTuneConfig, card: ModelCard, *, patch: int, psf_sigma: float
) -> Recipe:
    """Settle what the choices left open.

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
    before = _recipe_of(card)
    rate = config.rate or (
        _RATE if card.architecture == "residual-generator" else _GENTLE
    )
    adversary = _adversary(config, before.adversary if before else None)
    return Recipe(
        name=config.name,
        factor=config.factor,
        network=NetworkConfig(
            architecture=card.architecture,  # type: ignore[arg-type]
            options=card.options,
        ),
        data=DataConfig(psf_sigma=(psf_sigma, psf_sigma)),
        loss=before.loss if before else _STRUCTURE_LOSS,
        adversary=adversary,
        patch=patch,
        batch=config.batch,
        rate=rate,
        decay=_DECAY,
        seed=config.seed,
    )


def _recipe_of(card: ModelCard) -> Recipe | None:
    """Return the recipe of a model, if it has one."""
    try:
        return Recipe.model_validate_json(card.recipe)
    except ValidationError:
        return None


def _adversary(
    config: FineTuneConfig, before: AdversaryConfig | None
) -> AdversaryConfig | None:
    """Return the adversarial phase, if there shall be one."""
    long = (config.minutes or 0) >= _ENOUGH_MINUTES or (
        config.steps or 0
    ) >= _ENOUGH_STEPS
    wanted = config.adversarial == "on" or (
        config.adversarial == "auto" and before is not None and long
    )
    if not wanted:
        return None
    return (before or AdversaryConfig()).model_copy(update={"start": _ADVERSARY_START})
