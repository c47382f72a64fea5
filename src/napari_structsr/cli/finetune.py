"""`structsr finetune`: from a file of pairs to a model of the user's microscope."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_structsr.cli.terminal import (
    Progress,
    ProgressKind,
    exit_on_error,
    follow,
    out,
)

if TYPE_CHECKING:
    from napari_structsr.finetuning.config import FineTuneConfig
    from napari_structsr.finetuning.verdict import Verdict

_HEADINGS = {
    "psnr": ("PSNR / dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.4f}"),
    "gradient_error": ("structure error", "{:.3f}"),
}


def finetune(
    config: Annotated[
        Path, typer.Argument(help="File .json or .toml, as the dock saves it.")
    ],
    accept: Annotated[
        bool, typer.Option("--accept", help="Offer the model from now on.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Accept it in the place of its namesake.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what lies in its folder.")
    ] = False,
    minutes: Annotated[float | None, typer.Option(help="Length.")] = None,
    output: Annotated[
        Path | None, typer.Option("--out", help="Folder of the fine-tuning.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, float32, bfloat16.")
    ] = None,
    progress: Progress = ProgressKind.BAR,
) -> None:
    """Fine-tune a model to pairs; stop it by Ctrl-C, go on with --resume."""
    with exit_on_error(progress):
        # Late: torch takes seconds to import, and `--help` needs none of it.
        from napari_structsr.finetuning.config import read_fine_tuning
        from napari_structsr.finetuning.fine_tune import (
            iter_fine_tune,
            resume_fine_tuning,
            run_folder,
        )
        from napari_structsr.finetuning.load_pairs import load_pairs
        from napari_structsr.finetuning.runs import accept_run
        from napari_structsr.zoo.catalogue import load_model

        chosen = _replace_choices(
            read_fine_tuning(config),
            minutes=minutes,
            out=None if output is None else str(output.absolute()),
            device=device,
            precision=precision,
        )
        if resume:
            start = partial(resume_fine_tuning, run_folder(chosen))
        else:
            model = load_model(chosen.parent, factor=chosen.factor)
            pairs = load_pairs(chosen)
            for line in [f"{one.name}: {note}" for one in pairs for note in one.notes]:
                out.print(line, soft_wrap=True)
            start = partial(iter_fine_tune, chosen, pairs, model)
        finished = follow(
            start,
            progress=progress,
            unit="steps",
            again="--resume goes on from there",
        )
        _print_verdict(finished.record)
        out.print(f"wrote {finished.output}", soft_wrap=True)
        if accept:
            card = accept_run(finished.output.parent, replace=replace)
            out.print(f"{card.name} x{card.factor} is offered from now on")


def _replace_choices(config: FineTuneConfig, **changes: Any) -> FineTuneConfig:
    """Replace choices of the file by those of the command line."""
    from pydantic import ValidationError

    from napari_structsr.errors import SettingsError, describe_faults
    from napari_structsr.finetuning.config import FineTuneConfig

    given = {name: value for name, value in changes.items() if value is not None}
    # The command line wins over a length in steps of the file.
    if "minutes" in given:
        given["steps"] = None
    try:
        return FineTuneConfig.model_validate(config.model_dump() | given)
    except ValidationError as error:
        raise SettingsError(
            f"{describe_faults(error.errors())}; see structsr finetune --help"
        ) from error


def _print_verdict(verdict: Verdict) -> None:
    from rich.table import Table

    table = Table("", *(heading for heading, _ in _HEADINGS.values()))
    for method, values in verdict.scores.items():
        cells = [form.format(values[name]) for name, (_, form) in _HEADINGS.items()]
        table.add_row(method, *cells)
    out.print(table)
    # yellow and no error: the user may keep a model that is not recommended
    style = "green" if verdict.recommended else "yellow"
    out.print(verdict.sentence, style=style, soft_wrap=True)
