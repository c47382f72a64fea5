"""What a fine-tuning reports besides the events of every job, and how it is paused."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from napari_structsr.engine.events import Cancel, Event
from napari_structsr.finetuning.validation import TilePreview

__all__ = ["Pause", "Previewed", "Scored", "TuningPlan"]


@dataclass(frozen=True)
class Scored(Event):
    """Scores on the regions for validation.

    Parameters
    ----------
    step, seconds
        When.
    values
        Means over the tiles, by method ("bicubic", "parent", "adapted") and measure
        ("psnr" in dB, "ssim", "gradient_error").
    drift
        dB that the adapted model loses on images of its parent's own kind.
    share
        How far it goes from the weights of its parent to the trained ones, so that the
        drift stays below its limit.
    kept
        Whether these are the best so far: the weights that are kept.
    """

    step: int
    seconds: float
    values: Mapping[str, Mapping[str, float]]
    drift: float
    share: float
    kept: bool


@dataclass(frozen=True)
class Previewed(Event):
    """A tile of the regions for validation, as it is upscaled now."""

    step: int
    view: TilePreview


@dataclass(frozen=True)
class TuningPlan:
    """What a fine-tuning is going to do.

    Parameters
    ----------
    parent
        Name of the model that it begins with.
    steps, minutes
        Length: one of the two.
    done
        Steps made before.
    pairs, tiles
        Pairs of the user, and tiles for validation.
    trained
        Share of the weights that is trained.
    adversarial
        Whether there is an adversarial phase.
    device, precision
        Where, and in which number format.
    """

    parent: str
    steps: int | None
    minutes: float | None
    done: int
    pairs: int
    tiles: int
    trained: float
    adversarial: bool
    device: str
    precision: str

    def __str__(self) -> str:
        if self.minutes is None:
            length = f"{self.steps} steps"
        elif self.minutes < 1:
            length = f"{60 * self.minutes:.0f} seconds"
        else:
            length = f"{self.minutes:.3g} minute{'' if self.minutes == 1 else 's'}"
        again = f" ({self.done} steps made before)" if self.done else ""
        pairs = f"{self.pairs} {'pair' if self.pairs == 1 else 'pairs'}"
        tiles = f"{self.tiles} {'tile' if self.tiles == 1 else 'tiles'}"
        return (
            f"{length}{again} on {pairs}, {tiles} for validation; "
            f"{self.trained:.0%} of the weights of {self.parent} are trained"
            f"{', at the end against a discriminator' if self.adversarial else ''}, "
            f"{self.device} in {self.precision}"
        )


class Pause:
    """A wish to pause, checked before each step; set from any thread."""

    def __init__(self) -> None:
        self._running = threading.Event()
        self._running.set()

    def __call__(self) -> None:
        """Ask the job to pause."""
        self._running.clear()

    def resume(self) -> None:
        """Let the job go on."""
        self._running.set()

    def __bool__(self) -> bool:
        return not self._running.is_set()

    def wait(self, cancel: Cancel) -> None:
        """Return when the job may go on, or was cancelled."""
        while self and not cancel:
            # In short waits: a cancel does not set this event.
            self._running.wait(0.1)
