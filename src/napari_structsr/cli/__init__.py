"""The command `structsr`: the same runs as in napari, for scripts and clusters."""

from __future__ import annotations

import ctypes
import platform

import typer

from napari_structsr.cli.benchmark import benchmark
from napari_structsr.cli.calibrate import calibrate
from napari_structsr.cli.demo import demo
from napari_structsr.cli.finetune import finetune
from napari_structsr.cli.info import info
from napari_structsr.cli.inspect import inspect
from napari_structsr.cli.models import models
from napari_structsr.cli.train import train
from napari_structsr.cli.upscale import upscale

__all__ = ["app", "main"]

_M_ARENA_MAX = -8  # in malloc.h

app = typer.Typer(
    help="Structure-informed super-resolution for microscopy.",
    no_args_is_help=True,
    # errors of users are one sentence already; of a bug, all of the traceback is wanted
    pretty_exceptions_enable=False,
)
for command in (
    upscale,
    inspect,
    info,
    models,
    demo,
    train,
    finetune,
    calibrate,
    benchmark,
):
    app.command()(command)


def main() -> None:
    """Run the command line."""
    _limit_malloc_arenas()
    app()


def _limit_malloc_arenas() -> None:
    # glibc keeps up to eight arenas a core, and in each what its threads have freed, so
    # that the peak of a run would grow with the number of cores
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
