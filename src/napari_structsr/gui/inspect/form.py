"""The form of the structure-error dock: which layers, which maps, and how.

What the choices mean together is decided by `resolve_inspection`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from magicgui.types import FileDialogMode
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QToolButton,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_structsr.core.error_map import MAPS
from napari_structsr.gui.inspect.state import (
    ErrorDockState,
    InspectChoice,
    describe_map,
)
from napari_structsr.gui.viewer.plain_text import keep_plain
from napari_structsr.gui.widgets.cluster_row import make_cluster_edit
from napari_structsr.gui.widgets.controls import (
    NarrowCombo,
    enable,
    make_form,
    make_path_edit,
    offer,
    read_key,
    row,
    sentence,
    stack,
)


class MapList(QListWidget):
    """All maps, to be ticked; those that cannot be computed say why."""

    ticked = Signal()
    """The user has ticked or unticked a map."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, QListWidgetItem] = {}
        for needs_reference, heading in (
            (True, "Against the reference: what is wrong"),
            (False, "Without a reference: what is unsupported"),
        ):
            title = QListWidgetItem(heading)
            title.setFlags(Qt.ItemFlag.NoItemFlags)
            font = title.font()
            font.setBold(True)
            title.setFont(font)
            self.addItem(title)
            for key, entry in MAPS.items():
                if entry.needs_reference == needs_reference:
                    item = QListWidgetItem(entry.plain)
                    item.setCheckState(Qt.CheckState.Unchecked)
                    self.addItem(item)
                    self.lines[key] = item
        line = max(self.sizeHintForRow(0), self.fontMetrics().lineSpacing())
        # all maps are seen at once; the dock scrolls as a whole
        self.setFixedHeight(self.count() * line + 2 * self.frameWidth() + 4)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Maps")
        self.itemChanged.connect(self.ticked)

    def keys(self) -> frozenset[str]:
        """Return what is ticked, also where it cannot be computed."""
        items, checked = self.lines.items(), Qt.CheckState.Checked
        return frozenset(key for key, item in items if item.checkState() == checked)

    def show_ticks(
        self, keys: frozenset[str], obstacles: Mapping[str, str | None]
    ) -> None:
        """Tick maps, and say of each what it means or why it cannot be computed."""
        box, enabled = Qt.ItemFlag.ItemIsUserCheckable, Qt.ItemFlag.ItemIsEnabled
        with signals_blocked(self):
            for key, item in self.lines.items():
                obstacle, states = obstacles.get(key), Qt.CheckState
                # the tick stays: the map may become possible with other layers
                item.setCheckState(states.Checked if key in keys else states.Unchecked)
                item.setFlags(box | enabled if obstacle is None else box)
                item.setToolTip(keep_plain(describe_map(MAPS[key], obstacle)))


class ErrorForm(QWidget):
    """What the user can choose."""

    changed = Signal()
    """The user has changed something."""
    layers_chosen = Signal()
    """The user has chosen a layer by hand."""
    swap_asked = Signal()
    """Result and reference are to change places."""
    selection_asked = Signal()
    """The layers are to be taken from the selection again."""

    def __init__(self) -> None:
        super().__init__()
        self.result = NarrowCombo("Result", "What is inspected: the upscaled image.")
        self.reference = NarrowCombo(
            "Reference",
            "The ground truth: the same field of view at high resolution. Pixel size "
            "and position may differ; it is resampled by world coordinates.",
        )
        self.source = NarrowCombo(
            "Source", "The image that the result was made from, with larger pixels."
        )
        self.regions = NarrowCombo(
            "Regions",
            "Shapes or labels that are scored one by one, besides the whole plane. "
            "Where shapes overlap, the upper one counts.",
        )
        self.swap_button = QToolButton()
        self.swap_button.setText("⇅")
        self.swap_button.setAccessibleName("Swap result and reference")
        self.selection_button = QToolButton()
        self.selection_button.setText("↺")
        self.selection_button.setAccessibleName("Take the selected layers")
        self.selection_button.setToolTip("Take the selected layers again.")
        self.everywhere = QCheckBox("shapes on every plane")
        self.everywhere.setToolTip(
            "Each shape counts on all planes, not only on the one it was drawn on."
        )
        self.register_box = QCheckBox("register")
        self.register_box.setToolTip(
            "Move the reference by less than a pixel so that it fits best; the shift "
            "is reported."
        )
        self.fit = QCheckBox("fit intensity")
        self.fit.setToolTip(
            "Fit gain and offset of the result to the reference before comparing; "
            "both are reported. Errors of brightness are then not seen."
        )
        self.maps = MapList()
        self.hint = sentence()
        self.output = QComboBox()
        self.output.setAccessibleName("Output")
        self.output.addItem("In memory", "memory")
        self.output.addItem("Folder", "folder")
        self.output.setToolTip(
            "In memory: new layers. Folder: OME-Zarr maps, scores as CSV and a report; "
            "for stacks larger than memory, and a cancelled run can be continued."
        )
        self.folder = make_path_edit(
            "Folder",
            "Maps, scores and report come into a new folder in this one.",
            mode=FileDialogMode.EXISTING_DIRECTORY,
        )
        self.calibration = make_path_edit(
            "Calibration",
            "Optional: a file of structsr calibrate, made from your own pairs. It "
            "replaces the calibration of the model for the expected error.",
            mode=FileDialogMode.EXISTING_FILE,
            pattern="*.json",
        )
        self.device = QComboBox()
        self.device.setAccessibleName("Device")
        self.device.addItems(("auto", "cpu", "cuda", "mps"))
        self.device.setToolTip("Where to compute; auto takes a GPU if there is one.")
        self.cluster = make_cluster_edit("images and folder")
        self._align = row(self.register_box, self.fit)
        self._layout = make_form(
            [
                ("Result", row(self.result, self.selection_button)),
                ("Reference", row(self.reference, self.swap_button)),
                ("", self._align),
                ("Source", self.source),
                ("Regions", self.regions),
                ("", self.everywhere),
            ]
        )
        self._below = make_form(
            [
                ("Calibration", self.calibration.native),
                ("Output", row(self.output, self.device)),
                ("Folder", self.folder.native),
                ("Cluster", self.cluster),
            ]
        )
        stack(self, self._layout, self.hint, self.maps, self._below)
        self._connect()

    def _connect(self) -> None:
        for combo in (self.result, self.reference, self.source):
            combo.currentIndexChanged.connect(self.layers_chosen)
            combo.currentIndexChanged.connect(self.changed)
        for choice in (self.regions, self.output, self.device):
            choice.currentIndexChanged.connect(self.changed)
        for box in (self.everywhere, self.register_box, self.fit):
            box.toggled.connect(self.changed)
        for edit in (self.folder, self.calibration):
            # no signal of Qt: it would hand on the path, which `changed` does not take
            edit.changed.connect(lambda: self.changed.emit())
        self.cluster.editingFinished.connect(self.changed)
        self.maps.ticked.connect(self.changed)
        self.swap_button.clicked.connect(self.swap_asked)
        self.selection_button.clicked.connect(self.selection_asked)

    def choice(self) -> InspectChoice:
        """Return what the form says."""
        in_folder = self.output.currentData() == "folder"
        calibration = str(self.calibration.value or "")
        return InspectChoice(
            result=read_key(self.result),
            reference=read_key(self.reference),
            source=read_key(self.source),
            regions=read_key(self.regions),
            everywhere=self.everywhere.isChecked(),
            maps=self.maps.keys(),
            register=self.register_box.isChecked(),
            fit_intensity=self.fit.isChecked(),
            # an empty path stands for a folder that is still to be chosen
            folder=Path(str(self.folder.value or "")) if in_folder else None,
            device=self.device.currentText(),
            scheduler=self.cluster.text().strip(),
            # magicgui gives an empty edit back as None or as "."
            calibration=None if calibration in ("", ".") else Path(calibration),
        )

    def show_state(
        self,
        state: ErrorDockState,
        *,
        images: Sequence[tuple[str, str]],
        regions: Sequence[tuple[str, str]],
        flat: bool,
    ) -> None:
        """Show the choice, and only the rows that have a meaning.

        Layers that can be chosen come with key and name; `flat` regions are no shapes
        drawn on one plane of several.
        """
        choice = state.choice
        offer(self.result, images, choice.result, none="choose a layer")
        offer(self.reference, images, choice.reference, none="no reference")
        offer(self.source, images, choice.source, none="no source")
        offer(self.regions, regions, choice.regions, none="whole planes")
        for box, checked in (
            (self.everywhere, choice.everywhere),
            (self.register_box, choice.register),
            (self.fit, choice.fit_intensity),
        ):
            with signals_blocked(box):
                box.setChecked(checked)
        self.maps.show_ticks(choice.maps, state.obstacles)
        self.hint.setText(state.hint)
        self.hint.setVisible(bool(state.hint))
        self._layout.setRowVisible(self._align, choice.reference is not None)
        self._layout.setRowVisible(self.everywhere, not flat)
        to_folder = choice.folder is not None
        self._below.setRowVisible(self.folder.native, to_folder)
        # an address that stands in the way is seen
        self._below.setRowVisible(self.cluster, to_folder or bool(choice.scheduler))
        if not self.cluster.hasFocus():
            self.cluster.setText(choice.scheduler)
        enable(self.swap_button, state.swap, "Swap result and reference.")
        with signals_blocked(self.device):
            # preferences may name another one, such as cuda:1
            if self.device.findText(choice.device) < 0:
                self.device.addItem(choice.device)
            self.device.setCurrentText(choice.device)
