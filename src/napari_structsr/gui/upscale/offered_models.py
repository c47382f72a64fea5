"""The models that the dock offers: those of the catalogue, and files."""

from __future__ import annotations

from collections.abc import Iterator

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_structsr.engine.events import Cancel, Event, Finished
from napari_structsr.gui.settings import read_preferences
from napari_structsr.gui.upscale.optics.optics_choice import TrainedOptics
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.models.card import ModelCard
from napari_structsr.zoo.catalogue import find_card, is_path, list_models
from napari_structsr.zoo.opened_files import read_opened_files


class OfferedModels(QObject):
    """What is known of the models, by name: from their cards alone."""

    found = Signal()
    """A model is there that the preferences name by its file."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._file: list[ModelCard] = []
        self.list_cards()

    def list_cards(self) -> None:
        """Look which models there are now."""
        cards = [*self._file, *list_models()]
        self.descriptions = {card.name: card.description for card in cards}
        self.factors: dict[str, tuple[int, ...]] = {}
        for card in cards:
            self.factors[card.name] = (*self.factors.get(card.name, ()), card.factor)
        self.blending = {card.name for card in cards if card.blend_with}
        self.conditional = {
            (card.name, card.factor): TrainedOptics(card.psf_sigma, *card.psf_range)
            for card in cards
            if card.psf_range
        }
        for file in read_opened_files():
            self.factors[file.path] = (file.factor,)
            self.descriptions[file.path] = f"{file.description} {file.path}"

    def can_be_told(self, name: str) -> bool:
        """Say whether a model of this name takes the optics, at some factor."""
        return any(model == name for model, _ in self.conditional)

    def read_file(self) -> None:
        """Read the card of a preferred file in the background; a failure is told."""
        path = read_preferences().model
        if not is_path(path):
            return

        def read(cancel: Cancel) -> Iterator[Event]:
            # the file of somebody else is read by torch, which takes seconds to import
            yield Finished(find_card(path, factor=None))

        job = Job("The model that the preferences name", read)
        job.finished.connect(self._take)
        job.start()

    def _take(self, event: Finished) -> None:
        # it is chosen, and loaded, by its path
        path = read_preferences().model
        self._file = [event.output.model_copy(update={"name": path})]
        self.list_cards()
        self.found.emit()
