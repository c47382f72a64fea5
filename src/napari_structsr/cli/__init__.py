"""The command `structsr`: the same runs as in napari, for scripts and clusters."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from napari_structsr.cli.benchmark import benchmark
from napari_structsr.cli.calibrate import calibrate
from napari_structsr.cli.clean import clean
from napari_structsr.cli.console import PlainGroup
from napari_structsr.cli.demo import demo
from napari_structsr.cli.examples import write_epilog
from napari_structsr.cli.finetune import finetune
from napari_structsr.cli.info import info
from napari_structsr.cli.inspect import inspect
from napari_structsr.cli.models import export, models
from napari_structsr.cli.terminal import err, out
from napari_structsr.cli.train import train
from napari_structsr.cli.upscale import upscale
from napari_structsr.engine.memory import keep_pages
from napari_structsr.scripting.plain_console import PlainHandler

__all__ = ["app", "main"]

app = typer.Typer(
    cls=PlainGroup,
    no_args_is_help=True,
    # errors of users are one sentence already; of a bug, all of the traceback is wanted
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    upscale,
    inspect,
    info,
    models,
    export,
    demo,
    train,
    finetune,
    calibrate,
    clean,
    benchmark,
):
    app.command(epilog=write_epilog(command.__name__))(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from napari_structsr import __version__

        out.print(f"structsr {__version__}")
        raise typer.Exit


@app.callback()
def structsr(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            help="Show the version and exit.",
            callback=_show_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Structure-informed super-resolution for microscopy."""


def main() -> None:
    """Run the command line."""
    keep_pages()  # before any thread has an arena of its own
    logging.basicConfig(level=logging.WARNING, handlers=[PlainHandler(err)])
    # libraries quote what a file says
    logging.captureWarnings(True)
    app()
