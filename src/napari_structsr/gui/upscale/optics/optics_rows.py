"""The rows of the form that tell a conditional model how an image was taken."""

from __future__ import annotations

from typing import cast

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QPushButton,
    QRadioButton,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_structsr.gui.upscale.optics.optics_choice import (
    WIDTH_SOURCES,
    OpticsChoice,
    WidthSource,
)
from napari_structsr.gui.upscale.optics.optics_state import OpticsState
from napari_structsr.gui.widgets.controls import (
    choice_combo,
    select,
    sentence,
    stack,
)

_ASKED = {
    "bead": ("Point at beads", "Then click on small bright spots, one or more."),
    "edge": ("Draw across edges", "Then draw lines across sharp edges, one or more."),
    "filament": ("Draw across filaments", "Then draw lines across thin filaments."),
    "image": ("Measure", "Look at samples of the whole image, for a second or two."),
}


class OpticsRows(QObject):
    """Two wishes, and for the second one the width of the blur."""

    changed = Signal()
    """The user has changed something."""
    asked = Signal()
    """The user wants to point at something, or have the image measured."""

    def __init__(self) -> None:
        super().__init__()
        self._state: OpticsState | None = None
        self.keep = QRadioButton()
        self.keep.setChecked(True)
        # two lines, since docks are narrow and a radio button does not wrap
        self.undo = QRadioButton("Undo the blur\nof the optics")
        self.undo.setToolTip(
            "Sharpens as far as the microscope has blurred; needs the width of that "
            "blur. Too large a width invents structure."
        )
        self._wishes = QWidget()
        stack(self._wishes, self.keep, self.undo)
        self.source = choice_combo("Width of the blur", WIDTH_SOURCES)
        self._source_wish = self.source.currentData()
        self.aperture = _make_box("Numerical aperture", high=1.7, step=0.05)
        self.aperture.setToolTip("Of the objective, as engraved on it.")
        self.wavelength = _make_box("Emission wavelength", high=5000, step=10)
        self.wavelength.setDecimals(0)
        self.wavelength.setSuffix(" nm")
        self.wavelength.setToolTip("Of the light that is detected, not of the laser.")
        self.confocal = QCheckBox("Confocal")
        self.confocal.setToolTip(
            "Taken through a closed pinhole, which makes the blur narrower by 1.4."
        )
        self.psf_sigma = _make_box("Width of the blur", high=2, step=0.05)
        self.psf_sigma.setSuffix(" pixels")
        self.psf_sigma.setToolTip(WIDTH_SOURCES["hand"][1])
        self.measure = QPushButton()
        self.diameter = _make_box("Diameter", high=10, step=0.05)
        self.diameter.setDecimals(3)
        self.diameter.setSuffix(" µm")
        self.diameter.setSpecialValueText("thin")
        self.diameter.setToolTip(
            "Of the bead or filament itself, which makes its image wider; thin where "
            "it is small beside the blur."
        )
        self.told = sentence()
        self.told.setToolTip(
            "What the model is told. A width from aperture and wavelength is taken a "
            "tenth smaller: too little sharpens less, too much invents structure."
        )
        self.rows: list[tuple[str, QWidget]] = [
            ("Optics", self._wishes),
            ("Blur width", self.source),
            ("NA", self.aperture),
            ("Emission", self.wavelength),
            ("", self.confocal),
            ("Sigma", self.psf_sigma),
            ("", self.measure),
            ("Diameter", self.diameter),
            ("", self.told),
        ]
        self.undo.toggled.connect(self._emit_changed)
        self.source.currentIndexChanged.connect(self._take_source)
        self.confocal.toggled.connect(self._emit_changed)
        self.measure.clicked.connect(self._emit_asked)
        for box in (self.aperture, self.wavelength, self.psf_sigma, self.diameter):
            box.valueChanged.connect(self._emit_changed)

    def choice(self) -> OpticsChoice:
        """Return what the rows say."""
        # 0 stands for a number that is not given
        wavelength = self.wavelength.value()
        return OpticsChoice(
            undo=self.undo.isChecked(),
            source=self._source_wish,
            psf_sigma=self.psf_sigma.value() or None,
            aperture=self.aperture.value() or None,
            wavelength=wavelength / 1000 if wavelength else None,
            confocal=self.confocal.isChecked(),
            diameter=self.diameter.value() or None,
        )

    def show_choice(self, source: WidthSource, *, confocal: bool) -> None:
        """Choose a source of the width and keep the optics, without telling anybody."""
        self._source_wish = source
        with signals_blocked(self.undo), signals_blocked(self.confocal):
            self.keep.setChecked(True)
            self.confocal.setChecked(confocal)
        select(self.source, source)

    def show_state(
        self, state: OpticsState | None, layout: QFormLayout, *, factor: int
    ) -> None:
        """Show only the rows that have a meaning; none for other models."""
        self._state = state
        undo = state is not None and state.choice.undo
        source = state.choice.source if state is not None else None
        visible = {
            self._wishes: state is not None,
            self.source: undo,
            self.aperture: undo and source == "formula",
            self.wavelength: undo and source == "formula",
            self.confocal: undo and source == "formula",
            self.psf_sigma: undo and source == "hand",
            self.measure: undo and source in _ASKED,
            self.diameter: undo and source in ("bead", "filament"),
            self.told: state is not None,
        }
        for widget, is_visible in visible.items():
            layout.setRowVisible(widget, is_visible)
        if state is None:
            return
        pixels = "Same pixels" if factor == 1 else "Finer pixels"
        self.keep.setText(f"{pixels}, same optics")
        self.keep.setToolTip(
            "Removes noise alone." if factor == 1 else "The careful choice."
        )
        entries = cast(QStandardItemModel, self.source.model())
        if item := entries.item(self.source.findData("file")):
            item.setEnabled(state.offers_file)
        select(self.source, source)
        text, purpose = _ASKED.get(source or "", ("", ""))
        self.measure.setText(text)
        self.measure.setToolTip(purpose)
        self.told.setText(state.obstacle or state.told)

    def _take_source(self) -> None:
        """Begin with the numbers that were found in another way."""
        self._source_wish = self.source.currentData()
        found = self._state
        if found and found.optics and self._source_wish == "formula":
            for box, value in (
                (self.aperture, found.optics.aperture),
                (self.wavelength, 1000 * found.optics.wavelength),
            ):
                with signals_blocked(box):
                    box.setValue(value)
            with signals_blocked(self.confocal):
                self.confocal.setChecked(found.optics.confocal)
        if found and found.psf_sigma and self._source_wish == "hand":
            with signals_blocked(self.psf_sigma):
                self.psf_sigma.setValue(found.psf_sigma)
        self.changed.emit()

    def _emit_asked(self) -> None:
        self.asked.emit()

    def _emit_changed(self) -> None:
        self.changed.emit()


def _make_box(name: str, *, high: float, step: float) -> QDoubleSpinBox:
    """Make a box for a positive number that is not given at first."""
    box = QDoubleSpinBox()
    box.setAccessibleName(name)
    box.setRange(0, high)
    box.setSingleStep(step)
    box.setSpecialValueText("not given")
    return box
