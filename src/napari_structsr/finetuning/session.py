"""A fine-tuning and its folder: what is drawn, stepped, scored, kept and saved.

The folder holds

* ``config.json``, what was asked for, and ``pairs.safetensors``, what it is taught
  with, so that it goes on without the images;
* ``checkpoint.safetensors``, from which it goes on, and ``curves.csv``;
* ``run.json``, how it stands, for `finetuning.runs`;
* ``NAME-xF.safetensors`` and its card, once it is finished.

Scores are taken, and the checkpoint is written, at places that steps alone decide
where the length is given in steps: a killed run then goes on to the same numbers. When
to do what is decided by `fine_tune`.
"""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_structsr.engine.device import is_out_of_memory
from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.config import (
    FineTuneConfig,
    write_fine_tuning,
)
from napari_structsr.finetuning.drift import DriftLimiter
from napari_structsr.finetuning.events import Previewed, ResultScores, TuningPlan
from napari_structsr.finetuning.length import TuningLength
from napari_structsr.finetuning.low_rank import (
    choose_mode,
    make_trainable,
    measure_trained_share,
    merge_weights,
)
from napari_structsr.finetuning.pair_sampler import PairSampler, choose_patch_side
from napari_structsr.finetuning.recipe import make_tuning_recipe
from napari_structsr.finetuning.runs import RunSummary, write_run
from napari_structsr.finetuning.split import Split
from napari_structsr.finetuning.store import write_pairs
from napari_structsr.finetuning.validation import PairValidation
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.training.best_weights import BestWeights
from napari_structsr.training.checkpoint import read_checkpoint, write_checkpoint
from napari_structsr.training.curves import Curves
from napari_structsr.training.device import choose_training_device
from napari_structsr.training.monitor import LossMonitor
from napari_structsr.training.trainer import Trainer, adversarial_progress

__all__ = ["TuningSession"]

_WARM_UP = 30  # steps
_WHERE = {
    "device",
    "precision",
    "out",
    "pairs",
    "microscope",
}  # does not change the aim


class TuningSession:
    """A fine-tuning.

    Parameters
    ----------
    config
        What is asked for.
    pairs, split
        Of the user.
    model
        The parent; it is not changed.
    folder
        Of the fine-tuning.

    Attributes
    ----------
    step, seconds
        Steps made, and the time they took with their scores, over all runs.
    batch
        Patches of a step, as far as memory allows.
    guard
        Holds the model to what its parent did.
    warning
        What should be said about the device, or None.
    best
        Weights of the best scores so far.
    """

    def __init__(
        self,
        config: FineTuneConfig,
        pairs: Sequence[ImagePair],
        split: Split,
        model: SRModel,
        *,
        folder: Path,
    ) -> None:
        self.config, self.pairs, self.split = config, pairs, split
        self.folder, self.length = folder, TuningLength.of(config)
        self.step, self.seconds, self.batch = 0, 0.0, config.batch
        self.bundle = folder / f"{config.name}-x{config.factor}.safetensors"
        self.parent = SRModel(model.card, model.network.state_dict())
        self.device, self.warning = choose_training_device(
            config.device, config.precision, self.parent
        )
        kind = self.device.kind
        patch = choose_patch_side(split.training, config.patch)
        self.pool = PairSampler(pairs, split.training, patch=patch, device=kind)
        width = self.pool.forward_model.psf_sigma
        recipe = make_tuning_recipe(config, model.card, patch=patch, psf_sigma=width)
        if patch <= 2 * self.pool.forward_model.reach + 4:  # a crop without inside
            recipe = recipe.model_copy(
                update={"loss": recipe.loss.model_copy(update={"data": 0.0})}
            )
        self.recipe = recipe
        network = copy.deepcopy(self.parent.network)
        mode = choose_mode(config.mode, network, device=kind)
        trained = make_trainable(network, mode)
        self.trainer = Trainer(
            recipe, network, self.device, trained=trained, warm_up=_WARM_UP
        )
        self.trained = measure_trained_share(network)
        self.validation = PairValidation(
            pairs,
            split,
            parent=self.parent.network,
            radius=self.parent.radius,
            device=kind,
        )
        self.limiter = DriftLimiter(
            self.parent,
            recipe,
            pairs=pairs,
            blocks=split.training,
            limit=config.largest_loss,
            weight=config.replay_weight,
            device=self.device,
        )
        self.curves = Curves(folder / "curves.csv")
        self.monitor = LossMonitor(
            "the parent is as it was; try a lower rate or other pairs"
        )
        self.best = BestWeights()

    @property
    def progress(self) -> float:
        """Share of the fine-tuning that is over."""
        return self.length.progress(self.step, self.seconds)

    @property
    def count_done(self) -> tuple[int, int]:
        """What is done, and what there is to do, in steps or seconds."""
        return self.length.count_done(self.step, self.seconds)

    @property
    def out_of_patience(self) -> bool:
        """Whether scores have not risen for so long that going on is in vain."""
        return 0 < self.config.patience <= self.best.stale

    @property
    def due(self) -> bool:
        """Whether it is time for scores."""
        return self.length.due(self.step, self.seconds, seen=self.best.seen)

    def plan(self) -> TuningPlan:
        """Say what is going to be done."""
        return TuningPlan(
            parent=self.parent.card.name,
            steps=self.config.steps,
            minutes=self.config.minutes,
            done=self.step,
            pairs=len(self.pairs),
            tiles=len(self.validation.pair_correlation),
            trained=self.trained,
            adversarial=self.recipe.adversary is not None,
            device=self.device.label,
            precision=self.device.precision,
        )

    def make_step(self) -> str | None:
        """Draw patches and train on them; say so if the batch had to be made smaller.

        Raises
        ------
        RuntimeError
            Of torch, also if memory is too short for one patch.
        """
        begin = time.monotonic()
        said = None
        while True:
            before = self.trainer.generator.get_state()
            try:
                self._attempt()
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.batch < 2:
                    raise
            self.trainer.generator.set_state(before)
            self.device.release()
            self.batch //= 2
            said = f"memory was short: the batch is {self.batch} patches from here on"
        self.step += 1
        self.seconds += time.monotonic() - begin
        return said

    def check_loss(self) -> float:
        """Check the loss and add it to the curves; return it."""
        means = self.monitor.check(self.step)
        self.curves.add(self.step, {"seconds": self.seconds} | means)
        return sum(value for name, value in means.items() if name != "discriminator")

    def score(self) -> tuple[ResultScores, Previewed]:
        """Score what was reached, and keep it if it is the best so far."""
        begin = time.monotonic()
        admitted = self.limiter.admit(merge_weights(self.trainer.average))
        scores = self.validation.score(self.limiter.network)
        if self.step:
            phase = adversarial_progress(self.recipe, self.progress)
            height = float(scores[:, 0].mean())
            self.best.see(admitted.weights, height, phase=int(phase is not None))
            self.limiter.balance(admitted)
        event = ResultScores(
            step=self.step,
            seconds=self.seconds,
            values=self.table(scores),
            drift=admitted.drift,
            share=admitted.share,
            kept=self.best.stale == 0,
        )
        row = {
            f"adapted {name}": value for name, value in event.values["adapted"].items()
        } | {"drift": admitted.drift, "share": admitted.share}
        self.curves.add(self.step, row)
        preview = Previewed(self.step, self.validation.view(self.limiter.network))
        self.seconds += time.monotonic() - begin
        return event, preview

    def table(self, scores: npt.NDArray[np.float64]) -> dict[str, dict[str, float]]:
        """Name the means over the tiles, of all methods."""
        means = self.validation.means
        return {
            "bicubic": means(self.validation.bicubic),
            "parent": means(self.validation.parent),
            "adapted": means(scores),
        }

    def begin(self) -> None:
        """Make the folder, whole or not at all."""
        new = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_fine_tuning(self.folder / "config.json", self.config)
            write_pairs(self.folder / "pairs.safetensors", self.pairs, self.split)
            self.note("begun")
        except BaseException:
            if new:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def save(self) -> None:
        """Write all that the next step depends on."""
        begin = time.monotonic()
        facts: dict[str, Any] = {
            "step": self.step,
            "seconds": self.seconds,
            "batch": self.batch,
            "weight": self.limiter.weight,
            "best": self.best.facts(),
            "aim": self._aim(),
        }
        self.curves.write()
        path = self.folder / "checkpoint.safetensors"
        write_checkpoint(path, self.trainer.tensors() | self.best.tensors(), facts)
        self.seconds += time.monotonic() - begin

    def resume(self) -> None:
        """Take up what was saved last.

        Raises
        ------
        TrainingError
            If there is nothing, or it was made for something else.
        """
        tensors, facts = read_checkpoint(self.folder / "checkpoint.safetensors")
        aim, before = self._aim(), facts["aim"]
        before.setdefault("gap", before.get("guard"))  # its name in earlier versions
        changed = [name for name in aim if before.get(name) != aim[name]]
        if changed:
            raise TrainingError(
                f"the fine-tuning in {self.folder} was begun with another "
                f"{' and another '.join(changed)}; go on with the same, or start anew "
                "in another folder"
            )
        self.trainer.restore(tensors)
        self.best.restore(tensors, facts["best"])
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.batch, self.limiter.weight = facts["batch"], facts["weight"]
        self.curves.read(until=self.step)

    def note(self, state: Any, **verdict: Any) -> None:
        """Write how the fine-tuning stands."""
        write_run(
            RunSummary(
                folder=self.folder,
                name=self.config.name,
                factor=self.config.factor,
                parent=self.parent.card.name,
                state=state,
                step=self.step,
                seconds=self.seconds,
                **verdict,
            )
        )

    def _attempt(self) -> None:
        """Make a step with the batch as it is."""
        progress, random = self.progress, self.trainer.generator
        count = min(round(self.batch * self.config.replay), self.batch - 1)
        kept = self.limiter.draw(count, number=self.step, generator=random)
        count = self.batch - (len(kept.measured) if kept else 0)
        pairs = self.pool.draw(count, random)
        terms = self.trainer.step(pairs, number=self.step, progress=progress, kept=kept)
        self.monitor.update(terms)

    def _aim(self) -> Mapping[str, Any]:
        """Return all that decides the result, to compare with an earlier run."""
        choices = self.config.model_dump(mode="json", exclude=_WHERE)
        hashes = [pair.fingerprint for pair in self.pairs]
        blocks = [
            [[block.pair, *block.rows, *block.columns] for block in part]
            for part in (self.split.training, self.split.validation)
        ]
        sha = self.parent.card.sha256
        return choices | {"images": hashes, "split": blocks, "parent weights": sha}
