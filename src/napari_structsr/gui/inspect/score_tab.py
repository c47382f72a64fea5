"""Scores of an inspection: a table, a plot along z or t, notes, and a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from napari_structsr.gui.inspect.map_layers import ShownInspection
from napari_structsr.gui.inspect.score_table import (
    ScoreTableView,
    describe_score,
    name_score,
)
from napari_structsr.gui.viewer.navigation import go_to_plane
from napari_structsr.gui.widgets.controls import (
    NarrowCombo,
    enable,
    fill_combo,
    sentence,
)
from napari_structsr.gui.widgets.line_plot import LinePlot
from napari_structsr.gui.widgets.viewer_widget import ViewerWidget

if TYPE_CHECKING:
    from napari_structsr.inspection.results import ScoreRow, ScoreTable


class ScorePanel(ViewerWidget):
    """Shows the numbers of an inspection; a click goes to a plane of the viewer."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._shown: ShownInspection | None = None
        # whether the plot is still that of another inspection
        self._is_stale = False
        self.table = ScoreTableView()
        self.score = NarrowCombo("Score that is plotted", "The score that is plotted.")
        self.axis = NarrowCombo("Axis of the plot")
        for combo in (self.score, self.axis):
            combo.setMinimumContentsLength(1)
        self.plot = LinePlot()
        self.plot.setToolTip("Click a plane to go there.")
        self.plot.setCursor(Qt.CursorShape.PointingHandCursor)
        self.notes = sentence()
        self.export_button = QPushButton("Export CSV…")
        above = QHBoxLayout()
        above.addWidget(QLabel("Plot"))
        above.addWidget(self.score, 3)
        above.addWidget(QLabel("along"))
        above.addWidget(self.axis, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table, 3)
        layout.addWidget(self.export_button)
        layout.addLayout(above)
        layout.addWidget(self.plot, 2)
        layout.addWidget(self.notes)
        self.table.chosen.connect(self._visit)
        self.plot.clicked.connect(self._go)
        self.export_button.clicked.connect(self._export)
        self.score.currentIndexChanged.connect(self._draw)
        self.axis.currentIndexChanged.connect(self._draw)

    def show_inspection(self, shown: ShownInspection | None) -> None:
        """Show the scores of an inspection."""
        if shown and self._shown and shown.inspection is self._shown.inspection:
            self._shown = shown
            return
        self._shown = shown
        # the choices stay where the new table offers them too
        table = shown.inspection.scores if shown else None
        self.table.show_table(table)
        keys, axes = (table.keys, find_plot_axes(table)) if table else ((), ())
        scores = {key: (name_score(key), describe_score(key)) for key in keys}
        fill_combo(self.score, scores, self.score.currentData())
        fill_combo(self.axis, {a: (a, "") for a in axes}, self.axis.currentData())
        one = "There is no other axis with several planes."
        enable(
            self.axis,
            None if self.axis.count() > 1 else one,
            "The axis along which planes are plotted.",
        )
        notes = shown.inspection.notes if shown else ()
        self.notes.setText("\n".join(f"• {note}" for note in notes))
        self.notes.setVisible(bool(notes))
        enable(
            self.export_button,
            None if table else "There are no scores yet: run an inspection.",
            "Write all scores, with all digits, for a spreadsheet.",
        )
        # the first plot imports its library, which nobody waits for who looks at maps
        self._is_stale = not self.isVisible()
        if not self._is_stale:
            self._draw()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Draw what came while the tab was hidden."""
        super().showEvent(event)
        if self._is_stale:
            self._draw()

    def follow_plane(self) -> None:
        """Mark the plane that the viewer shows, and follow it along other axes."""
        if self.is_gone:
            return
        position = self._position()
        self.plot.mark(position.get(self.axis.currentData()))
        if self._shown is None or self._is_stale:
            return
        if len(find_plot_axes(self._shown.inspection.scores)) > 1:
            self._draw()

    def _position(self) -> dict[str, int]:
        if self._shown is None:
            return {}
        layer = self._shown.layer
        point = layer.world_to_data(self._viewer.dims.point[-layer.ndim :])
        indices = (round(float(where)) for where in point)
        return dict(zip(self._shown.axes, indices, strict=True))

    def _draw(self) -> None:
        self._is_stale = False
        key, axis = self.score.currentData(), self.axis.currentData()
        if self._shown is None or key is None or axis is None:
            one = self._shown is not None
            message = "There is only one plane: nothing to plot." if one else ""
            self.plot.show_lines({}, title="", axis="", message=message)
            return
        position = self._position()
        table = self._shown.inspection.scores
        self.plot.show_lines(
            collect_lines(table, key, axis, position),
            title=name_score(key),
            axis=f"plane along {axis}",
            message=f"{name_score(key)} has no values here.",
        )
        self.plot.mark(position.get(axis))

    def _visit(self, row: ScoreRow) -> None:
        self._show_plane(dict(row.plane))

    def _go(self, index: int) -> None:
        # along the other axes the viewer stays where it is
        self._show_plane(self._position() | {self.axis.currentData(): index})

    def _show_plane(self, plane: dict[str, int]) -> None:
        if self._shown is not None:
            layer = self._shown.layer
            go_to_plane(self._viewer, layer, self._shown.position(plane))

    def _export(self) -> None:
        name = f"{self._shown.result} scores.csv" if self._shown else "scores.csv"
        kinds = "CSV (*.csv)"
        path, _ = QFileDialog.getSaveFileName(self, "Export scores", name, kinds)
        # an empty path: the dialog was cancelled
        if path:
            self.table.save_csv(Path(path).with_suffix(".csv"))


def find_plot_axes(table: ScoreTable) -> tuple[str, ...]:
    """Return the axes along which a table has more than one plane: z, t, c."""
    return tuple(
        axis
        for axis in "ztc"
        if len({row.plane[axis] for row in table.rows if axis in row.plane}) > 1
    )


def collect_lines(
    table: ScoreTable, key: str, axis: str, at: Mapping[str, int]
) -> dict[str, list[tuple[float, float]]]:
    """Return the points of a score along an axis, for each region and channel.

    `at` is the index along the other axes, but for channels.
    """
    lines: dict[str, list[tuple[float, float]]] = {}
    channels = {(row.plane.get("c"), row.channel) for row in table.rows}
    for row in table.rows:
        value = row.values.get(key)
        # each channel has its own line, so that it is none of the other axes
        others = {name: i for name, i in row.plane.items() if name not in (axis, "c")}
        if value is None or any(at.get(name, 0) != i for name, i in others.items()):
            continue
        words = [row.region]
        if axis != "c" and len(channels) > 1:
            words.append(row.channel or f"channel {row.plane.get('c')}")
        lines.setdefault(", ".join(words), []).append((float(row.plane[axis]), value))
    return lines
