"""Figures of a comparison: parts of planes side by side, error against sharpness."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_structsr.benchmark.comparison import Comparison
from napari_structsr.benchmark.measures import MEASURES
from napari_structsr.errors import SettingsError

_MOST_SOURCES = 6
_INCH = 1.55  # side of a part of a plane


def check_matplotlib() -> None:
    """Raise a SettingsError if matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            "the figures need matplotlib; install it with "
            "pip install 'napari-structsr[report]'"
        ) from error


def draw_if_possible(path: Path, draw: Callable[[Path], None]) -> str:
    """Draw a figure, or leave it out where matplotlib is missing; say which."""
    try:
        check_matplotlib()
    except SettingsError as error:
        return f"no {path.name}: {error}"
    draw(path)
    return f"figure: {path}"


def draw_figures(outcome: Comparison, out: Path) -> None:
    """Write crops-TRACK.png and scatter-TRACK.png for each track."""
    # of tracks without examples, those of a group among them, tables say more
    for track in outcome.examples:
        _draw_crops(outcome, track, out / f"crops-{track}.png")
        _draw_scatter(outcome, track, out / f"scatter-{track}.png")


def _draw_crops(outcome: Comparison, track: str, path: Path) -> None:
    """Draw truth and every method, a row for each of the first six sources.

    Shown is the first plane of a source, there the 96 x 96 pixels of the truth that
    hold most gradient; black and white are the 0.1 and 99.9 percentiles of the truth.
    """
    import numpy as np

    examples = outcome.examples[track][:_MOST_SOURCES]
    names = [fact.name for fact in outcome.facts[track]]
    columns = ["truth", *names]
    figure = make_figure(_INCH * len(columns), (_INCH + 0.16) * len(examples) + 0.3)
    grid = figure.subplots(len(examples), len(columns), squeeze=False)
    for row, example in zip(grid, examples, strict=True):
        # of the truth for all, or differences of brightness would not show
        black, white = np.percentile(example.truth, (0.1, 99.9))
        for place, name in zip(row, columns, strict=True):
            image = example.truth if name == "truth" else example.results[name]
            # nearest: a smoothed display would hide what methods differ in
            place.imshow(
                image, cmap="gray", vmin=black, vmax=white, interpolation="nearest"
            )
            place.set_xticks([])
            place.set_yticks([])
            if name != "truth":
                entry = next(
                    s
                    for s in outcome.scores
                    if (s.track, s.source, s.plane, s.method)
                    == (track, example.source, example.plane, name)
                )
                psnr = MEASURES["psnr"].write(entry.values.get("psnr"))
                place.set_xlabel(f"{psnr} dB", fontsize=7, labelpad=2)
        # long names break at their first underscore
        row[0].set_ylabel(example.source.replace("_", "\n", 1), fontsize=7)
    for place, name in zip(grid[0], columns, strict=True):
        place.set_title(name, fontsize=8)
    figure.savefig(path)


def _draw_scatter(outcome: Comparison, track: str, path: Path) -> None:
    """Draw PSNR, gradient error and structure against sharpening.

    Sharpening is the power in the upper half of the measured band over that of the
    truth; the line at 1 is the truth.
    """
    names = [fact.name for fact in outcome.facts[track]]
    keys = [
        key
        for key in ("psnr", "gradient_error", "structure")
        if outcome.average(track, names[0], key) is not None
    ]
    if "power_in" not in outcome.measures(track) or not keys:
        return
    figure = make_figure(4.2 * len(keys), 3.9)
    places = figure.subplots(1, len(keys), squeeze=False)[0]
    markers = "os^Dv<>PX*phd"
    for place, key in zip(places, keys, strict=True):
        for number, name in enumerate(names):
            x, y = (outcome.average(track, name, k) for k in ("power_in", key))
            place.plot(
                x,
                y,
                markers[number % len(markers)],
                color=f"C{number % 10}",
                label=name,
                markersize=7,
            )
        place.axvline(1, color="0.6", linewidth=0.8, zorder=0)
        place.set_xlabel(f"power in the measured band, {track} (truth = 1)", fontsize=8)
        place.set_ylabel(MEASURES[key].title, fontsize=8)
        place.tick_params(labelsize=7)
        place.grid(linewidth=0.3)
    figure.legend(
        *places[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(6, len(names)),
        fontsize=7,
        frameon=False,
    )
    figure.savefig(path)


def make_figure(width: float, height: float, *, dpi: int = 100) -> Any:
    """Return an empty figure of so many inches."""
    # without pyplot, which would keep the figure and might want a display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
