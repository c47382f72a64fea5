"""All that changes while a generator trains: networks, optimisers, random numbers.

`Trainer.step` is one step of both networks; `tensors` and `restore` are its state.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_structsr.core.llvm_clash import keep_triton_out
from napari_structsr.engine.device import Device
from napari_structsr.errors import TrainingError
from napari_structsr.models.build import can_be_told
from napari_structsr.models.discriminator import PatchDiscriminator, PlainDiscriminator
from napari_structsr.training.checkpoint import (
    optimiser_tensors,
    restore_optimiser,
    select_tensors,
)
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
from napari_structsr.training.recipe import Recipe

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
        What it shall make of them, shape (N, 1, factor h, factor w).
    error
        Mean squared error of `target` itself against the truth, shape (N,).
    weight
        What a difference weighs.
    optics
        What a conditional network is told of them, see `PatchBatch`.
    """

    measured: Tensor
    target: Tensor
    error: Tensor
    weight: float
    optics: tuple[Tensor, ...] = ()

    def loss(self, result: Tensor) -> Tensor:
        """Return the loss of what is made of `measured`."""
        difference = ((result - self.target) ** 2).flatten(1).mean(dim=1)
        # In units of the error of the target: images that come out well are the first
        # to be spoilt, and the least seen in a mean of squares.
        return self.weight * (difference / (self.error + LEAST_ERROR)).mean()


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


def autocast(device: Device) -> torch.autocast:
    """Compute in the number format of a device."""
    half = device.precision != "float32"
    dtype = getattr(torch, device.precision) if half else torch.bfloat16
    return torch.autocast(torch.device(device.kind).type, dtype=dtype, enabled=half)


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
        self.recipe, self.device, self.network = recipe, device, network
        self._told = can_be_told(network)
        self._warm_up = warm_up
        if trained is None:
            network.train().requires_grad_(True)
        self._trained = list(network.parameters() if trained is None else trained)
        # Convolutions of few channels are faster with channels last, on CPU and GPU.
        network.to(device.kind).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.generator = torch.Generator(device.kind).manual_seed(recipe.seed)
        self.optimiser = self._make_adam(self._trained, recipe.rate)
        self.discriminator: nn.Module | None = None
        self.discriminator_optimiser: torch.optim.Adam | None = None
        adversary = recipe.adversary
        if adversary:
            self.discriminator = (
                PlainDiscriminator(recipe.patch * recipe.factor, width=adversary.width)
                if adversary.kind == "plain"
                else PatchDiscriminator(
                    recipe.factor,
                    width=adversary.width,
                    conditional=adversary.conditional,
                    told=adversary.told and recipe.optics is not None,
                )
            )
            self.discriminator.to(device.kind).to(memory_format=torch.channels_last)
            self.discriminator_optimiser = self._make_adam(
                list(self.discriminator.parameters()), adversary.discriminator_rate
            )
        losses = (recipe.loss, adversary.loss if adversary else None)
        self.features: dict[str, VGGContent | GaborTexture] = {}
        if any(loss.texture for loss in losses if loss):
            self.features["texture"] = GaborTexture().to(device.kind)
        if any(loss.content for loss in losses if loss):
            self.features["content"] = content_loss().to(device.kind)
        # On CUDA alone: torch compiles by triton there.
        compiles = device.kind.startswith("cuda") and _has_triton()
        self._forward = torch.compile(network) if compiles else network

    def step(
        self,
        batch: PatchBatch,
        *,
        number: int,
        progress: float,
        replay: ReplayBatch | None = None,
    ) -> dict[str, Tensor]:
        """Make step `number`; return the terms of its loss, on the device."""
        recipe = self.recipe
        phase = adversarial_progress(recipe, progress)
        adversary = recipe.adversary if phase is not None else None
        # Set by hand at each step: a scheduler would be more state to save.
        rate = learning_rate(recipe, progress, number, warm_up=self._warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

        # One pass over patches and replayed images: the network runs once a step.
        measured = batch.measured
        optics = batch.optics if self._told else ()
        if replay is not None:
            measured = torch.cat([measured, replay.measured])
            pairs = zip(optics, replay.optics, strict=True)
            optics = tuple(torch.cat(pair) for pair in pairs)
        measured = measured.contiguous(memory_format=torch.channels_last)
        with autocast(self.device):
            results = self._forward(measured, *optics).float()
        candidate = results[: len(batch.measured)]

        # The generator: terms against the truth, replay, and the adversarial term.
        weights = (adversary.loss if adversary else None) or recipe.loss
        terms = generator_terms(candidate, batch, weights, self.features)
        if replay is not None:
            terms["kept"] = replay.loss(results[len(candidate) :])
        if adversary and phase is not None and self.discriminator is not None:
            rise = min(1.0, phase / adversary.rise) if adversary.rise else 1.0
            # Gradients pass through the discriminator, and leave its weights alone.
            self.discriminator.requires_grad_(False)
            fake, real = self._discriminate(candidate, batch)
            loss = adversarial_loss(fake, real, relativistic=adversary.relativistic)
            terms["adversarial"] = adversary.weight * rise * loss
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        # One patch with a bright speck would otherwise throw the weights far off.
        nn.utils.clip_grad_norm_(self._trained, _LARGEST_GRADIENT)
        self.optimiser.step()

        # The discriminator, on the same images, detached from the generator.
        optimiser = self.discriminator_optimiser
        if adversary and self.discriminator is not None and optimiser is not None:
            self.discriminator.requires_grad_(True)
            fake, real = self._discriminate(candidate.detach(), batch)
            loss = discriminator_loss(fake, real, relativistic=adversary.relativistic)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            terms["discriminator"] = loss
        self._update_average(number)
        return {name: value.detach() for name, value in terms.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Return everything on which the next step depends, by name."""
        # Names are part of the file format: a checkpoint of an earlier version fits.
        found = {"random": self.generator.get_state()}
        found |= optimiser_tensors(self.optimiser, "optimiser")
        if self.discriminator_optimiser:
            found |= optimiser_tensors(self.discriminator_optimiser, "critic")
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
                module.load_state_dict(select_tensors(tensors, prefix))
            restore_optimiser(self.optimiser, tensors, "optimiser")
            if self.discriminator_optimiser:
                restore_optimiser(self.discriminator_optimiser, tensors, "critic")
            self.generator.set_state(tensors["random"])
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise TrainingError(
                f"the checkpoint does not fit the recipe or the device ({error}); go "
                "on with the recipe and the device it was made with"
            ) from error

    def _modules(self) -> list[tuple[str, nn.Module]]:
        """Return the networks with the prefix of their tensors."""
        found = [("network", self.network), ("average", self.average)]
        if self.discriminator is not None:
            found.append(("discriminator", self.discriminator))
        return found

    def _discriminate(
        self, candidate: Tensor, batch: PatchBatch
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of candidate and truth."""
        discriminator = self.discriminator
        assert discriminator is not None
        with autocast(self.device):
            fake = discriminator(candidate, batch.measured, *batch.optics)
            real = discriminator(batch.truth, batch.measured, *batch.optics)
        return fake.float(), real.float()

    def _update_average(self, number: int) -> None:
        # The first steps weigh more, or the average would hold on to untrained weights.
        decay = min(self.recipe.decay, (number + 1) / (number + 10))
        with torch.no_grad():
            past = dict(self.average.state_dict())
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    past[name].lerp_(value, 1 - decay)
                else:  # counters of normalisation layers
                    past[name].copy_(value)

    def _make_adam(
        self, parameters: Sequence[nn.Parameter], rate: float
    ) -> torch.optim.Adam:
        keep_triton_out()
        fused = self.device.kind.startswith("cuda")
        return torch.optim.Adam(parameters, lr=rate, fused=fused)


def _has_triton() -> bool:
    """Tell whether networks can be compiled; in a viewer triton may be kept out."""
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return True
