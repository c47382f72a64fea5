"""A fine-tuning in its folder: what is drawn, stepped, scored, kept and saved.

Besides checkpoint and curves the folder holds

* ``config.json``, what was asked for, and ``pairs.safetensors``, what it is trained
  on, so that it goes on without the images;
* ``run.json``, how it stands, for `finetuning.runs`;
* ``NAME-xF.safetensors`` and its card, once it is finished.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_structsr.engine.device import is_out_of_memory
from napari_structsr.finetuning.config import FineTuneConfig, write_fine_tuning
from napari_structsr.finetuning.drift import DriftLimiter
from napari_structsr.finetuning.events import Previewed, Scored
from napari_structsr.finetuning.low_rank import (
    make_trainable,
    merge_weights,
)
from napari_structsr.finetuning.pair_optics import describe_pair_optics
from napari_structsr.finetuning.pair_sampler import PairSampler, choose_patch_side
from napari_structsr.finetuning.recipe import make_tuning_recipe
from napari_structsr.finetuning.runs import RunSummary, write_run
from napari_structsr.finetuning.split import Split
from napari_structsr.finetuning.store import write_pairs
from napari_structsr.finetuning.validation import PairValidation
from napari_structsr.finetuning.verdict import average_tiles
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.training.checkpoint import blame_checkpoint
from napari_structsr.training.monitor import BestWeights
from napari_structsr.training.session import Session
from napari_structsr.training.settings import TrainingPlan, choose_training_device
from napari_structsr.training.trainer import Trainer, adversarial_progress

_WARM_UP = 30  # steps
_SCORES = 12  # of a fine-tuning, at least
_LONGEST = 30.0  # seconds between two scores
_MOST_STEPS = 500  # between two scores
_WITHOUT_EFFECT = {"device", "precision", "out", "pairs", "microscope"}


class TuningSession(Session):
    """A fine-tuning.

    Parameters
    ----------
    config, pairs, split, model
        As in `iter_fine_tune`.
    folder
        Of the fine-tuning.

    Attributes
    ----------
    batch
        Patches of a step, as far as memory allows.
    limiter
        Keeps the drift from the parent below its limit.
    warning
        What should be said about the device, or None.
    best
        Weights of the best scores so far.
    """

    AIM = "aim"

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
        self.batch = config.batch
        self.bundle = folder / f"{config.name}-x{config.factor}.safetensors"
        # A copy: the network of the caller stays on its device, as it is.
        self.parent = SRModel(model.card, model.network.state_dict())
        self.device, self.warning = choose_training_device(
            config.device, config.precision, self.parent
        )
        kind = self.device.kind
        patch = choose_patch_side(split.training, config.patch)
        self.sampler = PairSampler(
            pairs, split.training, patch=patch, device=kind, parent=self.parent
        )
        forward_model = self.sampler.forward_model
        recipe = make_tuning_recipe(
            config, model.card, patch=patch, psf_sigma=forward_model.psf_sigma
        )
        if patch <= 2 * forward_model.reach + 4:
            # Nothing of a patch is left once its blurred border is cut off: the data
            # term would be a mean over no pixels.
            loss = recipe.loss.model_copy(update={"data": 0.0})
            recipe = recipe.model_copy(update={"loss": loss})
        self.recipe = recipe
        # The parent itself is needed until the end, for replay and scores.
        network = copy.deepcopy(self.parent.network)
        trained = make_trainable(network, config.mode, device=kind)
        super().__init__(
            Trainer(recipe, network, self.device, trained=trained, warm_up=_WARM_UP),
            folder,
            minutes=config.minutes,
            steps=config.steps or 1,
            remedy="the parent is as it was; try a lower rate or other pairs",
        )
        count = sum(value.numel() for value in network.parameters())
        self.trained = sum(value.numel() for value in trained) / count
        self.validation = PairValidation(pairs, split, parent=self.parent, device=kind)
        self.limiter = DriftLimiter(
            self.parent,
            recipe,
            truths=[block.truth(pairs[block.pair]) for block in split.training],
            limit=config.largest_loss,
            weight=config.replay_weight,
            device=self.device,
        )
        self.best = BestWeights()
        # What lies between two scores.
        every = self.end / _SCORES
        self._every = (
            min(every, _LONGEST) if self.minutes else min(math.ceil(every), _MOST_STEPS)
        )

    @property
    def counts(self) -> tuple[int, int]:
        """What is done, and what there is to do, in whole steps or seconds."""
        # A progress bar counts whole units, and may not run over its end.
        total = math.ceil(self.end)
        return min(int(self.done), total), total

    @property
    def out_of_patience(self) -> bool:
        """Whether scores have not risen for so long that going on is in vain."""
        return 0 < self.config.patience <= self.best.stale

    @property
    def is_score_due(self) -> bool:
        """Whether it is time for scores."""
        # Of a length in steps, steps alone decide: a killed run then goes on to the
        # same numbers.
        return self.done >= self._every * (self.best.seen + 1)

    def aim(self) -> dict[str, Any]:
        """Return all that decides the result, to compare with an earlier run."""
        choices = self.config.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
        choices["guard"] = choices.pop("gap")  # as checkpoints have always named it
        blocks = [
            [[block.pair, *block.rows, *block.columns] for block in part]
            for part in (self.split.training, self.split.validation)
        ]
        return choices | {
            "images": [pair.fingerprint for pair in self.pairs],
            "split": blocks,
            "parent weights": self.parent.card.sha256,
        }

    def plan(self) -> TrainingPlan:
        """Return what is going to be done."""
        minutes, pairs = self.minutes, len(self.pairs)
        if minutes is None:
            length = f"{self.config.steps} steps"
        elif minutes < 1:
            length = f"{60 * minutes:.0f} seconds"
        else:
            length = f"{minutes:.3g} minute{'' if minutes == 1 else 's'}"
        tiles = len(self.validation.pair_correlation)
        work = (
            f"{pairs} {'pair' if pairs == 1 else 'pairs'}, "
            f"{tiles} {'tile' if tiles == 1 else 'tiles'} for validation; "
            f"{self.trained:.0%} of the weights of {self.parent.card.name} are trained"
        )
        if told := describe_pair_optics(self.pairs, self.parent):
            work += f"; {told}"
        if self.recipe.adversary:
            work += ", at the end against a discriminator"
        return TrainingPlan(
            length, work, done=self.step, minutes=minutes, device=self.device
        )

    def make_step(self) -> str | None:
        """Draw patches and train on them; return a warning if the batch was halved.

        Raises
        ------
        RuntimeError
            Of torch, also if memory is too short for one patch.
        """
        warning = None
        with self.clock():
            while True:
                before = self.trainer.generator.get_state()
                try:
                    self._try_step()
                    break
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error) or self.batch < 2:
                        raise
                # Out of the except block: its traceback would keep tensors alive.
                self.trainer.generator.set_state(before)
                self.device.release()
                self.batch //= 2
                warning = (
                    f"memory was short: the batch is {self.batch} patches from here on"
                )
        return warning

    def score(self) -> tuple[Scored, Previewed]:
        """Score what was reached, and keep it if it is the best so far."""
        with self.clock():
            limited = self.limiter.limit(merge_weights(self.trainer.average))
            scores = self.validation.compare(self.limiter.network)
            if self.step:  # the parent itself is not a result
                phase = adversarial_progress(self.recipe, self.progress)
                psnr = float(scores["adapted"][:, 0].mean())
                self.best.update(limited.weights, psnr, phase=int(phase is not None))
                self.limiter.adjust_weight(limited)
            event = Scored(
                step=self.step,
                seconds=self.seconds,
                values=average_tiles(scores),
                drift=limited.drift,
                share=limited.share,
                kept=self.best.stale == 0,
            )
            row = {f"adapted {name}": x for name, x in event.values["adapted"].items()}
            row |= {"drift": limited.drift, "share": limited.share}
            self.curves.add(self.step, row)
            tile = self.validation.preview(self.limiter.network)
        return event, Previewed(self.step, tile)

    def create_folder(self) -> None:
        """Write what a fine-tuning begins with, all of it or nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            # First: a run that is killed after it is known, and can be begun again.
            self.write_state("begun")
            write_fine_tuning(self.folder / "config.json", self.config)
            write_pairs(self.folder / "pairs.safetensors", self.pairs, self.split)
        except BaseException:
            for name in ("pairs.safetensors", "config.json", "run.json"):
                (self.folder / name).unlink(missing_ok=True)
            raise

    def save(self) -> None:
        """Write all that the next step depends on."""
        with self.clock():
            self.write(
                self.best.tensors(),
                batch=self.batch,
                weight=self.limiter.weight,
                best=self.best.facts(),
            )

    def restore(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Go to the step that was saved last; return its tensors and facts."""
        tensors, facts = super().restore()
        with blame_checkpoint(self.checkpoint):
            self.best.restore(tensors, facts["best"])
            self.batch, self.limiter.weight = (
                int(facts["batch"]),
                float(facts["weight"]),
            )
        return tensors, facts

    def write_state(self, state: Any, **verdict: Any) -> None:
        """Write how the fine-tuning stands, for `finetuning.runs`."""
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

    def _try_step(self) -> None:
        """Make a step with the batch as it is."""
        progress, random = self.progress, self.trainer.generator
        # At least one patch of the user is drawn, whatever the share.
        count = min(round(self.batch * self.config.replay), self.batch - 1)
        replay = self.limiter.replay.draw(
            count, number=self.step, weight=self.limiter.weight, generator=random
        )
        count = self.batch - (len(replay.measured) if replay else 0)
        batch = self.sampler.draw(count, random)
        self.end_step(
            self.trainer.step(batch, number=self.step, progress=progress, replay=replay)
        )
