"""All that changes while a generator trains, and the two halves of a step.

It owns networks, optimisers and random numbers, and turns them into tensors and back;
when to step, to score and to save is decided by the loop.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_structsr.engine.device import Device
from napari_structsr.errors import TrainingError
from napari_structsr.models.discriminator import PatchDiscriminator, PlainDiscriminator
from napari_structsr.training.checkpoint import optimiser_tensors, restore_optimiser
from napari_structsr.training.feature_losses import (
    GaborTexture,
    VGGContent,
    content_loss,
)
from napari_structsr.training.losses import (
    adversarial_loss,
    discriminator_loss,
    generator_terms,
)
from napari_structsr.training.patch_sampler import PatchBatch
from napari_structsr.training.recipe import AdversaryConfig, Recipe

__all__ = [
    "LEAST_ERROR",
    "ReplayBatch",
    "Trainer",
    "adversarial_progress",
    "learning_rate",
]

_WARM_UP = 200  # steps
_LAST_RATE = 0.01  # share of the rate that is left at the end
_LARGEST_GRADIENT = 1.0

LEAST_ERROR = 1e-5
"""50 dB; what comes out better still is good enough."""


@dataclass(frozen=True)
class ReplayBatch:
    """What a network shall keep doing while it learns something else.

    Parameters
    ----------
    measured
        Images to upscale, shape (N, 1, h, w).
    target
        What it shall make of them.
    error
        Mean squared error of `target` itself against the truth, shape (N,). Differences
        count in units of it, so that images that come out well are not spoilt.
    weight
        What a difference weighs.
    """

    measured: Tensor
    target: Tensor
    error: Tensor
    weight: float

    def term(self, made: Tensor) -> Tensor:
        """Return the term of the loss of what is made of `measured`."""
        apart = ((made - self.target) ** 2).flatten(1).mean(dim=1)
        return self.weight * (apart / (self.error + LEAST_ERROR)).mean()


def adversarial_progress(recipe: Recipe, progress: float) -> float | None:
    """Return the share of the adversarial phase that is over; None before it."""
    if recipe.adversary is None or progress < recipe.adversary.start:
        return None
    return (progress - recipe.adversary.start) / (1 - recipe.adversary.start)


def learning_rate(
    recipe: Recipe, progress: float, step: int, *, warm_up: int = _WARM_UP
) -> float:
    """Return the learning rate of the generator: a cosine for each phase."""
    phase = adversarial_progress(recipe, progress)
    if phase is not None and recipe.adversary is not None:
        return recipe.adversary.rate * _cosine(phase)
    alone = recipe.adversary.start if recipe.adversary else 1.0
    return recipe.rate * min(1.0, (step + 1) / warm_up) * _cosine(progress / alone)


def _cosine(progress: float) -> float:
    """Fall from 1 to the last rate."""
    wave = math.cos(min(progress, 1.0) * math.pi / 2) ** 2
    return _LAST_RATE + (1 - _LAST_RATE) * wave


class Trainer:
    """A training at one step.

    Parameters
    ----------
    recipe
        What is trained, and how.
    network
        The generator, with the weights to begin with.
    device
        Where to train, and in which number format.
    trained
        Parameters of `network` that change; None trains all of it, statistics of
        normalisation layers included.
    warm_up
        Steps over which the rate rises.

    Attributes
    ----------
    average
        Running average of the generator; it is scored and kept.
    generator
        Source of every random choice.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        device: Device,
        *,
        trained: Sequence[nn.Parameter] | None = None,
        warm_up: int = _WARM_UP,
    ) -> None:
        self.recipe = recipe
        self.device = device
        self.network = network
        self._warm_up = warm_up
        if trained is None:
            network.train().requires_grad_(True)
        self._trained = list(network.parameters() if trained is None else trained)
        self.network.to(device.kind).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.generator = torch.Generator(device.kind).manual_seed(recipe.seed)
        self.optimiser = self._adam(self._trained, recipe.rate)
        self.discriminator: nn.Module | None = None
        self.critic: torch.optim.Adam | None = None
        adversary = recipe.adversary
        if adversary:
            judge = _discriminator(recipe, adversary)
            judge.to(device.kind).to(memory_format=torch.channels_last)
            self.discriminator = judge
            self.critic = self._adam(
                list(judge.parameters()), adversary.discriminator_rate
            )
        losses = (recipe.loss, adversary.loss if adversary else None)
        self.features: dict[str, VGGContent | GaborTexture] = {}
        if any(loss.texture for loss in losses if loss):
            self.features["texture"] = GaborTexture().to(device.kind)
        if any(loss.content for loss in losses if loss):
            self.features["content"] = content_loss().to(device.kind)
        compiles = device.kind.startswith("cuda") and _has_triton()
        self._forward = torch.compile(self.network) if compiles else self.network

    def step(
        self,
        pairs: PatchBatch,
        *,
        number: int,
        progress: float,
        kept: ReplayBatch | None = None,
    ) -> dict[str, Tensor]:
        """Make one step; return the terms of its loss."""
        recipe = self.recipe
        phase = adversarial_progress(recipe, progress)
        rate = learning_rate(recipe, progress, number, warm_up=self._warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        measured = pairs.measured
        if kept is not None:
            measured = torch.cat([measured, kept.measured])
        with self.autocast():
            made = self._forward(
                measured.contiguous(memory_format=torch.channels_last)
            ).float()
        candidate = made[: len(pairs.measured)]
        adversary = recipe.adversary if phase is not None else None
        loss = (adversary.loss if adversary else None) or recipe.loss
        terms = generator_terms(candidate, pairs, loss, self.features)
        if kept is not None:
            terms["kept"] = kept.term(made[len(candidate) :])
        if adversary and phase is not None and self.discriminator is not None:
            rise = min(1.0, phase / adversary.rise) if adversary.rise else 1.0
            self.discriminator.requires_grad_(False)
            fake, real = self._verdicts(candidate, pairs)
            told = adversarial_loss(fake, real, relativistic=adversary.relativistic)
            terms["adversarial"] = adversary.weight * rise * told
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._trained, _LARGEST_GRADIENT)
        self.optimiser.step()
        if adversary and self.discriminator is not None and self.critic is not None:
            self.discriminator.requires_grad_(True)
            fake, real = self._verdicts(candidate.detach(), pairs)
            told = discriminator_loss(fake, real, relativistic=adversary.relativistic)
            self.critic.zero_grad(set_to_none=True)
            told.backward()  # type: ignore[no-untyped-call]
            self.critic.step()
            terms["discriminator"] = told
        self._follow(number)
        return {name: value.detach() for name, value in terms.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Return everything on which the next step depends, by name."""
        found = {"random": self.generator.get_state()}
        found |= optimiser_tensors(self.optimiser, "optimiser")
        if self.critic:
            found |= optimiser_tensors(self.critic, "critic")
        for prefix, module in self._modules():
            for name, value in module.state_dict().items():
                found[f"{prefix}.{name}"] = value
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state that `tensors` gave.

        Raises
        ------
        TrainingError
            If it is that of another network.
        """
        try:
            for prefix, module in self._modules():
                start = f"{prefix}."
                module.load_state_dict(
                    {
                        name.removeprefix(start): value
                        for name, value in tensors.items()
                        if name.startswith(start)
                    }
                )
            restore_optimiser(self.optimiser, tensors, "optimiser")
            if self.critic:
                restore_optimiser(self.critic, tensors, "critic")
            self.generator.set_state(tensors["random"])
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise TrainingError(
                f"the checkpoint does not fit the recipe or the device ({error}); go "
                "on with the recipe and the device it was made with"
            ) from error

    def _modules(self) -> list[tuple[str, nn.Module]]:
        """Return the networks with what their tensors are named by."""
        found = [("network", self.network), ("average", self.average)]
        if self.discriminator is not None:
            found.append(("discriminator", self.discriminator))
        return found

    def _verdicts(self, candidate: Tensor, pairs: PatchBatch) -> tuple[Tensor, Tensor]:
        """Return the logits of candidate and truth."""
        judge = self.discriminator
        assert judge is not None
        with self.autocast():
            fake, real = (
                judge(candidate, pairs.measured),
                judge(pairs.truth, pairs.measured),
            )
        return fake.float(), real.float()

    def _follow(self, number: int) -> None:
        """Move the running average."""
        decay = min(self.recipe.decay, (number + 1) / (number + 10))
        with torch.no_grad():
            past = dict(self.average.state_dict())
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    past[name].lerp_(value, 1 - decay)
                else:
                    past[name].copy_(value)

    def autocast(self) -> torch.autocast:
        """Compute in the number format of the device."""
        half = self.device.precision != "float32"
        dtype = getattr(torch, self.device.precision) if half else torch.bfloat16
        return torch.autocast(
            torch.device(self.device.kind).type, dtype=dtype, enabled=half
        )

    def _adam(
        self, parameters: Sequence[nn.Parameter], rate: float
    ) -> torch.optim.Adam:
        """Return an optimiser."""
        fused = self.device.kind.startswith("cuda")
        return torch.optim.Adam(parameters, lr=rate, fused=fused)


def _discriminator(recipe: Recipe, adversary: AdversaryConfig) -> nn.Module:
    """Make the discriminator of a recipe."""
    if adversary.kind == "plain":
        size = recipe.patch * recipe.factor
        return PlainDiscriminator(size, width=adversary.width)
    return PatchDiscriminator(
        recipe.factor, width=adversary.width, conditional=adversary.conditional
    )


def _has_triton() -> bool:
    """Tell whether networks can be compiled; in a viewer triton may be kept out."""
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return True
