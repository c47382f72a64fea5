"""What a fine-tuning takes over from its parent, and how long it takes.

Kind of images, loss and adversary are those of the parent's recipe, as far as its card
holds one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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

__all__ = ["TuningLength", "make_tuning_recipe", "read_data_config"]

_STRUCTURE_LOSS = LossConfig(ssim=0.01, gradient=0.3, data=0.0002)
_DECAY = 0.99  # of the running average: a fine-tuning has few hundred steps
_RATE = 8e-4
_GENTLE_RATE = 2e-4  # for the other architectures
_ENOUGH_MINUTES, _ENOUGH_STEPS = 10.0, 3000  # for an adversary that starts anew
_ADVERSARY_START = 0.6  # share of the fine-tuning
_SCORES = 12  # of a fine-tuning, at least
_LONGEST = 30.0  # seconds between two scores
_MOST_STEPS = 500  # between two scores


def read_data_config(card: ModelCard) -> DataConfig:
    """Return how the images that a model was trained on were measured."""
    if recipe := _read_recipe(card):
        return recipe.data
    # Of a model without a recipe the card tells the width alone.
    width = (max(0.0, card.psf_sigma - 0.1), card.psf_sigma + 0.1)
    return DataConfig(psf_sigma=width)


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
    rate = config.rate or (
        _RATE if card.architecture == "residual-generator" else _GENTLE_RATE
    )
    # Weights of the discriminator are in no file.
    adversary = _choose_adversary(config, before.adversary if before else None)
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


def _read_recipe(card: ModelCard) -> Recipe | None:
    try:
        return Recipe.model_validate_json(card.recipe)
    except ValidationError:  # interpolation, foreign, or itself fine-tuned
        return None


def _choose_adversary(
    config: FineTuneConfig, before: AdversaryConfig | None
) -> AdversaryConfig | None:
    # A discriminator starts anew, and is of no use before it has learnt something.
    long = (config.minutes or 0) >= _ENOUGH_MINUTES or (
        config.steps or 0
    ) >= _ENOUGH_STEPS
    wanted = config.adversarial == "on" or (
        config.adversarial == "auto" and before is not None and long
    )
    if not wanted:
        return None
    return (before or AdversaryConfig()).model_copy(update={"start": _ADVERSARY_START})


@dataclass(frozen=True)
class TuningLength:
    """A length, in seconds or in steps.

    Parameters
    ----------
    timed
        Whether seconds count, otherwise steps do.
    end
        Seconds or steps in all.
    every
        Seconds or steps between two scores.
    """

    timed: bool
    end: float
    every: float

    @classmethod
    def from_config(cls, config: FineTuneConfig) -> TuningLength:
        """Return the length that is asked for."""
        if config.minutes:
            end = 60 * config.minutes
            return cls(True, end, min(end / _SCORES, _LONGEST))
        steps = config.steps or 1
        return cls(False, steps, min(math.ceil(steps / _SCORES), _MOST_STEPS))

    def progress(self, step: int, seconds: float) -> float:
        """Return the share that is over."""
        return (seconds if self.timed else step) / self.end

    def count(self, step: int, seconds: float) -> tuple[int, int]:
        """Return what is done and what there is to do, in whole steps or seconds."""
        # A progress bar counts whole units, and may not run over its end.
        total = math.ceil(self.end)
        return min(int(seconds if self.timed else step), total), total

    def is_due(self, step: int, seconds: float, *, seen: int) -> bool:
        """Tell whether it is time for a score, after `seen` of them."""
        return (seconds if self.timed else step) >= self.every * (seen + 1)
