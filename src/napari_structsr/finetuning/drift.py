"""Holding a fine-tuned model to what its parent did.

Three things work together. Replay teaches it what the parent does on images of the
parent's own kind. How much that weighs follows the drift that is measured, score by
score: more while too many dB are lost, less while few are. What is lost beyond the
limit nevertheless is taken back on the line between the weights of the parent and the
trained ones, of which the furthest point below the limit is taken (Wortsman et al.
2022, "Robust fine-tuning of zero-shot models").
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_structsr.engine.device import Device
from napari_structsr.finetuning.recipe import read_data_config
from napari_structsr.finetuning.replay import Drift, Replay
from napari_structsr.finetuning.split import Block
from napari_structsr.models.interpolation import blend_weights
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.training.recipe import Recipe
from napari_structsr.training.trainer import ReplayBatch

__all__ = ["DriftLimiter", "LimitedModel", "find_furthest"]

_HALVINGS = 4  # of the way: its sixteenths
_AIM = 0.8  # of the limit: the drift that the weight of replay is set for
_FACTOR, _FURTHEST = 2.0, 16.0  # by which that weight changes at most, and in all


@dataclass(frozen=True)
class LimitedModel:
    """A model that does not lose too much of what its parent did.

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


def find_furthest(
    network: nn.Module,
    parent: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    *,
    drift: Drift,
    limit: float | None,
) -> LimitedModel:
    """Find the furthest point on the way whose drift stays below a limit.

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

    def lost(share: float) -> float:
        network.load_state_dict(blend_weights(weights, parent, share))
        return drift(network)

    trained = there = lost(1.0)
    share = high = 1.0
    if limit is not None and trained > limit:
        share = 0.0
        for _ in range(_HALVINGS):
            middle = (share + high) / 2
            if (here := lost(middle)) <= limit:
                share, there = middle, here
            else:
                high = middle
        if share == 0:  # the smallest step there is, so that there is a model
            share, there = high, lost(high)
    between = blend_weights(weights, parent, share)
    network.load_state_dict(between)
    return LimitedModel(share, there, trained, between)


class DriftLimiter:
    """Replay, drift and the way back.

    Parameters
    ----------
    parent
        On the device.
    recipe
        Of the fine-tuning.
    pairs, blocks
        Where true images of the user may be taken from.
    limit
        dB that may be lost; None lets the model go all the way.
    weight
        What a difference from the parent weighs, to begin with.
    device
        Where to compute, and in which number format.

    Attributes
    ----------
    network
        The model that was admitted last.
    weight
        What a difference from the parent weighs now.
    """

    def __init__(
        self,
        parent: SRModel,
        recipe: Recipe,
        *,
        pairs: Sequence[ImagePair],
        blocks: Sequence[Block],
        limit: float | None,
        weight: float,
        device: Device,
    ) -> None:
        kind = read_data_config(parent.card)
        self._replay = Replay(
            parent.network,
            kind,
            pairs=pairs,
            blocks=blocks,
            factor=recipe.factor,
            patch=recipe.patch,
            device=device,
        )
        self.drift = Drift(parent.network, recipe, kind, device=device.kind)
        self.network = copy.deepcopy(parent.network)
        self.weight = weight
        self._wish, self._limit, self._device = weight, limit, device.kind
        self._parent = {
            name: value.clone() for name, value in parent.network.state_dict().items()
        }

    def draw(
        self, count: int, *, number: int, generator: torch.Generator
    ) -> ReplayBatch | None:
        """Draw patches of the parent's kind for step `number`."""
        if not count or not self._replay:
            return None
        return self._replay.draw(
            count, number=number, weight=self.weight, generator=generator
        )

    def admit(self, weights: Mapping[str, Tensor]) -> LimitedModel:
        """Return the model nearest to trained weights that does not lose too much."""
        return find_furthest(
            self.network,
            self._parent,
            {name: value.to(self._device) for name, value in weights.items()},
            drift=self.drift,
            limit=self._limit,
        )

    def balance(self, admitted: LimitedModel) -> None:
        """Let replay weigh as much as the drift asks for."""
        if self._limit:
            much = max(admitted.trained, 0.0) / (_AIM * self._limit)
            change = min(max(much**0.5, 1 / _FACTOR), _FACTOR)
            weight = max(self.weight * change, self._wish / _FURTHEST)
            self.weight = min(weight, self._wish * _FURTHEST)
