"""How long the viewer stands still while the docks are used: a heartbeat of Qt.

Run it from the root of the repository, where there is a display::

    python -m benchmarks.viewer_stalls --out stalls.md

Each row is a gesture of a user. *stall* is the longest time in which the event loop did
not come round, *computed* how long the thread of the interface computed in it at most.
On a machine that others use too the first is longer: the process waits its turn.
*napari alone* is what it computes where plain layers of the same shapes and empty docks
are added without this plugin (``--alone``); the rest is ours.
``--where`` tells the calls in which the longest computation was spent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from qtpy.QtCore import QEventLoop, Qt, QTimer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_BEAT = 0.01  # seconds between two beats of the event loop
_PATIENCE = 600.0  # seconds for one job
_DEPTH, _SHOWN = 4, 8  # calls of ours that a sample tells, samples that are shown
_QUIET = 0.5  # seconds after a gesture that still belong to it


class Heartbeat:
    """Measures how long the event loop stands still, and how long it computes."""

    def __init__(self, beat: float = _BEAT) -> None:
        self._beat_s = beat
        self._longest = [0.0, 0.0]
        self._stacks: deque[tuple[float, str]] = deque(maxlen=5000)
        self.where: Counter[str] = Counter()
        self._last = time.monotonic(), time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start(int(1000 * beat))

    def _beat(self) -> None:
        now = time.monotonic(), time.thread_time()
        gaps = now[0] - self._last[0] - self._beat_s, now[1] - self._last[1]
        if gaps[1] > self._longest[1]:
            since = self._last[0]
            self.where = Counter(s for at, s in list(self._stacks) if at > since)
        self._longest = [max(*pair) for pair in zip(self._longest, gaps, strict=True)]
        self._last = now

    def sample(self) -> None:
        """Note from now on, in a thread, what the thread of the interface does."""
        main = threading.main_thread().ident

        def watch() -> None:
            while True:
                frame = sys._current_frames().get(main or 0)
                calls = traceback.extract_stack(frame)
                ours = [call for call in calls if "napari_structsr" in call.filename]
                words = [
                    f"{Path(call.filename).stem}.{call.name}:{call.lineno}"
                    for call in [*ours[-_DEPTH:], calls[-1]]
                ]
                self._stacks.append((time.monotonic(), " < ".join(words[::-1])))
                time.sleep(_BEAT / 2)

        threading.Thread(target=watch, daemon=True).start()

    def take(self) -> tuple[float, float]:
        """Return the longest stall and the longest computation since last asked."""
        longest, self._longest = self._longest, [0.0, 0.0]
        return longest[0], longest[1]


def wait(is_done: Callable[[], bool]) -> None:
    """Let Qt run until something is so."""
    until = time.monotonic() + _PATIENCE
    while not is_done():
        if time.monotonic() > until:
            raise SystemExit("a job did not end")
        wait_for(0.05)


def wait_for(seconds: float) -> None:
    """Let Qt run for some time."""
    loop = QEventLoop()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()


@app.command()
def measure(
    out: Annotated[Path | None, typer.Option(help="Where the table goes.")] = None,
    model: Annotated[str, typer.Option(help="What upscales.")] = "faithful",
    where: Annotated[bool, typer.Option(help="Tell where time is spent.")] = False,
    alone: Annotated[bool, typer.Option(help="napari without this plugin.")] = False,
) -> None:
    """Use the docks as a user does, and print the longest stall of each gesture."""
    import napari

    bare = {} if alone else _measure_alone()
    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    heartbeat = Heartbeat()
    if where:
        heartbeat.sample()
    rows: list[tuple[str, float, float]] = []
    wait_for(1)
    heartbeat.take()
    for name in _bare_gestures(viewer) if alone else _gestures(viewer, model):
        wait_for(_QUIET)
        rows.append((name, *heartbeat.take()))
        typer.echo(f"{name}: {1000 * rows[-1][1]:.0f} ms, {1000 * rows[-1][2]:.0f} ms")
        for calls, count in heartbeat.where.most_common(_SHOWN if where else 0):
            typer.echo(f"    {count} x {calls}")
    text = json.dumps({row[0]: row[2] for row in rows})
    text = text if alone else format_rows(rows, bare)
    typer.echo(text)
    if out is not None:
        out.write_text(text, "utf-8")
    viewer.close()


def _gestures(viewer: Any, model: str) -> Iterator[str]:
    """Do one thing after the other; say what was done."""
    upscale = open_dock(viewer, "Upscale")
    yield "open Upscale"
    errors = open_dock(viewer, "Structure error")
    yield "open Structure error"
    open_dock(viewer, "Fine-tune")
    yield "open Fine-tune"
    viewer.open_sample("napari-structsr", "cells")
    wait(lambda: bool(np.asarray(viewer.layers[0].data).any()))
    yield "open the sample"
    source = viewer.layers[0]
    combo = upscale.form.model
    combo.setCurrentIndex(max(0, combo.findData(model)))
    upscale.run_button.click()
    wait(lambda: len(viewer.layers) == 2)
    yield "upscale"
    viewer.layers.selection = {viewer.layers[1]}
    errors.inspect_selection(needs_reference=False)
    wait(lambda: not errors.inspect.jobs.is_busy)
    yield "inspect and add the maps"
    combo = errors.maps.map
    for index in range(combo.count()):
        if combo.itemData(index) is not None:
            combo.setCurrentIndex(index)
            wait_for(0.1)
    yield "switch to each map"
    # a right result has no unusual place: any will do for the jump
    key, axes = errors.maps.key, errors.maps.layer.metadata["structsr"]["axes"]
    for name in ("jump to a place, first", "jump to a place, again"):
        from napari_structsr.inspection.results import WorstRegion

        plane = {axis: 1 for axis in axes if axis not in "yx"}
        errors.maps.visit(WorstRegion(key, plane, (64, 128), (96, 160), 1.0))
        yield name
    errors.maps.threshold.setValue(50)
    yield "move the threshold"
    yield from _look(viewer, source)


def open_dock(viewer: Any, name: str) -> Any:
    """Open a dock as its menu does, and return it once it is there."""
    frame, widget = viewer.window.add_plugin_dock_widget("napari-structsr", name)
    wait(lambda: frame.widget() is not widget)
    return frame.widget()


def _look(viewer: Any, source: Any) -> Iterator[str]:
    """Upscale as one looks, and pan."""
    from napari_structsr.gui.upscale.as_you_look import show_as_you_look
    from napari_structsr.gui.upscale.run import read_preferred_choice

    before = len(viewer.layers)
    job = show_as_you_look(viewer, source, read_preferred_choice())
    wait(lambda: len(viewer.layers) > before)
    yield "open as you look"
    camera = _find_camera(viewer)
    centre = np.array(camera.center, float)
    for step in range(20):
        camera.center = tuple(centre + np.array([0, step, step]))
        wait_for(0.1)
    yield "pan as you look"
    job.cancel()
    wait(lambda: job.has_ended)


def _find_camera(viewer: Any) -> Any:
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def _measure_alone() -> dict[str, float]:
    """Return what napari alone computes in each gesture, in seconds."""
    command = [sys.executable, "-m", "benchmarks.viewer_stalls", "--alone"]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def _bare_gestures(viewer: Any) -> Iterator[str]:
    """Do by napari alone what the docks do in `_gestures`."""
    from napari.layers import Image
    from napari.settings import get_plugin_settings
    from qtpy.QtWidgets import QWidget

    camera = _find_camera(viewer)
    get_plugin_settings()
    yield "read the settings of plugins"
    for name in ("Upscale", "Structure error", "Fine-tune"):
        viewer.window.add_dock_widget(QWidget(), name=name)
        yield f"open {name}"
    scale = np.array((0.5, 0.13, 0.11))
    looks: dict[str, Any] = {"units": ("um",) * 3, "contrast_limits": (200, 3800)}
    viewer.add_image(np.zeros((5, 256, 256), np.uint16), scale=scale, **looks)
    yield "open the sample"
    large, looks["scale"] = np.zeros((5, 512, 512), np.uint16), scale / (1, 2, 2)
    viewer.add_image(large, **looks)
    yield "upscale"
    viewer.add_image(large.astype(np.float32), colormap="magma", **looks)
    yield "inspect and add the maps"
    for colormap in ("viridis", "magma"):
        viewer.layers[-1].data = np.ones(large.shape, np.float32)
        viewer.layers[-1].colormap = colormap
        wait_for(0.1)
    yield "switch to each map"
    square = 0.1 * np.array([[0, 60, 90], [0, 60, 160], [0, 130, 160], [0, 130, 90]])
    for again, name in enumerate(("jump to a place, first", "jump to a place, again")):
        viewer.dims.set_point(0, 0.5 * again)
        camera.center, camera.zoom = (0, 5 + again, 8), 20
        if not again:
            viewer.add_shapes(square, units=("um",) * 3)
        yield name
    viewer.layers[2].contrast_limits = (0, 1)
    yield "move the threshold"
    levels = [large, large[:, ::2, ::2]]
    viewer.add_layer(Image(levels, multiscale=True, **looks))
    yield "open as you look"
    centre = np.array(camera.center, float)
    for step in range(20):
        camera.center = tuple(centre + np.array([0, step, step]))
        wait_for(0.1)
    yield "pan as you look"


def format_rows(rows: list[tuple[str, float, float]], bare: dict[str, float]) -> str:
    """Return gestures and their longest stalls as a table in Markdown."""
    head = ("gesture", "stall / ms", "computed / ms", "napari alone / ms")
    lines = [f"| {' | '.join(head)} |", "|---|--:|--:|--:|"]
    for name, stall, computed in rows:
        cells = [stall, computed, bare[name]]
        lines.append(f"| {name} | {' | '.join(f'{1e3 * n:.0f}' for n in cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app()
