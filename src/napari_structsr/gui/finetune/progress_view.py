"""What a fine-tuning shows while it runs: progress, curves, a validation region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QGridLayout,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QTabBar,
    QWidget,
)

from napari_structsr.engine.events import Cancelled, Event, Noted, Progressed, Started
from napari_structsr.gui.finetune.run import FineTuningRun
from napari_structsr.gui.finetune.run_list import format_time
from napari_structsr.gui.finetune.train_state import MEASURES, METHODS
from napari_structsr.gui.viewer.plain_text import keep_plain, make_plain
from napari_structsr.gui.widgets.controls import complete_sentence, sentence, stack
from napari_structsr.gui.widgets.line_plot import LinePlot

_IMAGES = ("measured", "bicubic", "parent", "adapted", "truth")
_PLOT_HEIGHT = 230
_COLUMNS = 3
_GAP = 4  # pixels between images
_TALLEST = 1.5  # height of an image in the grid, over its width


class ProgressView(QWidget):
    """Follows one fine-tuning to its end; `notes` keeps what it said beside scores."""

    def __init__(self) -> None:
        super().__init__()
        self._by_time = True
        self._run: FineTuningRun | None = None
        self.notes: list[str] = []
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the training")
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message = sentence()
        self.curves = CurvePanel()
        self.preview = PreviewGrid()
        parts = self.bar, self.message, self.curves, self.preview
        stack(self, *parts)
        for part in parts:
            part.hide()

    def follow(self, run: FineTuningRun) -> None:
        """Show what a run says."""
        self._run, self.notes = run, []
        self.curves.begin("seconds")
        self.preview.hide()
        self.bar.show()
        self.curves.show()
        self.bar.setRange(0, 0)  # moves, since nobody knows yet how long it takes
        self.bar.setFormat("preparing…")
        self.show_message("Preparing: scores before the first step…")
        run.said.connect(self._show_event)
        run.paused.connect(self._show_pause)
        run.job.started.connect(self._show_plan)
        run.job.progressed.connect(self._show_progress)
        run.job.finished.connect(lambda event: self._stop_bar("done"))
        run.job.cancelled.connect(self._show_stop)
        run.job.failed.connect(self._show_failure)

    def show_message(self, text: str) -> None:
        """Show a sentence."""
        self.message.setText(text)
        self.message.show()

    def _show_plan(self, event: Started) -> None:
        plan: Any = event.plan
        # a config may count steps instead, for runs that can be repeated exactly
        self._by_time = plan.minutes is not None
        self.curves.begin("seconds" if self._by_time else "steps")
        self.show_message(complete_sentence(str(plan)))
        # the plan counts what is done in steps, whatever the bar counts
        done = 0 if self._by_time else plan.done
        self._show_progress(Progressed(done, event.total, ""))

    def _show_progress(self, event: Progressed) -> None:
        self.bar.setRange(0, max(1, event.total))
        self.bar.setValue(event.done)
        if self._by_time:
            text = f"{format_time(event.done)} of {format_time(event.total)}"
        else:
            text = f"{event.done} of {event.total} steps"
        self.bar.setFormat(text)
        self.bar.setToolTip(keep_plain(event.doing))

    def _show_event(self, event: Event) -> None:
        if isinstance(event, Noted):
            text = complete_sentence(event.message)
            self.show_message(text)
            # what it says of a pause is no finding about the model
            if self._run is None or not self._run.is_paused:
                self.notes.append(text)
            return
        from napari_structsr.finetuning.events import Previewed, Scored

        if isinstance(event, Scored):
            where = event.seconds if self._by_time else float(event.step)
            self.curves.add(where, event.values)
        elif isinstance(event, Previewed):
            images = {name: getattr(event.view, name) for name in _IMAGES}
            self.preview.show_images(images, f"step {event.step}")
            self.preview.show()

    def _show_pause(self, paused: bool) -> None:
        self.show_message(
            "Paused: the clock stands still, and what was reached is saved."
            if paused
            else "Going on…"
        )

    def _show_stop(self, event: Cancelled) -> None:
        self._stop_bar("stopped")
        self.show_message(
            f"Stopped after {event.done} step{'s' * (event.done != 1)}. The parent is "
            "as it was; this fine-tuning is listed above, to go on with or to remove."
        )

    def _show_failure(self, message: str) -> None:
        self._stop_bar("failed")
        self.show_message(message)

    def _stop_bar(self, text: str) -> None:
        if self.bar.maximum() == 0:  # a range of 0 moves for ever
            self.bar.setRange(0, 1)
        if text == "done":
            self.bar.setValue(self.bar.maximum())
        self.bar.setFormat(text)


class CurvePanel(QWidget):
    """Scores on the validation regions over time, one measure at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._points: dict[str, dict[str, list[tuple[float, float]]]] = {}
        self._axis = "seconds"
        self.tabs = QTabBar()
        self.tabs.setAccessibleName("Measure")
        self.tabs.setExpanding(True)
        self.tabs.setDrawBase(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideRight)
        for measure in MEASURES.values():
            self.tabs.setTabToolTip(self.tabs.addTab(measure.title), measure.tip)
        self.plot = LinePlot()
        self.plot.setAccessibleName("Scores over time")
        # pyqtgraph asks for 480 pixels, and the preview would lie out of sight
        self.plot.setFixedHeight(_PLOT_HEIGHT)
        stack(self, self.tabs, self.plot)
        self.tabs.currentChanged.connect(self._draw)
        self.begin("seconds")

    def begin(self, axis: str) -> None:
        """Forget all points; `axis` names the horizontal axis."""
        self._axis = axis
        self._points = {
            key: {method: [] for method in reversed(METHODS)} for key in MEASURES
        }
        self._draw()

    def add(self, where: float, values: Mapping[str, Mapping[str, float]]) -> None:
        """Add scores, by method and measure."""
        for measure, lines in self._points.items():
            for method, points in lines.items():
                points.append((where, values[method][measure]))
        self._draw()

    def lines(self, measure: str) -> dict[str, list[tuple[float, float]]]:
        """Return the points of each method."""
        return self._points[measure]

    def _draw(self) -> None:
        measure = list(MEASURES)[max(0, self.tabs.currentIndex())]
        lines = self._points[measure]
        self.plot.show_lines(
            {method: points for method, points in lines.items() if points},
            title=MEASURES[measure].title,
            axis=self._axis,
            message="The first scores come in a moment.",
        )


class PreviewGrid(QWidget):
    """A validation region side by side: measured, bicubic, parent, adapted, truth.

    Pixels are enlarged without smoothing, and all images have the contrast of the
    truth, so that differences are those of the images.
    """

    def __init__(self) -> None:
        super().__init__()
        self.images: dict[str, QImage] = {}
        self.setAccessibleName("Preview of a validation region")
        self.setToolTip(
            "A validation region, as it is upscaled now. All images have the same "
            "contrast."
        )
        self.note = make_plain(QLabel())
        self.note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pictures = {name: QLabel() for name in _IMAGES}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(_GAP)
        for number, (name, picture) in enumerate(self._pictures.items()):
            line, column = divmod(number, _COLUMNS)
            caption = QLabel(name)
            caption.setAlignment(Qt.AlignmentFlag.AlignCenter)
            # otherwise the pixels shown could not become narrower with the dock
            narrow = QSizePolicy.Policy.Ignored
            picture.setSizePolicy(narrow, QSizePolicy.Policy.Fixed)
            grid.addWidget(caption, 2 * line, column)
            grid.addWidget(picture, 2 * line + 1, column)
            grid.setColumnStretch(column, 1)
        grid.addWidget(self.note, 2 * line + 1, _COLUMNS - 1)

    def show_images(
        self, images: Mapping[str, npt.NDArray[np.floating]], note: str
    ) -> None:
        """Show images of shape (h, w) or finer, by name, and a note beside them."""
        # a bright speck would leave all else black
        low, high = map(float, np.percentile(images["truth"], (0.5, 99.5)))
        self.images = {name: _make_image(images[name], low, high) for name in _IMAGES}
        self.note.setText(note)
        self._scale()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Fill the width."""
        super().resizeEvent(event)
        self._scale()

    def _scale(self) -> None:
        if not self.images:
            return
        truth = self.images["truth"]
        side = max(1, (self.width() - (_COLUMNS - 1) * _GAP) // _COLUMNS)
        height = max(1, round(side * min(truth.height() / truth.width(), _TALLEST)))
        for name, image in self.images.items():
            # the fast way repeats pixels; a smooth one would hide differences
            pixels = QPixmap.fromImage(image)
            self._pictures[name].setPixmap(pixels.scaled(side, height))


def _make_image(pixels: npt.NDArray[np.floating], low: float, high: float) -> QImage:
    share = np.clip((pixels - low) / max(high - low, 1e-9), 0, 1)
    grey = np.ascontiguousarray(np.rint(255 * np.nan_to_num(share)).astype(np.uint8))
    height, width = grey.shape
    gray8 = QImage.Format.Format_Grayscale8
    # the image borrows the bytes, which end with this function: a copy owns its own
    return QImage(grey.tobytes(), width, height, width, gray8).copy()
