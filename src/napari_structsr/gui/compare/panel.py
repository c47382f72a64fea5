"""The panel for comparing layers: which ones, how, and what they hold at the cursor.

The ticks follow the selection until the user ticks a box; from then on they are the
user's, until none of the ticked layers is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QVBoxLayout

from napari_structsr.errors import SettingsError
from napari_structsr.gui.compare.comparison import LayerComparison, Mode
from napari_structsr.gui.compare.form import CompareForm
from napari_structsr.gui.compare.readout import Readout
from napari_structsr.gui.compare.rules import (
    compare_obstacle,
    link_obstacle,
    suggest_layers,
)
from napari_structsr.gui.compare.swipe import swipe_obstacle
from napari_structsr.gui.widgets.viewer_widget import ViewerWidget


class ComparePanel(ViewerWidget):
    """Compares image layers of a viewer."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self.comparison: LayerComparison | None = None  # the one under way
        self._images: list[Image] = []
        self._sides: list[Image] = []
        self._ticked_by_hand = False
        self._is_released = False
        self.readout = Readout(viewer)
        self.readout.setParent(self)
        # a dock that nobody sees reads no pixels
        self.readout.follow(False)
        self.form = CompareForm()
        layout = QVBoxLayout(self)
        layout.addWidget(self.form)
        layout.addStretch(1)
        self._connect()
        self._list()

    @property
    def layers(self) -> list[Image]:
        """The ticked layers, in the order of the layer list."""
        ticks = zip(self._images, self.form.ticks(), strict=True)
        return [image for image, ticked in ticks if ticked]

    @layers.setter
    def layers(self, layers: Sequence[Image]) -> None:
        self._ticked_by_hand = True
        self._tick(layers)

    def start(self, mode: Mode) -> None:
        """Compare the ticked layers, as a click on the button of the mode does."""
        # the buttons say why
        with suppress(SettingsError):
            if self.comparison is None:
                self.comparison = LayerComparison(self._viewer, self.layers, self)
                self.comparison.changed.connect(self._show)
                self.comparison.moved.connect(self.form.show_line)
                self.comparison.ended.connect(self._on_end)
                self._share_contrast(self.form.contrast.isChecked())
            if mode == "side by side":
                self.comparison.side_by_side()
            elif mode == "blink":
                self.comparison.blink(self.form.period.value())
            else:
                self.comparison.swipe(left=self._sides[0], right=self._sides[1])
        self._show()

    def end(self) -> None:
        """Show the viewer as it was before, if a comparison is under way."""
        if self.comparison is not None:
            self.comparison.end()

    def release(self) -> None:
        """End the comparison, and leave the viewer alone from now on."""
        self._is_released = True
        self.end()
        self.readout.follow(False)
        super().release()

    def _connect(self) -> None:
        layers = self._viewer.layers
        self.follow(
            (layers.events.inserted, self._list),
            (layers.events.removed, self._list),
            (layers.events.reordered, self._list),
            (layers.events.renamed, self._list),
            (layers.selection.events.changed, self._follow_selection),
            (self._viewer.dims.events.ndisplay, self._show),
        )
        form = self.form
        form.ticked.connect(self._on_tick)
        for mode, button in form.buttons.items():
            # a second click leaves the mode
            button.clicked.connect(
                lambda on, m=mode: self.start(m) if on else self.end()
            )
        form.end_button.clicked.connect(self.end)
        form.period.valueChanged.connect(self._on_period)
        form.pause_button.clicked.connect(self._on_pause)
        form.next_button.clicked.connect(self._on_next)
        # `activated` is emitted for the user alone
        form.left.activated.connect(lambda row: self._on_side(0, row))
        form.right.activated.connect(lambda row: self._on_side(1, row))
        form.line_moved.connect(self._on_line)
        form.contrast.toggled.connect(self._share_contrast)
        self.readout.changed.connect(self._show_values)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Look up values while the panel is seen."""
        super().showEvent(event)
        self.readout.follow(not self._is_released)

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802
        """Look up no values for nobody."""
        super().hideEvent(event)
        self.readout.follow(self.comparison is not None and not self._is_released)

    def _list(self) -> None:
        if self.is_gone:
            return
        ticked = self.layers if self._images else []
        self._images = [la for la in self._viewer.layers if isinstance(la, Image)]
        left = [layer for layer in ticked if layer in self._images]
        self._ticked_by_hand = self._ticked_by_hand and bool(left)
        self._tick(left)
        self._follow_selection()

    def _follow_selection(self) -> None:
        # a click in the layer list must not change what is being compared
        if not (self.is_gone or self._ticked_by_hand or self.comparison):
            layers = self._viewer.layers
            self._tick(suggest_layers(list(layers), list(layers.selection)))

    def _on_tick(self) -> None:
        self._ticked_by_hand = True
        self._apply()

    def _tick(self, layers: Sequence[Image]) -> None:
        rows = [row for row, image in enumerate(self._images) if image in layers]
        self.form.show_list([image.name for image in self._images], rows)
        self._apply()

    def _apply(self) -> None:
        layers = self.layers
        sides = [side for side in self._sides if side in layers]
        others = [layer for layer in layers if layer not in sides]
        if len(sides) < 2 <= len(layers):
            # a side that is still there stays
            sides = [others[0], *sides] if len(sides) == 1 else [layers[0], layers[-1]]
            sides.sort(key=layers.index)
        self._sides = sides
        comparison = self.comparison
        if comparison is not None and comparison.layers != layers:
            mode = comparison.mode
            try:
                comparison.layers = layers
            except SettingsError:
                comparison.end()
            else:
                # layers that cannot share it may have gone
                self._share_contrast(self.form.contrast.isChecked())
                if mode == "swipe":
                    comparison.swipe(left=sides[0], right=sides[1])
        names = [layer.name for layer in layers]
        self.form.table.show_names(names)
        if len(sides) == 2:
            self.form.show_sides(names, *map(layers.index, sides))
        self.readout.layers = layers
        self._show()

    def _on_end(self) -> None:
        if self.comparison is not None:
            self.comparison.deleteLater()
            self.comparison = None
        self.readout.follow(self.isVisible() and not self._is_released)
        self._show()

    def _on_period(self, seconds: float) -> None:
        if self.comparison is not None and self.comparison.is_blinking:
            self.comparison.blink(seconds)

    def _on_pause(self) -> None:
        if self.comparison is not None and self.comparison.is_blinking:
            self.comparison.pause()
        else:
            self.start("blink")

    def _on_next(self) -> None:
        if self.comparison is not None:
            self.comparison.step()

    def _on_side(self, side: int, row: int) -> None:
        chosen = self.layers[row]
        # one that stands on the other side already changes places
        if self._sides[1 - side] == chosen:
            self._sides.reverse()
        else:
            self._sides[side] = chosen
        self.form.show_sides(
            [la.name for la in self.layers], *map(self.layers.index, self._sides)
        )
        self.start("swipe")

    def _on_line(self, share: float) -> None:
        if self.comparison is not None and self.comparison.line is not None:
            self.comparison.line.fraction = share

    def _share_contrast(self, wanted: bool) -> None:
        if self.comparison is not None:
            possible = link_obstacle(self.layers) is None
            self.comparison.share_contrast(wanted and possible)

    def _show(self) -> None:
        if self.is_gone:
            return
        layers, comparison = self.layers, self.comparison
        none = compare_obstacle(layers)
        swipe = none or swipe_obstacle(self._viewer)
        self.form.show_obstacles({"side by side": none, "blink": none, "swipe": swipe})
        self.form.show_mode(None if comparison is None else comparison.mode)
        if comparison is not None and comparison.shown is not None:
            self.form.show_blink(comparison.shown.name, alone=comparison.is_blinking)
        if comparison is not None and comparison.line is not None:
            self.form.show_line(comparison.line.fraction)
        unlike = none or link_obstacle(layers)
        self.form.contrast.setEnabled(unlike is None)
        self.form.contrast.setToolTip(
            unlike or "All layers take the contrast of the first until the end."
        )
        self.readout.in_status = comparison is not None

    def _show_values(self, place: str, texts: list[str]) -> None:
        self.form.place.setText(f"At {place}" if place else "Values under the cursor")
        self.form.table.show_values(texts)
