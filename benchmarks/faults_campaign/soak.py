"""A soak: one napari process upscales, inspects, cancels and clears, over and over.

Run it from the root of the repository, where there is a display::

    python -m benchmarks.faults_campaign.soak --minutes 30 --out OUT

It writes memory, file handles, threads and the longest stall of the event loop of each
round, and a plot of them.
"""

from __future__ import annotations

import csv
import gc
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from qtpy.QtCore import QTimer

from benchmarks.viewer_stalls import Heartbeat, open_dock, wait, wait_for

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_BEAT = 0.02  # seconds between two beats of the event loop
_WARM_UP = 3  # rounds in which modules are imported and caches filled
_COLUMNS = ("minutes", "megabytes", "handles", "threads", "stall", "busy")


@app.command()
def soak(
    folder: Annotated[Path, typer.Option("--out", help="For table and plot.")],
    minutes: Annotated[float, typer.Option(help="How long.")] = 30.0,
    model: Annotated[str, typer.Option(help="What upscales.")] = "faithful",
    pause: Annotated[float, typer.Option(help="Seconds between two rounds.")] = 0.2,
) -> None:
    """Use the docks of one viewer for some time, and measure the process."""
    import napari

    folder.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer()
    docks = [open_dock(viewer, name) for name in ("Upscale", "Structure error")]
    pulse, rows = Heartbeat(_BEAT), []
    begun = time.monotonic()
    number = 0
    while (passed := (time.monotonic() - begun) / 60) < minutes:
        _do_round(viewer, docks[1], model, number)
        wait_for(pause)
        number += 1
        gc.collect()
        rows.append((passed, *_measure(), *pulse.take()))
        with (folder / "soak.csv").open("w", newline="") as file:
            csv.writer(file).writerows([_COLUMNS, *rows])
    text = _summarise(rows, minutes)
    (folder / "soak.md").write_text(text, "utf-8")
    typer.echo(text)
    _plot(rows, folder / "soak.png")
    viewer.close()


def _do_round(viewer: Any, dock: Any, model: str, number: int) -> None:
    """Upscale a layer, inspect the result, and clear; every third job is cancelled."""
    from napari_structsr.gui.upscale.run import read_preferred_choice, upscale_layer

    chance = np.random.default_rng(number)
    pixels = chance.poisson(200, (3, 96, 96)).astype(np.uint16)
    layer = viewer.add_image(pixels, name=f"cells {number}")
    choice = read_preferred_choice()
    choice = type(choice)(**vars(choice) | {"model": model, "device": "cpu"})
    job = upscale_layer(viewer, layer, choice)
    if number % 3 == 2:
        QTimer.singleShot(50, job.cancel)
    wait(lambda: job.has_ended)
    results = [one for one in viewer.layers if one is not layer]
    if results:
        viewer.layers.selection = {results[0]}
        dock.inspect_selection(needs_reference=False)
        wait(lambda: len(viewer.layers) > 2)
    viewer.layers.clear()


def _measure() -> tuple[float, int, int]:
    """Return megabytes in memory, open files and threads of this process."""
    import psutil

    process = psutil.Process()
    return process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()


def _summarise(rows: list[tuple[float, ...]], minutes: float) -> str:
    """Return the figures as a table: after the first rounds, and at the end."""
    first, last = rows[min(_WARM_UP, len(rows) - 1)], rows[-1]
    half = rows[len(rows) // 2 :]
    hours = max((half[-1][0] - half[0][0]) / 60, 1e-9)
    slope = np.polyfit([r[0] for r in half], [r[1] for r in half], 1)[0] * 60
    stall, busy = (max(row[n] for row in rows[_WARM_UP:] or rows) for n in (4, 5))
    lines = [
        f"{len(rows)} rounds in {last[0]:.1f} minutes.",
        "",
        "| | after the first rounds | at the end |",
        "|---|--:|--:|",
        f"| memory / MB | {first[1]:.0f} | {last[1]:.0f} |",
        f"| open files | {first[2]:.0f} | {last[2]:.0f} |",
        f"| threads | {first[3]:.0f} | {last[3]:.0f} |",
        "",
        f"In the second half memory changed by {slope:+.0f} MB an hour "
        f"(over {hours * 60:.0f} minutes); the longest stall of the event loop after "
        f"the first rounds was {1000 * stall:.0f} ms, of which the thread of the "
        f"interface computed {1000 * busy:.0f} ms at most.",
        "",
    ]
    return "\n".join(lines)


def _plot(rows: list[tuple[float, ...]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(5, 1, sharex=True, figsize=(7, 8))
    values = np.array(rows).T
    names = ("memory / MB", "open files", "threads", "stall / s", "busy / s")
    for axis, name, one in zip(axes, names, values[1:], strict=True):
        axis.plot(values[0], one)
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("minutes")
    figure.align_ylabels()
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    app()
