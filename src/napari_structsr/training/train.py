"""The training loop: from a recipe and a folder of images to a model.

It owns the order of things: load, step, look, score, save. A training is a generator
of events, like every long job. Its folder holds

* ``NAME-xF.safetensors`` and its card, the model as it stands, usable at any time;
* ``checkpoint.safetensors``, from which it goes on;
* ``curves.csv`` and ``curves.png``.

Each file is replaced as a whole. Numbers that are not finite, or a loss that runs
away, end the training before anything is saved.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

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
from napari_structsr.io.weights import write_bundle
from napari_structsr.models.build import build_network
from napari_structsr.models.card import ModelCard
from napari_structsr.models.model import SRModel
from napari_structsr.training.busy import BusyMeter
from napari_structsr.training.cards import card_of
from napari_structsr.training.checkpoint import read_checkpoint, write_checkpoint
from napari_structsr.training.curves import Curves
from napari_structsr.training.device import choose_training_device
from napari_structsr.training.monitor import LossMonitor
from napari_structsr.training.patch_sampler import (
    MARGIN,
    ImageSampler,
    draw_batch,
    load_planes,
    split,
)
from napari_structsr.training.recipe import Recipe
from napari_structsr.training.settings import TrainingPlan, TrainingSettings
from napari_structsr.training.trainer import Trainer, learning_rate
from napari_structsr.training.validation import Validation
from napari_structsr.zoo.catalogue import load_model

__all__ = ["train"]

_CHECK_EVERY = 25  # steps


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
        Looked at before each step; what was reached is saved.

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
    """Train; errors are raised."""
    _check_folder(out, resume=settings.resume)
    training = _Training(recipe, data, out, settings)
    if settings.resume:
        training.resume()
    out.mkdir(parents=True, exist_ok=True)
    yield Started(recipe.steps, training.plan())
    if training.warning:
        yield Warned(training.warning)
    if training.validation:
        yield Noted(f"bicubic, held out: {training.baseline}")

    saved = time.monotonic()
    while (progress := training.progress) < 1 and not cancel:
        training.make_step(progress)
        if training.step % _CHECK_EVERY == 0:
            loss = training.check_loss(progress)
            total = max(recipe.steps, training.step)
            yield Progressed(training.step, total, f"training, loss {loss:.3g}")
        if time.monotonic() - saved >= settings.save_every:
            yield Noted(training.save())
            saved = time.monotonic()

    if training.step:
        yield Noted(training.save())
        yield from training.draw()
    if cancel:
        yield Cancelled(training.step)
    else:
        yield Finished(training.bundle)


class _Training:
    """A training and its folder.

    Attributes
    ----------
    step, seconds
        Steps made, and the time they took, over all runs.
    """

    def __init__(
        self, recipe: Recipe, data: Path, out: Path, settings: TrainingSettings
    ) -> None:
        self.recipe = recipe
        self.minutes = settings.minutes
        self.step, self.seconds = 0, 0.0
        self.bundle = out / f"{recipe.name}-x{recipe.factor}.safetensors"
        self.checkpoint = out / "checkpoint.safetensors"
        torch.manual_seed(recipe.seed)  # of the first weights
        self.parent = _parent(recipe)
        smallest = (recipe.patch + 2 * MARGIN) * recipe.factor
        planes = load_planes(data, smallest=smallest)
        self.sources = list(dict.fromkeys(plane.source for plane in planes))
        self.planes, self.held_out = split(planes)
        model = self._first_model()
        self.device, self.warning = choose_training_device(
            settings.device, settings.precision, model
        )
        self.trainer = Trainer(recipe, model.network, self.device)
        self.pool = ImageSampler(self.planes, self.device.kind)
        self.validation = Validation(self.held_out, recipe, self.device.kind)
        self.baseline = self.validation.baseline() if self.validation else None
        self.monitor = LossMonitor(
            f"the weights saved last are in {self.bundle}; try a lower rate or a "
            "lower adversarial weight"
        )
        self.curves = Curves(out / "curves.csv")
        self.busy = BusyMeter(self.device.kind)

    @property
    def progress(self) -> float:
        """Share of the training that is over."""
        if self.minutes:
            return self.seconds / (60 * self.minutes)
        return self.step / self.recipe.steps

    def plan(self) -> TrainingPlan:
        """Say what is going to be done."""
        return TrainingPlan(
            steps=self.recipe.steps,
            done=self.step,
            minutes=self.minutes,
            planes=len(self.planes),
            held_out=len(self.held_out),
            device=self.device.label,
            precision=self.device.precision,
        )

    def make_step(self, progress: float) -> None:
        """Draw pairs and train on them."""
        begin = time.monotonic()
        recipe = self.recipe
        with self.busy:
            pairs = draw_batch(
                self.pool,
                recipe.data,
                factor=recipe.factor,
                patch=recipe.patch,
                count=recipe.batch,
                number=self.step,
                generator=self.trainer.generator,
            )
            terms = self.trainer.step(pairs, number=self.step, progress=progress)
        self.monitor.update(terms)
        self.step += 1
        self.seconds += time.monotonic() - begin

    def check_loss(self, progress: float) -> float:
        """Check the loss and add it to the curves; return it."""
        means = self.monitor.check(self.step)
        facts = {
            "megapixels": self._megapixels,
            "seconds": self.seconds,
            "rate": learning_rate(self.recipe, progress, self.step),
        }
        self.curves.add(self.step, facts | means)
        return sum(value for name, value in means.items() if name != "discriminator")

    def save(self) -> str:
        """Score and save what was reached; say how it stands."""
        loss = self.check_loss(self.progress)
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
        if content := self.trainer.features.get("content"):
            how = f"content is the distance of {content.label}; {how}"
        card = self._card(how)
        weights = self.trainer.average.state_dict()
        write_bundle(self.bundle, card.model_dump(exclude={"sha256"}), weights)
        self.curves.write()
        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "recipe": self.recipe.model_dump(mode="json"),
        }
        write_checkpoint(self.checkpoint, self.trainer.tensors(), facts)
        return "; ".join(words)

    def resume(self) -> None:
        """Take up what was saved last."""
        tensors, facts = read_checkpoint(self.checkpoint)
        now = self.recipe.model_dump(mode="json")
        changed = [name for name in now if facts["recipe"].get(name) != now[name]]
        if changed:
            raise TrainingError(
                f"the training in {self.checkpoint.parent} has another recipe: "
                f"{', '.join(changed)} changed; go on with the same one, or start "
                "anew in another folder"
            )
        self.trainer.restore(tensors)
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.curves.read(until=self.step)

    def draw(self) -> Iterator[Event]:
        """Draw the curves, if that can be done."""
        path = self.checkpoint.with_name("curves.png")
        try:
            self.curves.draw(
                path, baseline=asdict(self.baseline) if self.baseline else {}
            )
        except ImportError:
            yield Warned(
                "the curves were not drawn: matplotlib is missing; install it with "
                "pip install 'napari-structsr[report]'"
            )

    @property
    def _megapixels(self) -> float:
        """Measured pixels seen, in millions."""
        return self.step * self.recipe.batch * self.recipe.patch**2 / 1e6

    def _card(self, how: str) -> ModelCard:
        """Write the card of what was reached."""
        return card_of(
            self.recipe,
            sources=self.sources,
            parent=self.parent.card if self.parent else None,
            megapixels=self._megapixels,
            how=how,
        )

    def _first_model(self) -> SRModel:
        """Return the model to begin with: the parent's weights, or fresh ones."""
        network = self.recipe.network
        if self.parent:
            weights = self.parent.network.state_dict()
        else:
            weights = build_network(
                network.architecture,
                factor=self.recipe.factor,
                options=network.options,
            ).state_dict()
        return SRModel(self._card("not trained yet"), weights)


def _check_folder(out: Path, *, resume: bool) -> None:
    """Refuse to write over another training."""
    if not resume and (out / "checkpoint.safetensors").exists():
        raise TrainingError(
            f"{out} holds a training already; go on with it by --resume, or choose "
            "another folder"
        )


def _parent(recipe: Recipe) -> SRModel | None:
    """Load the model that a recipe starts from, and check that it fits."""
    if recipe.start is None:
        return None
    parent = load_model(recipe.start, factor=recipe.factor)
    found = (parent.card.architecture, parent.card.options)
    wanted = (recipe.network.architecture, recipe.network.options)
    if found != wanted:
        raise TrainingError(
            f"the recipe {recipe.name} trains {wanted[0]} {wanted[1]}, but "
            f"{recipe.start} is {found[0]} {found[1]}; start from a model of the "
            "same architecture, or anew"
        )
    return parent
