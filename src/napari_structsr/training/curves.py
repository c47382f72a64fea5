"""The curves of a training: a CSV that grows with it, and a plot."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from napari_structsr.errors import TrainingError, blame_file
from napari_structsr.io.atomic import replace_whole


class Curves:
    """Losses and scores by step.

    Parameters
    ----------
    path
        The CSV; written by `write`.

    Attributes
    ----------
    rows
        Values by name; scores stand in the rows of the steps they were taken at.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def read(self, *, until: int) -> None:
        """Read the rows of an earlier run, up to a step.

        Raises
        ------
        TrainingError
            If the file is damaged; without it curves begin anew.
        """
        if not self.path.exists():
            return
        remedy = "move it away: curves begin anew, and the training goes on"
        with blame_file(self.path, TrainingError, what="curves", remedy=remedy):
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [
                    {name: float(text) for name, text in row.items() if text}
                    for row in csv.DictReader(file)
                ]
            self.rows = [row for row in rows if row["step"] <= until]

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add values to the row of a step."""
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        self.rows[-1].update(values)

    def write(self) -> None:
        """Write the CSV, whole or not at all."""
        # Scores stand in few rows, and an adversary adds columns late: the header is
        # the union of all rows, in the order of their coming.
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with (
            replace_whole(self.path) as part,
            part.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)

    def draw(self, path: Path, *, baseline: Mapping[str, float]) -> None:
        """Draw each score over the steps, bicubic as a dashed line, and the losses.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        # Late, and without pyplot: matplotlib is optional, and pyplot would open a
        # window system in a viewer.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        # What is neither a score nor one of these is a term of the loss.
        about = {"step", "megapixels", "seconds", "rate"}
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        losses = [name for name in names if name not in about | set(baseline)]
        count = len(baseline) + 1
        figure = Figure(figsize=(3.4 * count, 3), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        first, *others = figure.subplots(1, count, squeeze=False)[0]
        for name in losses:
            first.plot(*self._find_line(name), label=name)
        if losses:
            # Terms differ by orders of magnitude, and fall by them.
            first.set_yscale("log")
            first.legend(fontsize="small")
        first.set_title("weighted terms of the loss")
        for place, (name, value) in zip(others, baseline.items(), strict=True):
            place.plot(*self._find_line(name), marker=".")
            place.axhline(value, color="gray", linestyle="--", label="bicubic")
            place.set_title(f"held out: {name.replace('_', ' ')}")
            place.legend(fontsize="small")
        for place in (first, *others):
            place.set_xlabel("step")
        figure.savefig(path)

    def _find_line(self, name: str) -> tuple[list[float], list[float]]:
        """Return steps and values of a column."""
        rows = [row for row in self.rows if name in row]
        return [row["step"] for row in rows], [row[name] for row in rows]
