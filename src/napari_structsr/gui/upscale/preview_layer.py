"""A preview: a temporary layer with what is looked at, upscaled in its place.

It stands in a frame amid what was measured, and follows the view. Its pixels are those
of `upscale_region`, whose margin is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_structsr.core.types import Array
from napari_structsr.engine.events import Cancel, Event, Finished
from napari_structsr.gui.upscale.optics.file_optics import open_measured
from napari_structsr.gui.upscale.preview import (
    MARGIN,
    Region,
    find_view_obstacle,
    find_visible_region,
    upscale_region,
)
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.layers import (
    KEY,
    cover_below,
    free_name,
    insert_above,
    names_of,
    result_layer,
)
from napari_structsr.io.source import Source

_INSET = 0.05  # of what is looked at, that stays as it is around the frame
_REST = 300  # milliseconds after which a view that moved is taken to be at rest
_FRAME = "#f0e442"


class Preview(QObject):
    """The temporary layer of a viewer; there is at most one.

    From `start` on it follows what is looked at: another plane, another part, another
    zoom; until `remove`, or until its layer or the image is removed.
    """

    changed = Signal()
    """It has begun or ceased to compute, or to be there at all."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Image | None = None
        self._job: Job | None = None
        self._wanted: _Wanted | None = None
        self._region: Region | None = None
        self._shown: Image | None = None  # of which the layer is
        # a hand on the mouse asks for many places, and wants the last
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REST)
        self._timer.timeout.connect(self._follow)

    @property
    def is_on(self) -> bool:
        """Whether what is looked at is shown upscaled, now or in a moment."""
        return self._wanted is not None

    @property
    def is_busy(self) -> bool:
        """Whether it is being computed."""
        return self._job is not None and self._job.is_running

    def start(self, layer: Image, choice: Choice, widths: Sequence[float] = ()) -> Job:
        """Compute the preview of a layer and show it; see `upscale_region`."""
        if not self.is_on:
            for signal in self._list_signals():
                signal.connect(self._wait)
            self._viewer.layers.events.removed.connect(self._on_removed)
        self._wanted = _Wanted(layer, choice, tuple(widths))
        source = open_measured(layer, choice.optics)
        region = find_visible_region(self._viewer, layer, source)
        return self._compute(self._wanted, source, region)

    def renew(self, layer: Image, choice: Choice, widths: Sequence[float] = ()) -> None:
        """Compute the preview anew if it is of this layer and another choice."""
        wanted = _Wanted(layer, choice, tuple(widths))
        if self._wanted is None or self._wanted == wanted:
            return
        if self._wanted.layer == layer:
            self.start(layer, choice, widths)

    def remove(self) -> None:
        """Take the preview away, also one that is still being computed."""
        if self._job is not None:
            self._job.cancel()
        self._job = self._region = None
        self._timer.stop()
        if self.is_on:
            for signal in self._list_signals():
                signal.disconnect(self._wait)
            self._viewer.layers.events.removed.disconnect(self._on_removed)
            self._wanted = None
        self._remove_layer()
        self.changed.emit()

    def _list_signals(self) -> tuple[Any, ...]:
        camera, dims = self._viewer.scene.camera.events, self._viewer.dims.events
        return camera.center, camera.zoom, dims.point

    def _wait(self) -> None:
        self._timer.start()

    def _follow(self) -> None:
        """Compute what is looked at now, unless it is there."""
        wanted = self._wanted
        if wanted is None or find_view_obstacle(self._viewer, wanted.layer):
            return
        source = open_measured(wanted.layer, wanted.choice.optics)
        region = find_visible_region(self._viewer, wanted.layer, source)
        if region != self._region:
            self._compute(wanted, source, region)

    def _compute(self, wanted: _Wanted, source: Source, region: Region) -> Job:
        if self._job is not None:
            self._job.cancel()
        layer, choice = wanted.layer, wanted.choice

        def events(cancel: Cancel) -> Iterator[Event]:
            yield from upscale_region(
                source, region, choice, widths=wanted.widths, cancel=cancel
            )

        def show(event: Finished) -> None:
            # unless another one has been asked for since
            if self._job is job:
                self._show(wanted, source, region, event.output)

        job = Job(f"Previewing {layer.name}", events)
        job.finished.connect(show)
        job.ended.connect(self.changed)
        self._job, self._region = job, region
        job.start()
        self.changed.emit()
        return job

    def _show(
        self, wanted: _Wanted, source: Source, region: Region, pixels: Array
    ) -> None:
        """Put the middle of an upscaled region in the place of the one before."""
        axes, n = source.spec.axes, wanted.choice.factor
        part = _find_framed(region, axes.plane)
        start = list(region.position)
        names = axes.names.replace("s", "")
        for name, whole, kept in zip(
            "yx", (region.rows, region.columns), part, strict=True
        ):
            start[names.index(name)] = kept.start
            inside = slice(
                (kept.start - whole.start) * n, (kept.stop - whole.start) * n
            )
            pixels = pixels[(slice(None),) * "yx".index(name) + (inside,)]
        # a layer has the dimensions of its image
        pixels = pixels[(None,) * len(axes.loops)]
        title = f"preview {wanted.choice.label}"
        others = names_of(self._viewer) - {self._layer and self._layer.name}
        made = result_layer(
            wanted.layer,
            pixels,
            factor=n,
            axes=axes,
            name=free_name(title, others),
            metadata={KEY: "preview"},
            origin=start,
        )
        if self._layer is not None and self._shown == wanted.layer:
            # the same layer: another one would flicker, and lose what was set by hand
            self._layer.data = pixels
            self._layer.scale, self._layer.translate = made.scale, made.translate
            self._layer.name = made.name
            return
        self._remove_layer()
        self._layer, self._shown = made, wanted.layer
        draw_frame(self._layer)
        insert_above(self._viewer, wanted.layer, self._layer)

    def _on_removed(self, event: Any) -> None:
        if event.value == self._layer:
            self._layer = None
            self.remove()
        elif self._wanted is not None and event.value == self._wanted.layer:
            self.remove()

    def _remove_layer(self) -> None:
        # first, since it is no removal by the user
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)


def draw_frame(layer: Image) -> None:
    """Let what is shown for a while stand out from what was measured."""
    cover_below(layer)
    layer.bounding_box.visible = True
    layer.bounding_box.points = False
    layer.bounding_box.line_color = _FRAME


@dataclass(frozen=True)
class _Wanted:
    """What is previewed."""

    layer: Image
    choice: Choice
    widths: tuple[float, ...]


def _find_framed(region: Region, size: tuple[int, int]) -> tuple[slice, slice]:
    """Return what is shown of a region: within the canvas, so that its frame is seen.

    At the border of the image that frames it already.
    """
    spans = []
    for span, end in zip((region.rows, region.columns), size, strict=True):
        gap = MARGIN + max(1, round(_INSET * (span.stop - span.start)))
        first = span.start + gap * (span.start > 0)
        last = span.stop - gap * (span.stop < end)
        # of a view that is narrower than its margins all is shown
        spans.append(slice(first, last) if last - first > 1 else span)
    return spans[0], spans[1]
