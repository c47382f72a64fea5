"""The width of the blur of layers: of marks at once, of the whole in a job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from napari.layers import Image
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_structsr.core.optics import FoundWidth
from napari_structsr.engine.events import Cancel, Cancelled, Event, Finished
from napari_structsr.errors import StructsrError
from napari_structsr.gui.upscale.optics.file_optics import open_measured
from napari_structsr.gui.upscale.optics.mark_layers import MarkLayers
from napari_structsr.gui.upscale.optics.optics_choice import OpticsChoice
from napari_structsr.gui.upscale.optics.optics_state import Measured
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.widgets.controls import complete_sentence
from napari_structsr.upscaling.measured_width import Marks, measure_marks

_BUSY = "Measuring…"


class MeasuredOptics(QObject):
    """What was measured in layers, kept until pixels or marks change."""

    changed = Signal()
    """A measurement has ended."""

    def __init__(self, marks: MarkLayers) -> None:
        super().__init__()
        self._marks = marks
        self._last: tuple[object, Measured] = (None, None)
        self._of_images: dict[object, Measured] = {}
        self._jobs: list[Job] = []

    def complete(self, layer: Image | None, choice: OpticsChoice) -> OpticsChoice:
        """Return a choice with what the user points at in a layer."""
        if layer is None or not choice.undo or choice.marked is None:
            return choice
        axes = open_measured(layer, choice).spec.axes
        places, plane = self._marks.read(layer, choice.marked, axes)
        return replace(choice, places=places, plane=plane)

    def find(self, layer: Image, choice: OpticsChoice) -> Measured:
        """Return what was measured of a layer; None if nothing was yet."""
        if choice.source == "image":
            return self._of_images.get(_key(layer))
        if choice.marked is None or not choice.places:
            return None
        marks = choice.to_marks()
        key = (_key(layer), marks)
        # asked after each click; a fit takes a while
        if self._last[0] != key:
            self._last = (key, _measure(layer, choice, marks))
        return self._last[1]

    def measure(self, layer: Image, choice: OpticsChoice) -> Job:
        """Measure the whole of a layer, in the background."""
        key = _key(layer)
        source = open_measured(layer, choice)

        def events(cancel: Cancel) -> Iterator[Event]:
            from napari_structsr.upscaling.measured_width import measure_image

            axes = source.spec.axes
            found: list[FoundWidth] = []
            for channel in range(axes["c"].size if "c" in axes else 1):
                if cancel:
                    yield Cancelled(channel)
                    return
                found.append(measure_image(source, channel))
            yield Finished(tuple(found))

        def keep(event: Finished) -> None:
            self._of_images[key] = event.output

        def end() -> None:
            if self._of_images.get(key) == _BUSY:
                del self._of_images[key]
            self._jobs.remove(job)
            self.changed.emit()

        job = Job(f"Measuring the blur of {layer.name}", events)
        job.finished.connect(keep)
        job.ended.connect(end)
        self._of_images[key] = _BUSY
        self._jobs.append(job)
        job.start()
        self.changed.emit()
        return job

    def release(self) -> None:
        """Stop what is being measured."""
        for job in list(self._jobs):
            job.cancel()


def _key(layer: Image) -> object:
    # other pixels are another image, also in the same layer
    return id(layer), id(layer.data)


def _measure(layer: Image, choice: OpticsChoice, marks: Marks) -> Measured:
    try:
        source = open_measured(layer, choice)
        return (measure_marks(source, marks),)
    except StructsrError as error:
        return complete_sentence(str(error))
