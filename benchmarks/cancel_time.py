"""How long a run goes on after it was cancelled, on one large plane.

Run it from the root of the repository::

    python -m benchmarks.cancel_time --side 8192

The plane is noise. A row is one run, cancelled so many seconds after its start: while
the plane is prepared, or within a tile. *seconds* is from the wish to the last event,
*computed* what the process computed meanwhile, by one core. On a machine that others
use too the first is longer.
"""

from __future__ import annotations

import threading
import time
from typing import Annotated

import numpy as np
import typer

from napari_structsr import MemorySink, UpscaleSettings, load_model, open_source
from napari_structsr.engine.events import Cancel, Cancelled
from napari_structsr.upscaling.upscale import iter_upscale

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_MOMENTS = (0.0, 0.3, 1.0, 2.0, 4.0, 8.0)  # seconds after the start


@app.command()
def measure(
    side: Annotated[int, typer.Option(help="Pixels along the plane.")] = 8192,
    model: Annotated[str, typer.Option(help="What upscales.")] = "faithful",
) -> None:
    """Cancel runs at several moments, and print how long each went on."""
    pixels = np.random.default_rng(0).poisson(200, (side, side)).astype(np.uint16)
    network = load_model(model, factor=2)
    typer.echo("| cancelled after / s | seconds | computed / s | tiles done |")
    typer.echo("|--:|--:|--:|--:|")
    for moment in _MOMENTS:
        cancel, asked = Cancel(), [0.0, 0.0]

        def ask(cancel: Cancel = cancel, asked: list[float] = asked) -> None:
            asked[:] = time.monotonic(), time.process_time()
            cancel()

        timer = threading.Timer(moment, ask)
        timer.start()
        source, settings = open_source(pixels), UpscaleSettings(device="cpu")
        *_, last = iter_upscale(
            source, network, MemorySink(), settings=settings, cancel=cancel
        )
        gone = time.monotonic() - asked[0], time.process_time() - asked[1]
        if not isinstance(last, Cancelled):
            raise SystemExit(f"the run ended by itself, within {moment} s: {last}")
        cells = f"{gone[0]:.2f} | {gone[1]:.2f} | {last.done}"
        typer.echo(f"| {moment:g} | {cells} |")


if __name__ == "__main__":
    app()
