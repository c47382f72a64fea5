"""What keeps a fine-tuned model at what it did before, without its training images.

Images of several kinds are measured as the card of the parent says; what the parent
makes of them is the target (Li and Hoiem 2016, "Learning without forgetting"). They are
those of `replay_images`, and the true images of the own pairs, of the regions that
teach alone. How many dB the model loses on others of the former tells its drift.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from napari_structsr.engine.device import Device
from napari_structsr.finetuning.replay_images import replay_images
from napari_structsr.finetuning.split import Block
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.training.patch_sampler import (
    MARGIN,
    ImageSampler,
    Plane,
    draw_batch,
)
from napari_structsr.training.recipe import DataConfig, Recipe
from napari_structsr.training.trainer import LEAST_ERROR, ReplayBatch
from napari_structsr.training.validation import Validation

__all__ = ["Drift", "Replay"]

_TOP = 32767
_WORST = 2.0  # mean losses that one kind may lose

Network = Callable[[Tensor], Tensor]


class Replay:
    """Draws images of the parent's kind, and what the parent makes of them.

    Parameters
    ----------
    parent
        Network of the parent; a copy is taken.
    kind
        How its images were measured.
    pairs, blocks
        Where true images of the user may be taken from.
    factor, patch
        Of the fine-tuning.
    device
        Where to compute, and in which number format.
    """

    def __init__(
        self,
        parent: nn.Module,
        kind: DataConfig,
        *,
        pairs: Sequence[ImagePair],
        blocks: Sequence[Block],
        factor: int,
        patch: int,
        device: Device,
    ) -> None:
        self._parent = copy.deepcopy(parent).eval().requires_grad_(False)
        self._parent.to(device.kind).to(memory_format=torch.channels_last)
        self._kind, self._device = kind, device
        self._factor, self._patch = factor, patch
        smallest = (patch + 2 * MARGIN) * factor
        planes = [*replay_images("training"), *_own(pairs, blocks)]
        planes = [plane for plane in planes if min(plane.pixels.shape) >= smallest]
        self._pool = ImageSampler(planes, device.kind) if planes else None

    def __bool__(self) -> bool:
        return self._pool is not None

    def draw(
        self, count: int, *, number: int, weight: float, generator: torch.Generator
    ) -> ReplayBatch:
        """Draw `count` patches for step `number`; differences count by `weight`."""
        assert self._pool is not None
        pairs = draw_batch(
            self._pool,
            self._kind,
            factor=self._factor,
            patch=self._patch,
            count=count,
            number=number,
            generator=generator,
        )
        half = self._device.precision != "float32"
        dtype = getattr(torch, self._device.precision) if half else torch.bfloat16
        kind = torch.device(self._device.kind).type
        with torch.no_grad(), torch.autocast(kind, dtype=dtype, enabled=half):
            target = self._parent(pairs.measured)
        target = target.float()
        error = ((target - pairs.truth) ** 2).flatten(1).mean(dim=1)
        return ReplayBatch(pairs.measured, target, error, weight)


class Drift:
    """Measures how many dB a model loses on images of its parent's kind.

    Parameters
    ----------
    parent
        Maps measured images to results.
    recipe
        Names factor and seed.
    kind
        How the images of the parent were measured.
    device
        Name for torch.
    """

    def __init__(
        self,
        parent: Network,
        recipe: Recipe,
        kind: DataConfig,
        *,
        device: str,
    ) -> None:
        about = recipe.model_copy(update={"data": kind})
        planes = replay_images("validation")
        self._parts: dict[str, tuple[Validation, float]] = {}
        for source in dict.fromkeys(plane.source for plane in planes):
            group = [plane for plane in planes if plane.source == source]
            part = Validation(group, about, device)
            self._parts[source] = part, _height(part, parent)

    def losses(self, network: Network) -> dict[str, float]:
        """Return the mean loss in dB by kind of images; negative for a gain."""
        return {
            source: before - _height(part, network)
            for source, (part, before) in self._parts.items()
        }

    def __call__(self, network: Network) -> float:
        """Return the loss in dB, the mean over kinds of images.

        If one kind loses more than twice the mean, half of what it loses is returned:
        gains on others do not make up for it.
        """
        losses = list(self.losses(network).values())
        return max(sum(losses) / len(losses), max(losses) / _WORST)


def _height(part: Validation, network: Network) -> float:
    """Return the mean PSNR; what lies above 50 dB hardly counts."""
    return -10 * float((part.errors(network) + LEAST_ERROR).log10().mean())


def _own(pairs: Sequence[ImagePair], blocks: Sequence[Block]) -> list[Plane]:
    """Return the true images of the regions that teach."""
    return [
        Plane(
            "own",
            (block.truth(pairs[block.pair]).clip(0, 1) * _TOP).round().astype(np.int16),
        )
        for block in blocks
    ]
