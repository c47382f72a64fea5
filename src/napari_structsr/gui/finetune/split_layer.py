"""Training and validation regions, as rectangles that can be edited.

There is one Shapes layer for each image layer that pairs were taken from. Whether a
split may be used is decided by the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from napari.layers import Layer, Shapes
from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from superqt.utils import qdebounced

from napari_structsr.gui.finetune.pairs_entry import PairEntry
from napari_structsr.gui.viewer.layers import (
    KEY,
    copy_placement,
    insert_above,
    key_of,
)

if TYPE_CHECKING:
    from napari_structsr.finetuning.split import Block, Split

Role = Literal["training", "validation"]

COLORS: dict[Role, str] = {"training": "#56b4e9", "validation": "#e69f00"}
"""Sky blue and orange of Okabe and Ito, apart for every kind of eye."""

_ALPHA = "38"  # of the inside of a rectangle: 22%
_PAUSE = 150  # milliseconds after the last edit
_WIDTH = 0.006  # of the longer side of the pairs


class SplitLayers(QObject):
    """The rectangles of a split in a viewer."""

    edited = Signal()
    """The user has changed a rectangle."""
    selected_changed = Signal()
    """Other rectangles are selected."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._entries: Sequence[PairEntry] = ()
        self._split: Split | None = None
        self._layers: dict[str, Shapes] = {}
        self._selected = 0
        self._emit_edited_later = qdebounced(self._emit_edited, timeout=_PAUSE)

    @property
    def layers(self) -> list[Shapes]:
        """The layers that are in the viewer."""
        return [one for one in self._layers.values() if one in self._viewer.layers]

    def show(self, entries: Sequence[PairEntry], split: Split) -> None:
        """Show a split of pairs, which its blocks count in this order."""
        self.remove()
        self._entries, self._split = entries, split
        drawn: dict[str, list[tuple[Role, npt.NDArray[np.float64]]]] = {}
        parts: dict[Role, tuple[Block, ...]] = {
            "training": split.training,
            "validation": split.validation,
        }
        for role, blocks in parts.items():
            for block in blocks:
                # pairs of files have no layer to be drawn on
                frame = entries[block.pair].frame
                if frame is not None:
                    corners = frame.to_layer(block.rows, block.columns)
                    drawn.setdefault(frame.layer, []).append((role, corners))
        images = {key_of(layer): layer for layer in self._viewer.layers}
        for key, shapes in drawn.items():
            if key in images:
                self._add(images[key], key, shapes)

    def remove(self) -> None:
        """Take the rectangles away."""
        for layer in self.layers:
            layer.events.data.disconnect(self._wait_for_edit)
            layer.events.highlight.disconnect(self._check_selection)
            self._viewer.layers.remove(layer)
        self._layers.clear()

    def set_role(self, role: Role) -> None:
        """Use the selected rectangles for training or validation."""
        for layer in self.layers:
            roles = list(layer.features["role"])
            for number in layer.selected_data:
                roles[number] = role
            self._write_roles(layer, roles)
        self._emit_edited_later()

    @property
    def selected_count(self) -> int:
        """How many rectangles are selected."""
        return sum(len(layer.selected_data) for layer in self.layers)

    def read(self) -> tuple[Split | None, str | None]:
        """Return the split as it is drawn, or what is wrong with it in words."""
        from napari_structsr.finetuning.split import Split

        if self._split is None:
            return None, "There is no split yet."
        blocks: dict[Role, list[Block]] = {
            "training": self._list_hidden(self._split.training),
            "validation": self._list_hidden(self._split.validation),
        }
        for key, layer in self._layers.items():
            if layer not in self._viewer.layers:
                return None, (
                    f"The layer {layer.name} with the split is gone: tick “show split”."
                )
            for corners, role in zip(layer.data, layer.features["role"], strict=True):
                block = self._find_block(key, np.asarray(corners))
                if block is None:
                    return None, (
                        "A rectangle of the split lies outside of every pair: move it "
                        "onto one, or delete it."
                    )
                blocks[_read_role(role)].append(block)
        return (
            Split(
                training=tuple(blocks["training"]),
                validation=tuple(blocks["validation"]),
                gap=self._split.gap,
            ),
            None,
        )

    def _list_hidden(self, blocks: Sequence[Block]) -> list[Block]:
        """Return the blocks that are not drawn, since their pairs are files."""
        return [
            block
            for block in blocks
            if (frame := self._entries[block.pair].frame) is None
            or frame.layer not in self._layers
        ]

    def _find_block(
        self, key: str, corners: npt.NDArray[np.floating[Any]]
    ) -> Block | None:
        """Return the block of the pair on which most of a rectangle lies."""
        from napari_structsr.finetuning.split import Block

        best: tuple[int, Block] | None = None
        for number, entry in enumerate(self._entries):
            frame, pair = entry.frame, entry.pair
            if frame is None or pair is None or frame.layer != key:
                continue
            if not frame.contains(corners):
                continue
            spans = [
                (max(0, first), min(size, last))
                for (first, last), size in zip(
                    frame.to_pixels(corners), pair.measured.shape, strict=True
                )
            ]
            # a rectangle on two pairs belongs to the one with more of its pixels
            sides = [last - first for first, last in spans]
            if min(sides) > 0 and (best is None or sides[0] * sides[1] > best[0]):
                best = sides[0] * sides[1], Block(number, spans[0], spans[1])
        return None if best is None else best[1]

    def _add(
        self,
        image: Layer,
        key: str,
        shapes: Sequence[tuple[Role, npt.NDArray[np.float64]]],
    ) -> None:
        corners = [one for _, one in shapes]
        # edges are drawn in pixels of the layer, whatever the zoom
        wide = max(float(np.ptp(one, axis=0).max()) for one in corners)
        layer = Shapes(
            corners,
            shape_type="rectangle",
            name=f"split of {image.name}",
            features={"role": [role for role, _ in shapes]},
            text={
                "string": "{role}",
                "size": 9,
                "color": "white",
                "anchor": "upper_left",
            },
            edge_width=_WIDTH * wide,
            metadata={KEY: "split"},
            **copy_placement(image),
        )
        # a new rectangle must not train before the user says so
        layer.feature_defaults = {"role": ["validation"]}
        self._write_roles(layer, [role for role, _ in shapes])
        # to the top, since it is not in the list; unlike `append` it keeps the
        # selection, which the forms follow
        insert_above(self._viewer, layer, layer)
        self._layers[key] = layer
        layer.events.data.connect(self._wait_for_edit)
        layer.events.highlight.connect(self._check_selection)

    def _write_roles(self, layer: Shapes, roles: Sequence[Role]) -> None:
        layer.features = {"role": list(roles)}  # emits no `data` event
        if roles:  # napari takes no empty list of colours
            layer.edge_color = [COLORS[role] for role in roles]
            layer.face_color = [COLORS[role] + _ALPHA for role in roles]
            layer.refresh()

    def _wait_for_edit(self, event: Any) -> None:
        # a drag emits many events, and the split is checked once it has ended
        self._emit_edited_later()

    def _check_selection(self) -> None:
        # napari tells of a highlight whenever the mouse moves over a shape
        if self.selected_count != self._selected:
            self._selected = self.selected_count
            self.selected_changed.emit()

    def _emit_edited(self) -> None:
        for layer in self.layers:
            # a new rectangle has the colour that was used last, whatever its role
            self._write_roles(layer, list(map(_read_role, layer.features["role"])))
        self.edited.emit()


def _read_role(value: object) -> Role:
    """Return a role; whatever a user has typed instead is for validation."""
    return "training" if value == "training" else "validation"
