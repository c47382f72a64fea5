"""From what the user wants to train to what steps 2 and 3 show: no Qt, no napari."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Mode = Literal["auto", "whole", "efficient"]

BUDGETS: dict[float, tuple[str, str]] = {
    2.0: ("2 min", "A first look."),
    10.0: ("10 min", "Usually enough for a few regions."),
    60.0: ("1 h", "For many regions, or a large model."),
    0.0: ("Own", "Any number of minutes."),
}
MODES: dict[Mode, tuple[str, str]] = {
    "auto": ("Auto", "All weights, or a few for a large model without a GPU."),
    "whole": ("All weights", "Learns most, and needs most time and memory."),
    "efficient": ("Few weights", "A small change of each layer; quick on a CPU."),
}
METHODS = ("bicubic", "parent", "adapted")


@dataclass(frozen=True)
class ScoreMeasure:
    """A score of the validation regions: how it is called, written and compared."""

    title: str
    tip: str
    digits: int
    more_is_better: bool = True


MEASURES = {
    "psnr": ScoreMeasure(
        "PSNR (dB)",
        "Peak signal-to-noise ratio against the truth; more is better",
        digits=2,
    ),
    "ssim": ScoreMeasure(
        "SSIM", "Structural similarity with the truth, 1 at best.", digits=4
    ),
    "gradient_error": ScoreMeasure(
        "Structure error",
        "How far gradients are from those of the truth; 0 at best, 1 for a flat image.",
        digits=3,
        more_is_better=False,
    ),
}


@dataclass(frozen=True)
class Parent:
    """A model to begin with: its name, factor, and what it is."""

    name: str
    factor: int
    description: str = ""

    @property
    def label(self) -> str:
        """Name and factor."""
        return f"{self.name} ×{self.factor}"


@dataclass(frozen=True)
class TrainChoice:
    """How to train: names of the parent and the new model, rest as `FineTuneConfig`."""

    parent: str = "faithful"
    name: str = ""
    minutes: float = 10.0
    mode: Mode = "auto"
    replay: float = 0.5


@dataclass(frozen=True)
class TrainState:
    """What the second step shows.

    Parameters
    ----------
    choice
        The wish, as far as it can be granted.
    parents
        Models, and why the pairs cannot train one; None if they can.
    start, pause, cancel, save
        Why the button cannot work; None if it can.
    pauses
        Whether the pause button pauses; else it resumes.
    """

    choice: TrainChoice
    parents: tuple[tuple[Parent, str | None], ...]
    start: str | None
    pause: str | None
    cancel: str | None
    save: str | None
    pauses: bool


def resolve_training(
    choice: TrainChoice,
    *,
    parents: Sequence[Parent],
    pairs: int,
    factor: int | None,
    split_obstacle: str | None,
    name_obstacle: str | None = None,
    unfinished: Collection[str] = (),
    preparing: bool = False,
    running: bool = False,
    paused: bool = False,
) -> TrainState:
    """Decide what the second step shows.

    Parameters
    ----------
    choice, parents
        What the form says, and all models that can be fine-tuned.
    pairs, factor
        How many pairs can be used, and their factor; None if there are none.
    split_obstacle, name_obstacle
        Why the split cannot be used, and a model not be called so, in words.
    unfinished
        Names of fine-tunings that lie in the way.
    preparing
        Whether pairs or the split are still being made.
    running, paused
        How the fine-tuning of this dock stands.
    """
    offered = tuple((one, _find_obstacle(one, factor)) for one in parents)
    names = [one.name for one, obstacle in offered if obstacle is None]
    # new pairs may have another factor than the parent had
    if choice.parent not in names and names:
        choice = replace(choice, parent=names[0])
    obstacle = None
    # in the order in which a user comes to these things
    if not pairs:
        obstacle = "There are no pairs yet: add some in step 1."
    elif preparing:
        obstacle = "The pairs are being prepared."
    elif split_obstacle:
        obstacle = split_obstacle
    elif not names:
        obstacle = f"No model of the factor {factor} can be fine-tuned."
    elif not choice.name.strip():
        obstacle = "Give the new model a name."
    elif choice.minutes <= 0:
        obstacle = "Give more than 0 minutes."
    elif name_obstacle:
        obstacle = name_obstacle
    elif choice.name.strip() in unfinished:
        obstacle = (
            f"A fine-tuning called {choice.name.strip()} is listed below: go on with "
            "it, remove it, or choose another name."
        )
    # saving a file does not touch the machine, and can be done meanwhile
    busy = "A fine-tuning is under way: pause or cancel it."
    idle = None if running else "Nothing is being trained."
    return TrainState(
        choice=choice,
        parents=offered,
        start=busy if running else obstacle,
        pause=idle,
        cancel=idle,
        save=obstacle,
        pauses=not paused,
    )


def _find_obstacle(parent: Parent, factor: int | None) -> str | None:
    if factor in (None, parent.factor):
        return None
    return (
        f"The pairs are ×{factor} and this model is ×{parent.factor}: to train it, "
        f"remove the pairs and add them again as ×{parent.factor} in step 1."
    )


def suggest_model_name(parent: str, taken: Collection[str]) -> str:
    """Suggest a name for a model to be."""
    taken = {name.lower() for name in taken}
    name, number = f"my-{parent}", 1
    while name.lower() in taken:  # names of models are names of files
        number += 1
        name = f"my-{parent}-{number}"
    return name


def resolve_verdict(
    *,
    finished: bool,
    recommended: bool,
    confirming: bool = False,
    busy: str | None = None,
) -> tuple[str | None, str]:
    """Return why a model cannot be decided about, and what the accept button says.

    `confirming`: the user has asked once to keep a model that is not recommended;
    `busy`: why nothing can be copied now.
    """
    nothing = None if finished else "There is no finished fine-tuning to decide about."
    text = "Keep it anyway" if confirming and not recommended else "Accept"
    return nothing or busy, text
