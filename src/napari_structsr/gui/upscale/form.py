"""The form of the upscale dock: from widgets to a `Choice`, and back.

It owns labels, tooltips and the order of the rows; what the choices mean together is
decided by `resolve`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QLineEdit, QWidget
from superqt import QLabeledSlider
from superqt.utils import signals_blocked

from napari_structsr.gui.upscale.optics.optics_rows import OpticsRows
from napari_structsr.gui.upscale.part_rows import PartRows
from napari_structsr.gui.upscale.presets import PRESETS
from napari_structsr.gui.upscale.state import (
    AGREEMENTS,
    COLORS,
    Choice,
    DockState,
    shorten_model,
)
from napari_structsr.gui.widgets.cluster_row import make_cluster_edit
from napari_structsr.gui.widgets.controls import (
    choice_combo,
    fill_combo,
    make_form,
    make_path_edit,
    select,
    sentence,
    stack,
)
from napari_structsr.gui.widgets.model_file import ModelFileRow

_TIP = Qt.ItemDataRole.ToolTipRole
_IMAGES = {
    "layers": ("Selected layers", "The image layers that are selected."),
    "folder": ("All images of a folder", "Every TIFF and OME-Zarr of a folder."),
}


class UpscaleForm(QWidget):
    """What the user can choose."""

    changed = Signal()
    """The user has changed something."""
    axes_named = Signal(str)
    """The user has named the axes of the layers, one letter each."""

    def __init__(self) -> None:
        super().__init__()
        self._base = Choice()
        self._axes: str | None = None
        self.preset = choice_combo("Kind of image", _list_presets())
        self.preset_note = sentence()
        self.images = choice_combo("Images", _IMAGES)
        self.image_folder = make_path_edit(
            "Folder of the images",
            "Its TIFF and OME-Zarr images are upscaled one by one.",
            mode=FileDialogMode.EXISTING_DIRECTORY,
        )
        self.layers_label = sentence()
        self.axes = QLineEdit()
        self.axes.setAccessibleName("Axes")
        self.axes.setToolTip(
            "Names of the dimensions of the layer, one letter each: t c z y x. Change "
            "them where they are wrong; the layer keeps them."
        )
        self.origin = sentence()
        self.part = PartRows()
        self.model = choice_combo("Model", {})
        self.file = ModelFileRow()
        self.sharpness = QLabeledSlider(Qt.Orientation.Horizontal)
        self.sharpness.setRange(0, 100)
        self.sharpness.setPageStep(10)
        self.sharpness.setToolTip(
            "0 is faithful, 100 is sharp: more contrast in fine detail, more risk."
        )
        self.factor = choice_combo("Factor", {})
        self._offer_factors(())
        self.factor.setToolTip("Pixels along y and x for each pixel of the image.")
        self.optics = OpticsRows()
        self.agreement = choice_combo("Agreement", AGREEMENTS)
        self.color = choice_combo("Colour", COLORS)
        self.output = choice_combo(
            "Output",
            {
                "memory": ("In memory", "A new layer; save it to keep it."),
                "zarr": (
                    "OME-Zarr folder",
                    "Written tile by tile, for results larger than memory; "
                    "a cancelled run can be continued.",
                ),
            },
        )
        self.folder = FileEdit(mode=FileDialogMode.EXISTING_DIRECTORY, nullable=True)
        self.folder.choose_btn.text = "…"
        self.folder.native.setToolTip(
            "Folder in which a store named after each layer is made."
        )
        self.cluster = make_cluster_edit("image and folder")
        self._layout = make_form(
            [
                ("Images", self.images),
                ("From", self.image_folder.native),
                ("", self.layers_label),
                ("Axes", self.axes),
                ("", self.origin),
                *self.part.rows,
                ("Preset", self.preset),
                ("", self.preset_note),
                ("Model", self.model),
                ("", self.file),
                ("Sharpness", self.sharpness),
                ("Factor", self.factor),
                *self.optics.rows,
                ("Agreement", self.agreement),
                ("Colour", self.color),
                ("Output", self.output),
                ("Folder", self.folder.native),
                ("Cluster", self.cluster),
            ]
        )
        stack(self, self._layout)
        for combo in self._list_combos():
            combo.currentIndexChanged.connect(self._emit_changed)
        self.axes.editingFinished.connect(self._emit_axes)
        self.part.changed.connect(self._emit_changed)
        self.preset.currentIndexChanged.connect(self._take_preset)
        self.image_folder.changed.connect(self._emit_changed)
        self.folder.changed.connect(self._emit_changed)
        self.cluster.editingFinished.connect(self._emit_changed)
        self.sharpness.valueChanged.connect(self._emit_changed)
        self.optics.changed.connect(self._emit_changed)
        self.file.opened.connect(self._choose_model)

    def offer_models(self, models: Mapping[str, str]) -> None:
        """Offer models, and keep the one that is chosen if it is still there.

        Parameters
        ----------
        models
            Name and description of each, the preferred first; of a file its path.
        """
        with signals_blocked(self.model):
            before = self.model.currentData()
            self.model.clear()
            for number, (name, text) in enumerate(models.items()):
                self.model.addItem(shorten_model(name), name)
                self.model.setItemData(number, text, _TIP)
        select(self.model, before)

    def choice(self) -> Choice:
        """Return what the form says."""
        # the folder stays in its row while results go to memory
        folder = None
        if self.output.currentData() == "zarr":
            folder = Path(str(self.folder.value or ""))
        return Choice(
            model=self.model.currentData(),
            factor=self.factor.currentData(),
            agreement=self.agreement.currentData(),
            color=self.color.currentData(),
            folder=folder,
            device=self._base.device,
            tile=self._base.tile,
            sharpness=self.sharpness.value() / 100,
            optics=self.optics.choice(),
            images=self._read_images(),
            scheduler=self.cluster.text().strip(),
            **self.part.read(),
        )

    def show_choice(self, choice: Choice) -> None:
        """Fill the form."""
        self._base = choice  # device and tile have no row: they are preferences
        select(self.model, choice.model)
        select(self.factor, choice.factor)
        select(self.agreement, choice.agreement)
        select(self.color, choice.color)
        select(self.output, "memory" if choice.folder is None else "zarr")
        if choice.folder is not None:
            with self.folder.changed.blocked():
                self.folder.value = choice.folder
        self.cluster.setText(choice.scheduler)
        # a signal here would be taken for a change by the user
        with signals_blocked(self.sharpness):
            self.sharpness.setValue(round(100 * choice.sharpness))

    def show_state(self, state: DockState) -> None:
        """Show the layers, and only the rows and factors that have a meaning."""
        self.layers_label.setText(state.layers)
        self._axes = state.axes
        # what is being typed stays
        if not self.axes.hasFocus() or not self.axes.isModified():
            self.axes.setText(" ".join(state.axes or ""))
        self.origin.setText(state.origin)
        of_layers = state.choice.images is None
        self._layout.setRowVisible(self.image_folder.native, not of_layers)
        self._layout.setRowVisible(self.axes, of_layers and bool(state.axes))
        self._layout.setRowVisible(self.origin, of_layers and bool(state.origin))
        self.part.show_rows(self._layout, state.axes, offers=state.offers_part)
        self._show_preset()
        self._offer_factors(state.factors)
        # a factor that the model lacks stays in the list, greyed
        factors = cast(QStandardItemModel, self.factor.model())
        for index in range(self.factor.count()):
            if item := factors.item(index):
                item.setEnabled(self.factor.itemData(index) in state.factors)
        select(self.factor, state.choice.factor)
        self._layout.setRowVisible(self.sharpness, state.shows_sharpness)
        self.optics.show_state(state.optics, self._layout, factor=state.choice.factor)
        self._layout.setRowVisible(self.color, state.shows_color)
        to_folder = state.choice.folder is not None
        self._layout.setRowVisible(self.folder.native, to_folder)
        # workers write files; an address that was given is seen where they cannot
        cluster = to_folder or bool(state.choice.scheduler)
        self._layout.setRowVisible(self.cluster, cluster)
        # what is said of an entry is seen too while the list is closed
        for combo in self._list_combos():
            if text := combo.currentData(_TIP):
                combo.setToolTip(text)

    def _offer_factors(self, factors: Iterable[int]) -> None:
        """Offer the usual factors, and those that the model has besides."""
        offered = {n: (f"×{n}", "") for n in sorted({2, 4, *factors})}
        if list(offered) != [self.factor.itemData(n) for n in range(len(self.factor))]:
            fill_combo(self.factor, offered, self.factor.currentData())

    def _list_combos(self) -> tuple[QComboBox, ...]:
        combos = self.model, self.factor, self.agreement, self.color, self.output
        return *combos, self.images

    def _read_images(self) -> Path | None:
        if self.images.currentData() == "layers":
            return None
        return Path(str(self.image_folder.value or ""))

    def _take_preset(self) -> None:
        preset = PRESETS.get(self.preset.currentData())
        if preset is not None:
            select(self.model, preset.model)
            select(self.color, preset.color)
            if preset.source is not None:
                self.optics.show_choice(preset.source, confocal=preset.confocal)
        self._emit_changed()

    def _show_preset(self) -> None:
        """Say what a preset has set, for as long as it holds."""
        preset = PRESETS.get(self.preset.currentData())
        if preset is not None and not preset.holds(self.choice()):
            preset = None
            select(self.preset, "")
        self.preset_note.setText("" if preset is None else preset.describe())
        self._layout.setRowVisible(self.preset_note, preset is not None)

    def _emit_axes(self) -> None:
        names = re.sub(r"[\s,]+", "", self.axes.text()).lower()
        self.axes.setModified(False)
        if names != self._axes:
            self.axes_named.emit(names)

    def _choose_model(self, name: str) -> None:
        select(self.model, name)
        self._emit_changed()

    def _emit_changed(self) -> None:
        self.changed.emit()


def _list_presets() -> dict[str, tuple[str, str]]:
    none = ("—", "Sets the controls below to where to begin with images of a kind.")
    return {"": none} | {
        key: (preset.title, f"{preset.reason} {preset.describe()}")
        for key, preset in PRESETS.items()
    }
