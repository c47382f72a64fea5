"""The form of the first step: what pairs are made of."""

from __future__ import annotations

from collections.abc import Sequence

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QToolButton,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_structsr.gui.finetune.pairs_state import Kind, PairsChoice, PairsState
from napari_structsr.gui.widgets.controls import (
    NarrowCombo,
    choice_combo,
    enable,
    make_form,
    make_path_edit,
    offer,
    read_key,
    row,
    select,
    sentence,
    stack,
)

_KINDS: dict[Kind, tuple[str, str]] = {
    "layers": (
        "Two layers",
        "The same place measured twice: with low and with high resolution.",
    ),
    "files": (
        "Files or folders",
        "A low- and a high-resolution file, or two folders whose files belong together "
        "by their names, or else by the order of these.",
    ),
    "high": (
        "High resolution only",
        "The low-resolution partner is computed: blur, larger pixels and noise.",
    ),
}
_FACTORS = {
    0: (
        "Auto",
        "That of the pairs in the list; for the first one, the factor that is nearest "
        "to the pixel sizes.",
    ),
    1: ("×1", "Pixels of the same size: noise and blur are removed, nothing else."),
    2: ("×2", "Half the pixel size."),
    4: ("×4", "A quarter of the pixel size."),
}
_PSF = {
    "optics": ("From NA", "From numerical aperture and wavelength, for widefield."),
    "given": ("Sigma", "Given, in pixels of the low-resolution image."),
}


class PairForm(QWidget):
    """What the user can choose."""

    changed = Signal()
    """The user has changed something."""
    layers_chosen = Signal()
    """The user has chosen a layer by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = choice_combo("Pairs from", _KINDS)
        self.low = NarrowCombo(
            "Low-resolution layer", "What your microscope measures every day."
        )
        self.high = NarrowCombo(
            "High-resolution layer",
            "The same place with finer pixels. Pixel size and place may differ; a "
            "shift is found by itself.",
        )
        self.swap_button = QToolButton()
        self.swap_button.setText("⇅")
        self.swap_button.setAccessibleName("Swap low and high")
        self.regions = NarrowCombo(
            "Regions",
            "Rectangles of a Shapes layer, each a pair; or the whole plane that is "
            "shown.",
        )
        self.low_path = self._make_path_edit("low")
        self.high_path = self._make_path_edit("high")
        self.factor = choice_combo("Factor", _FACTORS)
        self.factor.setToolTip(
            "How much finer the pixels of the result will be. All pairs have the one "
            "of the model that they train."
        )
        self.binned = QCheckBox("Bin the low one by 2")
        self.binned.setToolTip(
            "Average 2 × 2 pixels of the low-resolution image, so that two images with "
            "pixels of one size teach a ×2 model."
        )
        self.psf = choice_combo("Point-spread function", _PSF)
        self.aperture = _make_number_box("Numerical aperture", 0.05, 1.7)
        self.aperture.setToolTip("Of the objective that takes the low-resolution image")
        self.wavelength = _make_number_box("Wavelength", 200, 2000, " nm", digits=0)
        self.wavelength.setSingleStep(10)
        self.sigma = _make_number_box("Sigma", 0, 2, " px")
        self.sample = NarrowCombo(
            "Noise as in",
            "A low-quality image of your microscope: its noise is put on the computed "
            "partners.",
        )
        self.hint = sentence()
        self._high_row = row(self.high, self.swap_button)
        self._psf_row = row(self.psf, self.sigma)
        self._layout = make_form(
            [
                ("Pairs from", self.kind),
                ("Low", self.low),
                ("High", self._high_row),
                ("Low", self.low_path.native),
                ("High", self.high_path.native),
                ("Regions", self.regions),
                ("Factor", self.factor),
                ("", self.binned),
                ("Blur", self._psf_row),
                ("NA", self.aperture),
                ("Wavelength", self.wavelength),
                ("Noise as in", self.sample),
            ]
        )
        stack(self, self._layout, self.hint)
        for combo in (self.low, self.high):
            combo.currentIndexChanged.connect(self.layers_chosen)
            combo.currentIndexChanged.connect(self.changed)
        for combo in (self.kind, self.regions, self.factor, self.psf, self.sample):
            combo.currentIndexChanged.connect(self.changed)
        for box in (self.aperture, self.wavelength, self.sigma):
            box.valueChanged.connect(self.changed)
        self.binned.toggled.connect(lambda: self.changed.emit())
        for edit in (self.low_path, self.high_path):
            # a signal of magicgui passes its value on, which ours does not take
            edit.changed.connect(lambda: self.changed.emit())
        self.swap_button.clicked.connect(self._swap)

    def choice(self) -> PairsChoice:
        """Return what the form says."""
        return PairsChoice(
            kind=self.kind.currentData(),
            low=read_key(self.low),
            high=read_key(self.high),
            regions=read_key(self.regions),
            low_path=str(self.low_path.line_edit.value or ""),
            high_path=str(self.high_path.line_edit.value or ""),
            factor=self.factor.currentData(),
            binned=self.binned.isChecked(),
            psf=self.psf.currentData(),
            aperture=self.aperture.value(),
            wavelength=self.wavelength.value(),
            sigma=self.sigma.value(),
            sample=read_key(self.sample),
        )

    def show_state(
        self,
        state: PairsState,
        *,
        images: Sequence[tuple[str, str]],
        regions: Sequence[tuple[str, str]],
    ) -> None:
        """Show the choice, and only the rows that have a meaning.

        Images and regions are keys and names of the layers that can be chosen.
        """
        choice = state.choice
        select(self.kind, choice.kind)
        offer(self.low, images, choice.low, none="choose a layer")
        offer(self.high, images, choice.high, none="choose a layer")
        offer(self.sample, images, choice.sample, none="no sample")
        offer(self.regions, regions, choice.regions, none="whole plane")
        select(self.factor, choice.factor)
        select(self.psf, choice.psf)
        # a signal here would ask for a new state while this one is being shown
        for box, value in (
            (self.aperture, choice.aperture),
            (self.wavelength, choice.wavelength),
            (self.sigma, choice.sigma),
        ):
            with signals_blocked(box):
                box.setValue(value)
        # rows that mean nothing for this kind of pair would be read as if they did
        layers, files, alone = (choice.kind == kind for kind in _KINDS)
        for line, shown in (
            (self.low, layers),
            (self._high_row, layers or alone),
            (self.low_path.native, files),
            (self.high_path.native, files),
            (self.regions, layers or alone),
            (self.binned, state.shows_bins),
            (self._psf_row, alone),
            (self.aperture, alone and choice.psf == "optics"),
            (self.wavelength, alone and choice.psf == "optics"),
            (self.sample, alone),
        ):
            self._layout.setRowVisible(line, shown)
        self.swap_button.setVisible(layers)
        self.sigma.setVisible(choice.psf == "given")
        self.hint.setText(state.hint)
        self.hint.setVisible(bool(state.hint))
        enable(self.swap_button, state.swap, "Swap low and high.")

    def _make_path_edit(self, what: str) -> FileEdit:
        edit = make_path_edit(
            f"{what}-resolution file",
            "A TIFF or OME-Zarr, or a folder of them: drop it here, or type its path.",
            # Qt has no dialog for a file or a folder, and so there are two buttons
            mode=FileDialogMode.EXISTING_FILE,
        )
        folder = QToolButton()
        folder.setText("folder")
        folder.setToolTip("Choose a folder: of images, or an OME-Zarr.")
        folder.setAccessibleName(f"Choose the {what}-resolution folder")
        folder.clicked.connect(lambda: self._choose_folder(edit))
        layout = edit.native.layout()
        if layout is not None:
            layout.addWidget(folder)
        return edit

    def _choose_folder(self, edit: FileEdit) -> None:
        if path := QFileDialog.getExistingDirectory(self, "Choose a folder"):
            edit.line_edit.value = path
            # setting a value by code does not emit what typing it does
            self.changed.emit()

    def _swap(self) -> None:
        low, high = read_key(self.low), read_key(self.high)
        select(self.low, high)
        select(self.high, low)
        self.layers_chosen.emit()
        self.changed.emit()


def _make_number_box(
    name: str, least: float, most: float, suffix: str = "", *, digits: int = 2
) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setAccessibleName(name)
    box.setToolTip(name)
    box.setDecimals(digits)
    box.setRange(least, most)
    box.setSingleStep(0.05)
    box.setSuffix(suffix)
    box.setKeyboardTracking(False)  # tells of a number once it is complete
    return box
