"""Tries in forked children: heavy imports are made once, and a kill hits nobody else.

The parent never computes: threads of torch or zarr do not survive a fork.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import typer

PATIENCE = 120.0
"""Seconds after which a try counts as hanging."""

# what only a program says that broke
_BROKEN = ("Traceback (most recent call last)", "fault of the program", "Exception in")


@dataclass(frozen=True)
class Ending:
    """How a child ended.

    Parameters
    ----------
    code
        Exit status; negative is the signal that killed it.
    said
        All it printed.
    seconds
        How long it took.
    hung
        Whether it had to be killed because it did not end.
    """

    code: int
    said: str
    seconds: float
    hung: bool = False

    @property
    def broke(self) -> bool:
        """Whether the user met a traceback, or the process died by itself."""
        if any(words in self.said for words in _BROKEN):
            return True
        return self.code not in (0, 1, 2, 130, -signal.SIGKILL)


def load_modules() -> None:
    """Import all that a job needs, and start no thread."""
    import tifffile  # noqa: F401
    import torch
    import torch._dynamo
    import zarr  # noqa: F401

    import napari_structsr.benchmark.images
    import napari_structsr.calibration.fit
    import napari_structsr.calibration.samples
    import napari_structsr.cli
    import napari_structsr.finetuning.fine_tune
    import napari_structsr.finetuning.replay
    import napari_structsr.inspection.error_maps
    import napari_structsr.io.formats.czi
    import napari_structsr.io.ome_zarr.plate_mosaic
    import napari_structsr.io.ome_zarr.reader
    import napari_structsr.io.tiff.writer
    import napari_structsr.training.train
    import napari_structsr.upscaling.upscale
    import napari_structsr.zoo.exchange.load

    torch.set_num_threads(1)
    # kept for all fine-tunings of a process, and drawn by numpy alone
    for part in ("training", "validation"):
        napari_structsr.finetuning.replay.replay_images(part)


def start_child(act: Callable[[], object], *, log: Path, folder: Path) -> int:
    """Start `act` in a child whose output goes to a file; return its process id.

    Parameters
    ----------
    act
        What is done; `SystemExit` ends it with its status.
    log
        File for standard output and error.
    folder
        Where the child works.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setpgid(0, 0)  # Ctrl-C of the user is for the campaign alone
        signal.signal(signal.SIGINT, signal.default_int_handler)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.chdir(folder)
        act()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
    except KeyboardInterrupt:
        code = 130
    except typer.Exit as error:  # of a job that is no command
        code = error.exit_code
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        # without what the parent registered for its own end
        os._exit(code)


def wait_for(
    child: int,
    *,
    log: Path,
    stop: tuple[float, int] | None = None,
    patience: float = PATIENCE,
) -> Ending:
    """Wait for the end of a child.

    Parameters
    ----------
    child, log
        As in `start_child`.
    stop
        Seconds after which a signal is sent, and which.
    patience
        Seconds after which it is killed as hanging.
    """
    begun = time.monotonic()
    hung = False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        seconds = time.monotonic() - begun
        if done:
            break
        if stop and seconds >= stop[0]:
            os.kill(child, stop[1])
            stop = None
        if seconds > patience and not hung:
            hung = True
            os.kill(child, signal.SIGKILL)
        time.sleep(0.003)
    said = log.read_text("utf-8", errors="replace") if log.exists() else ""
    return Ending(os.waitstatus_to_exitcode(status), said, seconds, hung)


def run_child(
    act: Callable[[], object],
    *,
    log: Path,
    folder: Path,
    stop: tuple[float, int] | None = None,
    patience: float = PATIENCE,
) -> Ending:
    """Run `act` in a child to its end, see `start_child` and `wait_for`."""
    child = start_child(act, log=log, folder=folder)
    return wait_for(child, log=log, stop=stop, patience=patience)


def draw_moment(chance: random.Random, seconds: float) -> float:
    """Draw when to stop a run that takes so long."""
    return chance.uniform(0, 1.05 * seconds)
