"""Fine-tuning: adapting a model to a microscope by a few pairs of its images.

The parent is not changed. The result lies in the folder of the fine-tuning until
`finetuning.runs.accept_run` takes it up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

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
from napari_structsr.errors import ModelError, TrainingError, check_kind
from napari_structsr.finetuning.cards import calibrate_tuned, make_tuned_card
from napari_structsr.finetuning.config import FineTuneConfig, read_fine_tuning
from napari_structsr.finetuning.events import Pause, Previewed, Scored
from napari_structsr.finetuning.runs import find_runs_folder
from napari_structsr.finetuning.session import TuningSession
from napari_structsr.finetuning.split import Split, check_split, split_pairs
from napari_structsr.finetuning.split_file import read_split
from napari_structsr.finetuning.store import read_pairs
from napari_structsr.finetuning.verdict import Verdict, reach_verdict
from napari_structsr.io.locks import is_lock, lock_folder
from napari_structsr.io.weights import write_bundle
from napari_structsr.models.card import TRAINABLE
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.zoo.catalogue import load_model
from napari_structsr.zoo.user_models import check_name

__all__ = [
    "Pause",
    "Previewed",
    "Scored",
    "iter_fine_tune",
    "resume_fine_tuning",
    "run_folder",
]

_CHECK_EVERY = 10  # steps


def iter_fine_tune(
    config: FineTuneConfig,
    pairs: Sequence[ImagePair],
    model: SRModel,
    cancel: Cancel | None = None,
    *,
    split: Split | None = None,
    pause: Pause | None = None,
    resume: bool = False,
) -> Iterator[Event]:
    """Adapt a model to pairs of measured and true images.

    Parameters
    ----------
    config
        What is asked for.
    pairs
        Measured and true images on matched grids, all of the factor of the model.
    model
        The parent; it is not changed.
    cancel
        Checked before each step; what was reached is saved.
    split
        Which regions are trained and validated on; by default as `config` says.
    pause
        Checked before each step; the clock stands still meanwhile.
    resume
        Go on with the fine-tuning in the folder.

    Yields
    ------
    Event
        `Started` first, then `Progressed`, `Scored`, `Previewed`, `Noted` and
        `Warned`, and one of `Finished` (with the path of the model and the `Verdict`
        as its record), `Cancelled` or `Failed` last.
    """
    cancel = cancel if cancel is not None else Cancel()
    pause = pause if pause is not None else Pause()
    events = _run(config, pairs, model, cancel, split, pause, resume)
    # which may be of a wrong kind, and is told so
    name = getattr(config, "name", "")
    yield from yield_failures(events, f"fine-tuning {name}")


def resume_fine_tuning(
    folder: Path, cancel: Cancel | None = None, *, pause: Pause | None = None
) -> Iterator[Event]:
    """Go on with a fine-tuning from its folder alone; events as of `iter_fine_tune`."""

    def events() -> Iterator[Event]:
        if not (folder / "checkpoint.safetensors").exists():
            raise TrainingError(
                f"{folder} holds no fine-tuning that can go on: there is no checkpoint "
                "yet; start it without --resume"
            )
        config = read_fine_tuning(folder / "config.json")
        # The folder may have been moved since it was written.
        config = config.model_copy(update={"out": str(folder)})
        pairs, split = read_pairs(folder / "pairs.safetensors")
        model = load_model(config.parent, factor=config.factor)
        yield from iter_fine_tune(
            config, pairs, model, cancel, split=split, pause=pause, resume=True
        )

    yield from yield_failures(events(), f"fine-tuning in {folder}")


def run_folder(config: FineTuneConfig) -> Path:
    """Return the folder of a fine-tuning."""
    if config.out is not None:
        return Path(config.out)
    return find_runs_folder() / f"{config.name}-x{config.factor}"


def _run(
    config: FineTuneConfig,
    pairs: Sequence[ImagePair],
    model: SRModel,
    cancel: Cancel,
    split: Split | None,
    pause: Pause,
    resume: bool,
) -> Iterator[Event]:
    # All that can be refused is refused before a folder is made.
    _check_kinds(config, pairs, model, cancel)
    _check(config, pairs, model)
    folder = run_folder(config)
    with lock_folder(folder):
        yield from _tune(config, pairs, model, cancel, split, pause, resume, folder)


def _tune(
    config: FineTuneConfig,
    pairs: Sequence[ImagePair],
    model: SRModel,
    cancel: Cancel,
    split: Split | None,
    pause: Pause,
    resume: bool,
    folder: Path,
) -> Iterator[Event]:
    if not resume:
        _check_folder(folder)
    if split is None:
        # The receptive field: within it a scored pixel depends on a trained one.
        gap = model.radius if config.gap is None else config.gap
        split = read_split(config, pairs, gap=gap) or split_pairs(
            pairs, gap=gap, share=config.validation
        )
    # Also what the program has split itself: one rule for all.
    if faults := check_split(pairs, split):
        raise TrainingError("; ".join(faults))
    session = TuningSession(config, pairs, split, model, folder=folder)
    if resume:
        session.restore()
        session.write_state("begun")
    else:
        session.create_folder()
    yield Started(session.counts[1], session.plan())
    if session.warning:
        yield Warned(session.warning)
    if not resume:  # the scores of the parent: where the curves begin
        yield from session.score()
        session.save()

    # At least one step: the first scores alone may take all of a short time.
    while (
        (not session.step or session.progress < 1)
        and not session.out_of_patience
        and not cancel
    ):
        # Saved first: a paused program is often closed.
        if pause:
            session.save()
            yield Noted(f"holding on at step {session.step}; what was reached is saved")
            pause.hold(cancel)
            continue
        if warning := session.make_step():
            yield Warned(warning)
        if session.step % _CHECK_EVERY == 0:
            yield Progressed(
                *session.counts, f"training, loss {session.check_loss():.3g}"
            )
        if session.is_score_due:
            session.check_loss()
            yield from session.score()
            session.save()

    if cancel:  # no verdict, and all that a later run goes on from
        session.save()
        session.write_state("stopped")
        yield Cancelled(session.step)
        return
    if session.out_of_patience and session.progress < 1:
        yield Noted(f"ended at step {session.step}: scores have ceased to rise")
    if not session.best.weights:  # a length shorter than the first score
        yield from session.score()
        session.save()
    verdict, note = _finish(session)
    yield Noted(note)
    yield Finished(session.bundle, verdict)


def _check(config: FineTuneConfig, pairs: Sequence[ImagePair], model: SRModel) -> None:
    """Refuse models, pairs and names that do not fit."""
    card = model.card
    if card.architecture not in TRAINABLE:
        raise ModelError(
            f"{card.name} is of the kind {card.architecture}, which cannot be "
            "fine-tuned; choose a network of this program, such as faithful"
        )
    if not pairs:
        raise TrainingError("there are no pairs to learn from; add at least one")
    factors = {config.factor, card.factor, *(pair.factor for pair in pairs)}
    if len(factors) > 1:
        raise TrainingError(
            f"the factors differ: {config.factor} is asked for, {card.name} has "
            f"{card.factor}, and the pairs have "
            f"{', '.join(str(pair.factor) for pair in pairs)}; choose a model and "
            "pairs of one factor"
        )
    # Names that ship are refused; one of the user's models may be replaced, which is
    # asked when it is accepted.
    check_name(config.name, config.factor, replace=True)


def _check_kinds(config: object, pairs: object, model: object, cancel: object) -> None:
    """Refuse what was given in the wrong place."""
    remedy = "give sr.FineTuneConfig(...), or use sr.fine_tune, which makes one"
    check_kind("config", config, FineTuneConfig, remedy=remedy)
    remedy = "give a list of what sr.field_pair returns"
    check_kind("pairs", pairs, Sequence, remedy=remedy)
    for number, pair in enumerate(cast(Sequence[object], pairs), start=1):
        check_kind(f"pair {number}", pair, ImagePair, remedy=remedy)
    check_kind("model", model, SRModel, remedy="give what sr.load_model returns")
    check_kind("cancel", cancel, Cancel, remedy="give a sr.Cancel()")


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything: it is removed with the fine-tuning."""
    if (folder / "checkpoint.safetensors").exists():
        raise TrainingError(
            f"{folder} holds a fine-tuning already; go on with it, remove it, or "
            "choose another name or folder"
        )
    # A folder whose run was killed before its first checkpoint is taken again.
    others = [file for file in folder.iterdir() if not is_lock(file)]
    if others and not (folder / "run.json").exists():
        raise TrainingError(
            f"{folder} holds other files; choose a folder that is empty or not there"
        )


def _finish(session: TuningSession) -> tuple[Verdict, str]:
    """Score and write the best weights; return the verdict and a note."""
    # The best weights, not the last: these may have been spoilt since.
    network = session.limiter.network
    network.load_state_dict(session.best.weights)
    network.half().float()  # the file holds float16: that is what is scored
    scores = session.validation.compare(network)
    # Measured anew, as rounding to float16 has changed the weights.
    drift = session.limiter.drift(network)
    verdict = reach_verdict(
        scores, pair_correlation=session.validation.pair_correlation, drift=drift
    )
    card = make_tuned_card(session, verdict)
    weights = {name: value.cpu() for name, value in network.state_dict().items()}
    calibration, note = calibrate_tuned(
        SRModel(card, weights),
        session.pairs,
        session.split,
        parent=session.parent.card.calibration,
    )
    card = card.model_copy(update={"calibration": calibration})
    write_bundle(session.bundle, card.model_dump(exclude={"sha256"}), weights)
    session.write_state(
        "finished", recommended=verdict.recommended, sentence=verdict.sentence
    )
    return verdict, note
