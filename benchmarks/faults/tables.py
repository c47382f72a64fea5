"""Tables, numbers and figures that say which map finds which fault."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.faults.detection import UNIONS, Detections
from napari_structsr.benchmark.markdown import format_table
from napari_structsr.core.error_map import MAPS
from napari_structsr.core.types import Array

__all__ = ["FaultExample", "draw_faults", "format_faults", "write_detections"]

SHOWN = ("ssim", "gradient", "residual", "artefact", "null_space")
"""Maps of the figure."""

_COLUMNS = 6  # of a table that can be read
_INCH = 1.5  # side of a part of a plane
_LIMITS = (50.0, 99.8)  # percentiles of a map that are black and white


@dataclass(frozen=True)
class FaultExample:
    """The surroundings of one fault, to be drawn.

    Parameters
    ----------
    title
        What was planted.
    images
        Parts of planes by title, to be drawn in grey.
    grey
        Values that are black and white there.
    maps
        Parts of the maps of `SHOWN`, by key.
    limits
        Best and worst value to draw, by key.
    """

    title: str
    images: Mapping[str, Array]
    grey: tuple[float, float]
    maps: Mapping[str, Array]
    limits: Mapping[str, tuple[float, float]]

    @classmethod
    def of(
        cls,
        title: str,
        images: Mapping[str, Array],
        maps: Mapping[str, Array],
        *,
        part: tuple[slice, slice],
    ) -> FaultExample:
        """Cut a part of whole planes; the first image decides black and white."""
        low, high = np.percentile(next(iter(images.values())), (0.1, 99.9))
        limits = {}
        for key in SHOWN:
            order = 1 if MAPS[key].worse == "high" else -1
            best, worst = order * np.percentile(order * maps[key], _LIMITS)
            limits[key] = MAPS[key].limits or (float(best), float(worst))
        return cls(
            title,
            {name: image[part].copy() for name, image in images.items()},
            (float(low), float(high)),
            {key: maps[key][part].copy() for key in SHOWN},
            limits,
        )


def write_detections(
    outcome: Detections,
    examples: Mapping[str, Sequence[FaultExample]],
    out: Path,
    *,
    conditions: str,
) -> None:
    """Write faults.md, faults.csv and a figure faults-SOURCE.png of each source."""
    text = ["# Planted faults", conditions, *format_faults(outcome)]
    if outcome.left_out:
        text.append("Left out: " + "; ".join(outcome.left_out))
    (out / "faults.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")
    with (out / "faults.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("source", "plane", "fault", "visible", "map", "found", "seen"))
        writer.writerows(
            (
                r.source,
                r.plane,
                r.fault,
                r.visible,
                r.map,
                f"{r.found:.4f}",
                f"{r.seen:.4f}",
            )
            for r in outcome.rows
        )
    for source, drawn in examples.items():
        draw_faults(drawn, out / f"faults-{source.replace(' ', '-')}.png")


def format_faults(outcome: Detections) -> list[str]:
    """Return paragraphs of Markdown: all maps by fault, and the unions by source."""
    text = []
    parts = -(-len(outcome.faults) // _COLUMNS)
    for visible in (True, False):
        text.append(f"## {'Visible' if visible else 'Invisible'} faults")
        for faults in np.array_split(outcome.faults, parts):
            rows = []
            for key in outcome.maps:
                title = f"**{key}**" if key in UNIONS else f"`{key}`"
                pairs = [outcome.mean(key, fault, visible=visible) for fault in faults]
                rows.append(
                    [title, *(f"{found:.2f} / {seen:.2f}" for found, seen in pairs)]
                )
            text.append(format_table(["found / seen", *faults], rows))
    rows = []
    for fault in outcome.faults:
        cells = [
            " / ".join(
                f"{outcome.mean(key, fault, visible=visible)[0]:.2f}"
                for visible in (True, False)
            )
            for key in UNIONS
        ]
        rows.append([fault, *cells])
    text += [
        "## Found by the unions",
        format_table(["visible / invisible", *UNIONS], rows),
    ]
    rows = []
    for source in outcome.sources:
        cells = []
        for key in UNIONS:
            least, fault, visible = min(
                (
                    outcome.mean(key, fault, visible=visible, source=source)[0],
                    fault,
                    visible,
                )
                for fault in outcome.faults
                for visible in (True, False)
            )
            kind = fault if visible else f"{fault}, invisible"
            cells.append(f"{least:.2f} ({kind})")
        rows.append([source, *cells])
    text += ["## Least found, by source", format_table(["source", *UNIONS], rows)]
    return text


def draw_faults(examples: Sequence[FaultExample], path: Path) -> None:
    """Draw images and maps around faults, one row each; bright is bad."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = [*examples[0].images, *SHOWN]
    figure = Figure(
        figsize=(_INCH * len(columns), (_INCH + 0.05) * len(examples) + 0.25),
        dpi=100,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(examples), len(columns), squeeze=False)
    for row, example in zip(grid, examples, strict=True):
        for place, name in zip(row, columns, strict=True):
            if name in example.images:
                low, high = example.grey
                image, colors = example.images[name], "gray"
            else:
                best, worst = example.limits[name]
                low, high = min(best, worst), max(best, worst)
                image = example.maps[name]
                colors = "inferno" if best < worst else "inferno_r"
            place.imshow(
                image, cmap=colors, vmin=low, vmax=high, interpolation="nearest"
            )
            place.set_xticks([])
            place.set_yticks([])
        row[0].set_ylabel(example.title, fontsize=8)
    for place, name in zip(grid[0], columns, strict=True):
        place.set_title(MAPS[name].title if name in MAPS else name, fontsize=8)
    figure.savefig(path)
