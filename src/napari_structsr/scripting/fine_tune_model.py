"""`sr.fine_tune`: from pairs of images to a model of the user's microscope."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_structsr.core.names import expand_home
from napari_structsr.engine.events import Cancel, Event, Noted
from napari_structsr.errors import ArgumentError
from napari_structsr.finetuning.config import FineTuneConfig, read_fine_tuning
from napari_structsr.finetuning.fine_tune import (
    iter_fine_tune,
    resume_fine_tuning,
    run_folder,
)
from napari_structsr.finetuning.load_pairs import load_pairs, take_pair
from napari_structsr.finetuning.runs import accept_run
from napari_structsr.finetuning.split import Split
from napari_structsr.finetuning.verdict import Verdict
from napari_structsr.io.open import open_source
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.geometry import measure_pixel_step, nearest_factor
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.pairs.register_pair import field_pair
from napari_structsr.scripting.arguments import (
    check_cancel,
    choose_model,
    make_settings,
    split_keywords,
)
from napari_structsr.scripting.old_forms import keep_old_fine_tune
from napari_structsr.scripting.progress import choose_display, run_to_end

_PAIRS = (
    "give a list of (low, high) images, a list of what sr.field_pair returns, or the "
    "file of a fine-tuning"
)


@dataclass(frozen=True)
class TunedModel:
    """A fine-tuned model; it is taken as `model` wherever a path of one is.

    Parameters
    ----------
    path
        File of its weights, with its card beside it.
    verdict
        Whether it is better than its parent, and in what.
    """

    path: Path
    verdict: Verdict

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return self.verdict.sentence


@keep_old_fine_tune
def fine_tune(
    pairs: Any,
    *,
    name: str | None = None,
    model: Any = None,
    factor: int | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    out: str | os.PathLike[str] | None = None,
    device: str | None = None,
    split: Split | None = None,
    resume: bool = False,
    accept: bool = False,
    replace: bool = False,
    progress: bool | None = None,
    cancel: Cancel | None = None,
    settings: FineTuneConfig | None = None,
    **choices: Any,
) -> TunedModel:
    """Fine-tune a model to pairs of measured and true images.

    Parameters
    ----------
    pairs
        A list of two images each, measured and true: paths, arrays, layers, or
        whatever else `open_source` takes. Or a list of what `field_pair` and
        `high_only_pair` return; or the file of a fine-tuning, as the dock saves it and
        ``structsr finetune`` takes it.
    name
        Of the model to be; "tuned" if nothing is said.
    model
        To begin with: a name, the path of a file, or what `load_model` returns; by
        default `faithful`, and `conditional` for the factor 1.
    factor
        1, 2 or 4; by default that of the pairs, and of images 1 where their pixels
        are of one size and 2 where not.
    minutes, steps
        Length, the one or the other; 3 minutes if nothing is said.
    out
        Folder of the fine-tuning; by default one among those of the user's models.
    device
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    split
        Which regions are trained and validated on; chosen if nothing is said.
    resume
        Go on with the fine-tuning in its folder.
    accept, replace
        Offer the model by its name from now on; also in the place of its namesake.
    progress, cancel
        As for `upscale`.
    settings
        All choices in one; single ones that are given beside it win.
    **choices
        Any other entry of `FineTuneConfig`, by its name.

    Returns
    -------
    TunedModel
        With ``path`` and ``verdict``.

    Raises
    ------
    ArgumentError
        If an argument is of a kind that is not taken; it is a TypeError as well.
    CancelError
        If it was cancelled; ``resume=True`` goes on.
    StructsrError
        What else keeps the model from being fine-tuned.

    Examples
    --------
    >>> import napari_structsr as sr
    >>> tuned = sr.fine_tune([("low.tif", "high.tif")], name="mine", minutes=2)
    >>> print(tuned.verdict.sentence)
    >>> sr.upscale("in.tif", "out.ome.zarr", model=tuned)
    """
    named = {
        "name": name,
        "factor": factor,
        "minutes": minutes,
        "steps": steps,
        "device": device,
        "out": None if out is None else str(expand_home(out).absolute()),
    }
    _, chosen = split_keywords("fine_tune", named | choices, FineTuneConfig)
    check_cancel(cancel)
    if isinstance(pairs, (str, os.PathLike)):
        settings, pairs = read_fine_tuning(Path(pairs)), None
    elif isinstance(pairs, FineTuneConfig):
        settings, pairs = pairs, None
    # one length wins over the other, whichever was said before
    if chosen.keys() & {"minutes", "steps"} and settings is not None:
        settings = settings.model_copy(update={"minutes": None, "steps": None})
    images = None if pairs is None else _check_pairs(pairs)
    if settings is None and images and "factor" not in chosen:
        chosen |= {"factor": _choose_factor(images)}
    if settings is None:
        chosen = {"name": "tuned"} | chosen
    if model is not None:
        chosen["parent"] = model.origin if isinstance(model, SRModel) else str(model)
    config = make_settings(FineTuneConfig, settings, chosen)
    cancel = cancel if cancel is not None else Cancel()

    def events() -> Iterator[Event]:
        if resume:
            yield from resume_fine_tuning(run_folder(config), cancel)
            return
        parent = choose_model(model or config.parent, factor=config.factor)
        found = load_pairs(config) if images is None else _make_pairs(images, config)
        for one in found:
            yield from (Noted(f"{one.name}: {note}") for note in one.notes)
        yield from iter_fine_tune(config, found, parent, cancel, split=split)

    finished = run_to_end(events(), choose_display(progress))
    if accept:
        accept_run(finished.output.parent, replace=replace)
    return TunedModel(finished.output, finished.record)


def _check_pairs(pairs: Any) -> list[Any]:
    """Return pairs as a list, each of them a pair or two images."""
    if isinstance(pairs, ImagePair) or not isinstance(pairs, Iterable):
        raise ArgumentError(f"pairs is of the kind {type(pairs).__name__}; {_PAIRS}")
    found = list(pairs)
    for number, pair in enumerate(found, start=1):
        two = isinstance(pair, (tuple, list)) and len(pair) == 2
        if not two and not _is_pair(pair):
            raise ArgumentError(
                f"pair {number} is of the kind {type(pair).__name__}; {_PAIRS}"
            )
    return found


def _choose_factor(images: list[Any]) -> int:
    """Return the factor of pairs where nothing is said of it."""
    made = next((pair.factor for pair in images if _is_pair(pair)), None)
    if made is not None:
        return int(made)
    low, high = (open_source(image).spec.axes for image in images[0])
    # other sizes are resampled to two
    return 1 if nearest_factor(measure_pixel_step(low, high)) == 1 else 2


def _is_pair(pair: object) -> bool:
    return isinstance(pair, ImagePair)


def _make_pairs(images: list[Any], config: FineTuneConfig) -> list[ImagePair]:
    """Register two images each, unless they are a pair already."""
    pairs: list[ImagePair] = []
    for number, pair in enumerate(images, start=1):
        if not isinstance(pair, ImagePair):
            low, high = map(open_source, pair)
            name = f"{number}: {low.spec.name}"
            pair = field_pair(low, high, factor=config.factor, name=name)
        take_pair(pair, pairs)
    return pairs
