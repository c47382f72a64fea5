"""How far a fine-tuned model drifts from what its parent did, and how that is limited.

Three things work together. Replay trains on what the parent does on images of its own
kind. How much that weighs follows the drift that is measured, score by score. What is
lost beyond the limit nevertheless is taken back on the line between the weights of the
parent and the trained ones (Wortsman et al. 2022, "Robust fine-tuning of zero-shot
models").
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from napari_structsr.core.types import Float32Array
from napari_structsr.engine.device import Device
from napari_structsr.finetuning.recipe import read_data_config
from napari_structsr.finetuning.replay import Replay, replay_images
from napari_structsr.models.interpolation import blend_weights
from napari_structsr.models.model import SRModel
from napari_structsr.training.recipe import Recipe
from napari_structsr.training.trainer import LEAST_ERROR
from napari_structsr.training.validation import Network, Validation

_WORST = 2.0  # mean losses that one kind may lose
_HALVINGS = 4  # of the way: its sixteenths
_TARGET = 0.8  # of the limit: the drift that the weight of replay is set for
_FACTOR, _RANGE = 2.0, 16.0  # by which that weight changes at most, and in all


class Drift:
    """Measures how many dB a model loses on images of its parent's kind.

    Parameters
    ----------
    parent
        Maps measured images to results.
    recipe
        Names factor and seed, and how the images of the parent were measured.
    device
        Name for torch.
    """

    def __init__(self, parent: Network, recipe: Recipe, *, device: str) -> None:
        planes = replay_images("validation")
        self._parts: dict[str, tuple[Validation, float]] = {}
        for source in dict.fromkeys(plane.source for plane in planes):
            # By kind, so that what one kind loses is not lost in the mean of all.
            group = [plane for plane in planes if plane.source == source]
            part = Validation(group, recipe, device)
            self._parts[source] = part, _mean_psnr(part, parent)

    def losses(self, network: Network) -> dict[str, float]:
        """Return the mean loss in dB by kind of images; negative for a gain."""
        return {
            source: before - _mean_psnr(part, network)
            for source, (part, before) in self._parts.items()
        }

    def __call__(self, network: Network) -> float:
        """Return the loss in dB, the mean over kinds of images.

        If one kind loses more than twice the mean, half of what it loses is returned.
        """
        # Gains on other kinds do not make up for what one kind loses.
        losses = list(self.losses(network).values())
        return max(sum(losses) / len(losses), max(losses) / _WORST)


def _mean_psnr(part: Validation, network: Network) -> float:
    # What lies above 50 dB hardly counts: it is good enough.
    return -10 * float((part.errors(network) + LEAST_ERROR).log10().mean())


@dataclass(frozen=True)
class LimitedModel:
    """Weights between those of the parent and trained ones.

    Parameters
    ----------
    share
        How far: of the way from the weights of the parent to the trained ones.
    drift
        dB lost there.
    trained
        dB that the trained weights lose.
    weights
        The weights there.
    """

    share: float
    drift: float
    trained: float
    weights: dict[str, Tensor]


def limit_drift(
    network: nn.Module,
    parent: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    *,
    drift: Drift,
    limit: float | None,
) -> LimitedModel:
    """Find the weights furthest from the parent whose drift stays below a limit.

    Parameters
    ----------
    network
        Of the architecture of both; it holds the weights that were found afterwards.
    parent, weights
        Weights at 0 and at 1.
    drift
        Measures what is lost.
    limit
        dB that may be lost; None goes all the way.
    """

    def measure(share: float) -> float:
        network.load_state_dict(blend_weights(weights, parent, share))
        return drift(network)

    trained = there = measure(1.0)
    share = high = 1.0
    if limit is not None and trained > limit:
        share = 0.0
        # Bisection, as drift hardly ever falls along the way.
        for _ in range(_HALVINGS):
            middle = (share + high) / 2
            if (here := measure(middle)) <= limit:
                share, there = middle, here
            else:
                high = middle
        if share == 0:  # the smallest step there is, so that there is a model
            share, there = high, measure(high)
    between = blend_weights(weights, parent, share)
    network.load_state_dict(between)
    return LimitedModel(share, there, trained, between)


class DriftLimiter:
    """Keeps a fine-tuned model near its parent: by replay, and by the way back.

    Parameters
    ----------
    parent
        On the device.
    recipe
        Of the fine-tuning.
    truths
        True images of the user, of the regions for training alone.
    limit
        As in `limit_drift`.
    weight
        What a difference from the parent weighs, to begin with.

    Attributes
    ----------
    replay
        Draws patches of the parent's kind.
    network
        The model whose drift was limited last.
    weight
        What a difference from the parent weighs now.
    """

    def __init__(
        self,
        parent: SRModel,
        recipe: Recipe,
        *,
        truths: Sequence[Float32Array],
        limit: float | None,
        weight: float,
        device: Device,
    ) -> None:
        data = read_data_config(parent.card)
        recipe = recipe.model_copy(update={"data": data})
        self.replay = Replay(parent.network, recipe, truths=truths, device=device)
        self.drift = Drift(parent.network, recipe, device=device.kind)
        self.network = copy.deepcopy(parent.network)
        self.weight = weight
        self._wish, self._limit, self._device = weight, limit, device.kind
        self._parent = copy.deepcopy(parent.network.state_dict())

    def limit(self, weights: Mapping[str, Tensor]) -> LimitedModel:
        """Return the weights nearest to trained ones that do not lose too much."""
        return limit_drift(
            self.network,
            self._parent,
            # Trained weights come merged, on the CPU.
            {name: value.to(self._device) for name, value in weights.items()},
            drift=self.drift,
            limit=self._limit,
        )

    def adjust_weight(self, limited: LimitedModel) -> None:
        """Let replay weigh more while too much is lost, and less while little is."""
        if self._limit:
            # Of the trained weights, not of the limited ones: these stay below the
            # limit whatever replay weighs.
            much = max(limited.trained, 0.0) / (_TARGET * self._limit)
            # By the square root, so that the weight does not swing from score to score.
            change = min(max(much**0.5, 1 / _FACTOR), _FACTOR)
            weight = max(self.weight * change, self._wish / _RANGE)
            self.weight = min(weight, self._wish * _RANGE)
