"""What a fine-tuning reports besides the events of every job, and how it is paused."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from napari_structsr.engine.events import Cancel, Event
from napari_structsr.finetuning.validation import TilePreview


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


class Pause(Cancel):
    """A wish to pause, checked before each step; called from any thread."""

    resume = Cancel.clear

    def hold(self, cancel: Cancel) -> None:
        """Return when the job may go on, or was cancelled."""
        while self and not cancel:
            # In short waits: nothing wakes for either of two events.
            time.sleep(0.1)
