"""Training from scratch: from a recipe and a folder of images to a model.

The folder of a training holds

* ``NAME-xF.safetensors`` and its card, the model as it stands, usable at any time;
* ``checkpoint.safetensors``, from which it goes on;
* ``curves.csv`` and ``curves.png``.

Each file is replaced as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    Noted,
    Progressed,
    Started,
    Warned,
)
from napari_structsr.engine.failures import yield_failures
from napari_structsr.errors import TrainingError
from napari_structsr.io.locks import lock_folder
from napari_structsr.io.weights import write_bundle
from napari_structsr.models.build import build_network
from napari_structsr.models.card import ModelCard
from napari_structsr.models.model import SRModel
from napari_structsr.training.cards import make_card
from napari_structsr.training.drawn_planes import draw_planes
from napari_structsr.training.monitor import BusyMeter
from napari_structsr.training.patch_sampler import (
    MARGIN,
    ImageSampler,
    PatchBatch,
    draw_batch,
    load_planes,
    split_planes,
)
from napari_structsr.training.recipe import Recipe
from napari_structsr.training.session import Session
from napari_structsr.training.settings import (
    TrainingPlan,
    TrainingSettings,
    choose_training_device,
)
from napari_structsr.training.trainer import Trainer, learning_rate
from napari_structsr.training.validation import Validation
from napari_structsr.training.varied_optics import WIDE_MARGIN, draw_varied_batch
from napari_structsr.training.varied_truths import add_smaller_copies
from napari_structsr.zoo.catalogue import load_model

_CHECK_EVERY = 25  # steps
_DRAWN_SIDE = 384  # pixels


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    settings: TrainingSettings | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Event]:
    """Train a generator.

    Parameters
    ----------
    recipe
        What is trained, and how.
    data
        Folder with a folder of PNG and TIFF images for each source.
    out
        Folder of the training; made if it is missing.
    settings
        Choices of the user.
    cancel
        Checked before each step; what was reached is saved.

    Yields
    ------
    Event
        `Started` first, then `Progressed`, `Noted` and `Warned`, and one of
        `Finished` (with the path of the model), `Cancelled` or `Failed` last.
    """
    cancel = cancel if cancel is not None else Cancel()
    events = _run(recipe, data, out, settings or TrainingSettings(), cancel)
    yield from yield_failures(events, f"training {recipe.name}")


def _run(
    recipe: Recipe, data: Path, out: Path, settings: TrainingSettings, cancel: Cancel
) -> Iterator[Event]:
    with lock_folder(out):
        yield from _train(recipe, data, out, settings, cancel)


def _train(
    recipe: Recipe, data: Path, out: Path, settings: TrainingSettings, cancel: Cancel
) -> Iterator[Event]:
    if not settings.resume and (out / "checkpoint.safetensors").exists():
        raise TrainingError(
            f"{out} holds a training already; go on with it by --resume, or choose "
            "another folder"
        )
    session = _ImageSession(recipe, data, out, settings)
    if settings.resume:
        session.restore()
    yield Started(recipe.steps, session.plan())
    if session.warning:
        yield Warned(session.warning)
    if session.baseline:
        yield Noted(f"bicubic, held out: {session.baseline}")

    saved = time.monotonic()
    while session.progress < 1 and not cancel:
        session.make_step()
        if session.step % _CHECK_EVERY == 0:
            loss = session.check_loss()
            total = max(recipe.steps, session.step)  # the clock may allow for more
            yield Progressed(session.step, total, f"training, loss {loss:.3g}")
        # By the clock: neither scores nor saving draw random numbers, so that the
        # weights do not depend on when this is.
        if time.monotonic() - saved >= settings.save_every:
            yield Noted(session.save())
            saved = time.monotonic()

    if session.step:
        yield Noted(session.save())
        yield from session.draw_curves()
    if cancel:
        yield Cancelled(session.step)
    else:
        yield Finished(session.bundle)


class _ImageSession(Session):
    """A training on true images, which the forward model measures."""

    AIM = "recipe"

    def __init__(
        self, recipe: Recipe, data: Path, out: Path, settings: TrainingSettings
    ) -> None:
        self.recipe = recipe
        self.bundle = out / f"{recipe.name}-x{recipe.factor}.safetensors"
        torch.manual_seed(recipe.seed)  # of the first weights
        self.parent = _load_parent(recipe)
        margin = WIDE_MARGIN if recipe.optics else MARGIN
        smallest = (recipe.patch + 2 * margin) * recipe.factor
        planes = load_planes(data, smallest=smallest)
        self.planes, self.held_out = split_planes(planes)
        if recipe.drawn:
            # none is held out: of smooth ones the share of fine detail means nothing
            side = max(_DRAWN_SIDE, smallest)
            drawn = draw_planes(recipe.drawn, side=side, seed=recipe.seed)
            self.planes += drawn
            planes += drawn
        self.sources = list(dict.fromkeys(plane.source for plane in planes))
        if recipe.optics:
            self.planes = add_smaller_copies(
                self.planes, recipe.optics, smallest=smallest
            )
        # Made on the CPU, whatever the device: weights of a seed are the same
        # everywhere.
        model = self._make_first_model()
        self.device, self.warning = choose_training_device(
            settings.device, settings.precision, model
        )
        super().__init__(
            Trainer(recipe, model.network, self.device),
            out,
            minutes=settings.minutes,
            steps=recipe.steps,
            remedy=f"the weights saved last are in {self.bundle}; try a lower rate or "
            "a lower adversarial weight",
        )
        self.sampler = ImageSampler(self.planes, self.device.kind)
        self.validation = Validation(self.held_out, recipe, self.device.kind)
        # Scored once: interpolation does not train.
        self.baseline = self.validation.baseline() if self.validation else None
        self.busy = BusyMeter(self.device.kind)

    def aim(self) -> dict[str, Any]:
        """Return the recipe."""
        return self.recipe.model_dump(mode="json")

    def plan(self) -> TrainingPlan:
        """Return what is going to be done."""
        minutes, steps = self.minutes, self.recipe.steps
        return TrainingPlan(
            f"{minutes:g} minutes" if minutes else f"{steps} steps",
            f"{len(self.planes)} planes, {len(self.held_out)} held out",
            done=self.step,
            minutes=minutes,
            device=self.device,
        )

    def make_step(self) -> None:
        """Draw patches and train on them."""
        progress = self.progress
        with self.clock(), self.busy:
            batch = self._draw_batch()
            terms = self.trainer.step(batch, number=self.step, progress=progress)
        self.end_step(terms)

    def _draw_batch(self) -> PatchBatch:
        recipe, generator = self.recipe, self.trainer.generator
        if recipe.optics:
            return draw_varied_batch(
                self.sampler,
                recipe.optics,
                factor=recipe.factor,
                patch=recipe.patch,
                count=recipe.batch,
                generator=generator,
            )
        return draw_batch(
            self.sampler,
            recipe,
            count=recipe.batch,
            number=self.step,
            generator=generator,
        )

    def curve_values(self) -> dict[str, float]:
        """Return what stands beside the loss in the curves."""
        return {
            "megapixels": self._megapixels,
            "seconds": self.seconds,
            "rate": learning_rate(self.recipe, self.progress, self.step),
        }

    def save(self) -> str:
        """Score and save what was reached; return how it stands, in words."""
        loss = self.check_loss()  # first: nothing is saved of a training that broke
        words = [f"step {self.step} ({self.progress:.0%}), loss {loss:.3g}"]
        if self.validation:
            scores = self.validation.score(self.trainer.average)
            self.curves.add(self.step, asdict(scores))
            words.append(f"held out: {scores}")
        if self.seconds:
            words.append(f"{self.step / self.seconds:.1f} steps/s")
        words.append(str(self.busy))
        how = (
            f"{self.step} steps of {self.recipe.batch} patches of {self.recipe.patch} "
            f"x {self.recipe.patch} measured pixels, {self.seconds / 60:.0f} minutes "
            f"on {self.device.label} in {self.device.precision}"
        )
        # Without the weights of VGG19 another measure stands in: the card says which.
        if content := self.trainer.features.get("content"):
            how = f"content is the distance of {content.label}; {how}"
        card = self._make_card(how, megapixels=self._megapixels)
        weights = self.trainer.average.state_dict()
        write_bundle(self.bundle, card.model_dump(exclude={"sha256"}), weights)
        self.write()
        return "; ".join(words)

    def draw_curves(self) -> Iterator[Event]:
        """Draw the curves, or say why they are not drawn."""
        baseline = asdict(self.baseline) if self.baseline else {}
        try:
            self.curves.draw(self.folder / "curves.png", baseline=baseline)
        except ImportError:
            yield Warned(
                "the curves were not drawn: matplotlib is missing; install it with "
                "pip install 'napari-structsr[report]'"
            )

    @property
    def _megapixels(self) -> float:
        """Measured pixels seen, in millions."""
        return self.step * self.recipe.batch * self.recipe.patch**2 / 1e6

    def _make_card(self, how: str, *, megapixels: float) -> ModelCard:
        return make_card(
            self.recipe,
            sources=self.sources,
            parent=self.parent.card if self.parent else None,
            megapixels=megapixels,
            how=how,
        )

    def _make_first_model(self) -> SRModel:
        network, parent = self.recipe.network, self.parent
        weights = parent.network.state_dict() if parent else {}
        known = parent and (
            parent.card.architecture,
            parent.card.options,
            parent.card.factor,
        )
        if known != (network.architecture, network.options, self.recipe.factor):
            # what the parent lacks is fresh: the optics, or the tail of another factor
            fresh = build_network(
                network.architecture, factor=self.recipe.factor, options=network.options
            ).state_dict()
            weights = {
                name: _take_weights(weights.get(name), value)
                for name, value in fresh.items()
            }
        card = self._make_card("not trained yet", megapixels=0.0)
        return SRModel(card, weights)


def _take_weights(known: Tensor | None, fresh: Tensor) -> Tensor:
    """Return the weights of a parent in the shape of a fresh layer, else the fresh."""
    if known is None or known.shape == fresh.shape:
        return fresh if known is None else known
    if known.ndim == 4 and (len(known), *known.shape[2:]) == (
        len(fresh),
        *fresh.shape[2:],
    ):
        # a layer that sees more than the parent's did, and at first nothing of it
        wider = torch.zeros_like(fresh)
        wider[:, : known.shape[1]] = known
        return wider
    return fresh


def _load_parent(recipe: Recipe) -> SRModel | None:
    """Load the model that a recipe starts from, and check that it fits."""
    if recipe.start is None:
        return None
    parent = load_model(recipe.start, factor=recipe.start_factor or recipe.factor)
    found = (parent.card.architecture, parent.card.options)
    wanted = (recipe.network.architecture, recipe.network.options)
    # a conditional generator is a residual generator with a network beside it, filters
    # are beside the first layer, and what is told is more channels for it
    added = ("filters", "told")
    options = {key: value for key, value in wanted[1].items() if key not in added}
    untold = wanted[0].replace("conditional", "residual")
    if found not in product((wanted[0], untold), (wanted[1], options)):
        raise TrainingError(
            f"the recipe {recipe.name} trains {wanted[0]} {wanted[1]}, but "
            f"{recipe.start} is {found[0]} {found[1]}; start from a model of the "
            "same architecture, or anew"
        )
    return parent
