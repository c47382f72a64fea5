"""Both wishes of a conditional model side by side, for the middle of the view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_structsr.core.types import Array
from napari_structsr.engine.events import Cancel, Cancelled, Event, Finished
from napari_structsr.gui.upscale.optics.file_optics import open_measured
from napari_structsr.gui.upscale.optics.optics_choice import OpticsChoice
from napari_structsr.gui.upscale.preview import (
    Region,
    find_visible_region,
    upscale_region,
)
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.widgets.controls import sentence

_SIDE = 128  # screen pixels of an image; two fit into a narrow dock
_MARGIN = 16  # measured pixels around, so that borders have neighbours


class BothWishes(QWidget):
    """Two small images: finer pixels with the same optics, and the blur undone."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._job: Job | None = None
        self._shown: object = None
        self.keep, self.undo = QLabel(), QLabel()
        self.captions = sentence("Same optics"), sentence("Blur undone")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(0)
        for column, (image, caption) in enumerate(
            zip((self.keep, self.undo), self.captions, strict=True)
        ):
            image.setFixedSize(_SIDE, _SIDE)
            layout.addWidget(image, 0, column)
            layout.addWidget(caption, 1, column)
        self.setVisible(False)

    def start(self, layer: Image, choice: Choice, widths: Sequence[float]) -> Job:
        """Compute both wishes for a layer, and show them.

        Parameters
        ----------
        layer
            What would be upscaled.
        choice
            With the blur undone.
        widths
            Told of each channel, where they were measured.
        """
        self.forget()
        keep = replace(choice, optics=OpticsChoice())
        source = open_measured(layer, choice.optics)
        region = _find_middle(
            find_visible_region(self._viewer, layer, source), choice.factor
        )

        def events(cancel: Cancel) -> Iterator[Event]:
            images = []
            for wish in (keep, choice):
                for event in upscale_region(
                    source, region, wish, widths=widths, cancel=cancel
                ):
                    if isinstance(event, Finished):
                        images.append(event.output)
                    elif isinstance(event, Cancelled):
                        yield event
                        return
            yield Finished(tuple(images))

        def show(event: Finished) -> None:
            if self._job is job:
                self._show(layer, event.output, choice.factor)

        job = Job(f"Comparing both wishes for {layer.name}", events)
        job.finished.connect(show)
        self._job, self._shown = job, (id(layer), choice)
        job.start()
        return job

    def keep_if(self, layer: Image | None, choice: Choice) -> None:
        """Forget the images if they are of another layer or choice."""
        if self._shown != (id(layer), choice):
            self.forget()

    def forget(self) -> None:
        """Take the images away, also those still being computed."""
        if self._job is not None:
            self._job.cancel()
        self._job = self._shown = None
        self.setVisible(False)

    def _show(self, layer: Image, images: tuple[Array, Array], factor: int) -> None:
        for label, image in zip((self.keep, self.undo), images, strict=True):
            label.setPixmap(_draw(layer, _crop(image, factor)))
        self.setVisible(True)


def _find_middle(region: Region, factor: int) -> Region:
    """Return the middle of a region, as large as is shown, with a margin."""
    side = _SIDE // factor + 2 * _MARGIN
    spans = []
    for span in (region.rows, region.columns):
        surplus = max(0, span.stop - span.start - side)
        spans.append(slice(span.start + surplus // 2, span.stop - (surplus + 1) // 2))
    return replace(region, rows=spans[0], columns=spans[1])


def _crop(image: Array, factor: int) -> Array:
    """Take away the margin, where there is one."""
    for axis in (0, 1):
        surplus = max(0, image.shape[axis] - _SIDE)
        image = np.take(
            image, range(surplus // 2, image.shape[axis] - (surplus + 1) // 2), axis
        )
    return image


def _draw(layer: Image, image: Array) -> QPixmap:
    """Return pixels as the layer would show them."""
    if image.ndim == 3:
        top = 1.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max)
        shown = np.clip(image[..., :3] / top, 0, 1)
    else:
        low, high = layer.contrast_limits
        values = np.clip((image.astype(float) - low) / max(high - low, 1e-12), 0, 1)
        values = values**layer.gamma
        colors = layer.colormap.map(values.ravel())[:, :3]
        shown = np.asarray(colors).reshape(*image.shape, 3)
    bytes_ = np.ascontiguousarray((shown * 255).round().astype(np.uint8))
    height, width = bytes_.shape[:2]
    drawn = QImage(
        bytes_.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
    )
    # copied, since QImage only borrows the bytes
    pixmap = QPixmap.fromImage(drawn.copy())
    return pixmap.scaled(
        _SIDE,
        _SIDE,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.FastTransformation,
    )
