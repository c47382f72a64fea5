"""A training in its folder: what training from scratch and fine-tuning share.

The folder holds ``checkpoint.safetensors``, from which a training goes on number by
number, and ``curves.csv``. When to step, to score and to save is decided by the loops,
`training.train` and `finetuning.fine_tune`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from napari_structsr.errors import TrainingError
from napari_structsr.training.checkpoint import (
    blame_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from napari_structsr.training.curves import Curves
from napari_structsr.training.monitor import LossMonitor
from napari_structsr.training.trainer import Trainer


class Session(ABC):
    """A trainer, its clock, its losses, and what it leaves in its folder.

    Parameters
    ----------
    trainer
        At its first step.
    folder
        Of the training.
    minutes, steps
        Length: minutes if there are any, otherwise steps.
    remedy
        What the user has got, and can do, when the loss breaks.

    Attributes
    ----------
    step, seconds
        Steps made, and the time they took, over all runs.
    end
        Length in seconds or in steps.
    """

    AIM: ClassVar[str]
    """Entry of the checkpoint that holds `aim`."""

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        *,
        minutes: float | None,
        steps: int,
        remedy: str,
    ) -> None:
        self.trainer, self.folder, self.minutes = trainer, folder, minutes
        self.end = 60 * minutes if minutes else float(steps)
        self.step, self.seconds = 0, 0.0
        self.checkpoint = folder / "checkpoint.safetensors"
        self.curves = Curves(folder / "curves.csv")
        self.monitor = LossMonitor(remedy)

    @property
    def done(self) -> float:
        """Seconds that are over if the clock decides, otherwise steps."""
        return self.seconds if self.minutes else self.step

    @property
    def progress(self) -> float:
        """Share of the training that is over."""
        return self.done / self.end

    @abstractmethod
    def aim(self) -> dict[str, Any]:
        """Return all that decides the result, to compare with an earlier run."""

    def curve_values(self) -> dict[str, float]:
        """Return what stands beside the loss in the curves."""
        return {"seconds": self.seconds}

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Add the time of a block to that of the training."""
        # Not in a finally: the time of a step that failed is not that of a step.
        begin = time.monotonic()
        yield
        self.seconds += time.monotonic() - begin

    def end_step(self, terms: dict[str, Tensor]) -> None:
        """Count a step and take in the terms of its loss."""
        self.monitor.update(terms)
        self.step += 1

    def check_loss(self) -> float:
        """Check the loss, add it to the curves, and return that of the generator."""
        # Before anything is written: a loss that broke raises here.
        means = self.monitor.check(self.step)
        self.curves.add(self.step, self.curve_values() | means)
        return sum(value for name, value in means.items() if name != "discriminator")

    def write(
        self, tensors: Mapping[str, Tensor] | None = None, **facts: object
    ) -> None:
        """Write curves and checkpoint, with tensors and facts of the caller."""
        self.curves.write()
        write_checkpoint(
            self.checkpoint,
            self.trainer.tensors() | dict(tensors or {}),
            {"step": self.step, "seconds": self.seconds, self.AIM: self.aim()} | facts,
        )

    def restore(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Go to the step that was written last; return its tensors and facts.

        Raises
        ------
        TrainingError
            If there is nothing, or it was made for something else.
        """
        tensors, facts = read_checkpoint(self.checkpoint)
        with blame_checkpoint(self.checkpoint):
            before, now = facts[self.AIM], self.aim()
            changed = [name for name in now if before.get(name) != now[name]]
        if changed:
            raise TrainingError(
                f"the training in {self.folder} was begun with something else: "
                f"{', '.join(changed)} changed; go on with the same, or start anew in "
                "another folder"
            )
        self.trainer.restore(tensors)
        self.step, self.seconds = facts["step"], facts["seconds"]
        # Rows after the checkpoint belong to steps that are going to be made again.
        self.curves.read(until=self.step)
        return tensors, facts
