"""A lens: what lies below the mouse, upscaled.

A small layer follows the cursor. Its pixels come from the same tiles as those of
`as_you_look`, so that nothing is computed twice, and the mouse is never waited for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer

from napari_structsr.gui.upscale.as_you_look import load_tiles
from napari_structsr.gui.upscale.preview_layer import draw_frame
from napari_structsr.gui.upscale.run import fit_choice
from napari_structsr.gui.upscale.state import Choice
from napari_structsr.gui.viewer.jobs import Job
from napari_structsr.gui.viewer.layers import (
    KEY,
    find_placement,
    free_name,
    names_of,
    result_layer,
)
from napari_structsr.gui.viewer.screen_tiles import ScreenTiles
from napari_structsr.io.open import open_source

_SHARE = 4  # the lens is as wide as that part of the view
_SIDES = 16, 192  # measured pixels along its side, at least and at most


class Lens:
    """The lens of a viewer; there is at most one.

    Parameters
    ----------
    viewer
        Whose mouse is followed.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._source: Image | None = None
        self._glass: Image | None = None
        self._tiles: ScreenTiles | None = None
        self.last_job: Job | None = None
        """What loads the tiles of the lens that is in use."""
        self._factor = 1

    def start(self, layer: Image, choice: Choice) -> Job:
        """Look at a layer through the lens from now on."""
        self.remove()
        choice = fit_choice(choice, layer)
        self._source, self._factor = layer, choice.factor
        self.last_job = job = load_tiles(
            layer, choice, opened=self._open, loaded=self._draw
        )
        self._viewer.mouse_move_callbacks.append(self._follow)
        self._viewer.layers.events.removed.connect(self._forget)
        job.start()
        return job

    def remove(self) -> None:
        """Put the lens away."""
        job, self.last_job = self.last_job, None
        if job is None:
            return
        self._viewer.mouse_move_callbacks.remove(self._follow)
        self._viewer.layers.events.removed.disconnect(self._forget)
        job.cancel()
        glass, self._glass, self._tiles = self._glass, None, None
        if glass is not None and glass in self._viewer.layers:
            self._viewer.layers.remove(glass)
        self._source = None

    def _open(self, tiles: ScreenTiles) -> None:
        self._tiles = tiles
        self._draw()

    def _follow(self, _: Any, __: Any) -> None:
        self._draw()

    def _forget(self, event: Any) -> None:
        if event.value in (self._source, self._glass):
            self.remove()

    def _draw(self) -> None:
        """Show what lies below the mouse, as far as it is there."""
        source, tiles = self._source, self._tiles
        if source is None or tiles is None or self._viewer.dims.ndisplay != 2:
            return
        axes = open_source(source).spec.axes
        # a plane in a viewer of stacks has the last dimensions alone
        position = self._viewer.cursor.position[-source.ndim :]
        point = source.world_to_data(position)
        sizes = [axis.size for axis in axes.items if axis.name != "s"]
        index = [
            int(np.clip(round(p), 0, n - 1)) for p, n in zip(point, sizes, strict=True)
        ]
        side = self._choose_side(source)
        for dim in (-2, -1):
            # the whole lens stays inside of the image
            first = round(point[dim]) - side // 2
            index[dim] = int(np.clip(first, 0, max(0, sizes[dim] - side)))
        places = [
            slice(
                index[dim] * self._factor,
                min(index[dim] + side, sizes[dim]) * self._factor,
            )
            for dim in (-2, -1)
        ]
        seen = np.asarray(tiles.screen_levels[0][(*index[:-2], *places)])
        self._show(source, seen[(None,) * (len(index) - 2)], index)

    def _show(self, source: Image, pixels: Any, index: list[int]) -> None:
        if self._glass is None:
            self._glass = result_layer(
                source,
                pixels,
                factor=self._factor,
                axes=open_source(source).spec.axes,
                name=free_name("lens", names_of(self._viewer)),
                metadata={KEY: "preview"},
                origin=index,
            )
            draw_frame(self._glass)
            chosen = set(self._viewer.layers.selection)
            active = self._viewer.layers.selection.active
            self._viewer.layers.append(self._glass)
            # what is looked at stays selected
            self._viewer.layers.selection = chosen
            self._viewer.layers.selection.active = active
            return
        start = np.array(index, float)
        start[-2:] += (1 / self._factor - 1) / 2
        self._glass.data = pixels
        self._glass.translate = find_placement(source, start)["translate"]

    def _choose_side(self, source: Image) -> int:
        """Return the side of the lens in measured pixels."""
        corners = np.array(source.corner_pixels, float)
        if source.multiscale:  # napari counts in pixels of the level that it shows
            corners *= source.downsample_factors[source.data_level]
        low, high = _SIDES
        wide = float((corners[1] - corners[0])[-2:].max())
        return int(np.clip(wide / _SHARE, low, high))
