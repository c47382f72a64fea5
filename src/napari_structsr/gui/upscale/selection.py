"""The layers that the Upscale dock works on, and what must be known of them."""

from __future__ import annotations

from dataclasses import replace

from napari.layers import Image, Layer
from napari.viewer import Viewer

from napari_structsr.errors import StructsrError
from napari_structsr.gui.upscale.layer_image import describe_origin
from napari_structsr.gui.upscale.optics.file_optics import open_measured
from napari_structsr.gui.upscale.optics.mark_layers import MarkLayers
from napari_structsr.gui.upscale.optics.measured_optics import MeasuredOptics
from napari_structsr.gui.upscale.optics.optics_choice import OpticsChoice
from napari_structsr.gui.upscale.optics.optics_state import Measured
from napari_structsr.gui.upscale.region_layers import RegionLayers
from napari_structsr.gui.upscale.run import fit_choice, open_part
from napari_structsr.gui.upscale.state import Choice, LayerFacts
from napari_structsr.gui.viewer.file_opening import has_file
from napari_structsr.gui.viewer.layers import layer_obstacle


class SelectedLayers:
    """The selection of a viewer, with what the user points at and draws.

    Parameters
    ----------
    viewer
        Whose selection it is.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.marks = MarkLayers(viewer)
        self.measured = MeasuredOptics(self.marks)
        self.regions = RegionLayers(viewer)

    def list_all(self) -> list[Layer]:
        """Return the selected layers, each once."""
        layers = self._viewer.layers
        chosen = [layer for layer in layers if layer in layers.selection]
        # while the user points or draws, the marks or the rectangle are selected
        found = [
            self.regions.stand_for(self.marks.stand_for(layer)) for layer in chosen
        ]
        return list(dict.fromkeys(found))

    def list_usable(self) -> list[Image]:
        """Return those that can be upscaled."""
        return [layer for layer in self.list_all() if layer_obstacle(layer) is None]

    def complete(self, choice: Choice) -> Choice:
        """Return a choice with what the user points at in the first layer."""
        usable = self.list_usable()
        # marks lie on one image
        first = usable[0] if usable else None
        return replace(choice, optics=self.measured.complete(first, choice.optics))

    def fit(self, layer: Image, choice: Choice) -> Choice:
        """Return a choice as it is meant for one layer.

        Raises
        ------
        StructsrError
            If the rectangle does not lie on it.
        """
        return fit_choice(self.regions.complete(layer, choice), layer)

    def describe(self, choice: Choice, *, told: bool) -> list[LayerFacts]:
        """Return what is known of each; `told` if the optics count."""
        return [self._describe(layer, choice, told=told) for layer in self.list_all()]

    def release(self) -> None:
        """Leave the viewer alone from now on."""
        self.measured.release()
        self.marks.release()
        self.regions.release()

    def _describe(self, layer: Layer, choice: Choice, *, told: bool) -> LayerFacts:
        rgb, obstacle = getattr(layer, "rgb", False), layer_obstacle(layer)
        if obstacle is not None:
            return LayerFacts(layer.name, rgb, obstacle)
        axes, origin = describe_origin(layer)
        facts = LayerFacts(
            layer.name, rgb, axes=axes, origin=origin, in_file=has_file(layer)
        )
        try:
            if choice.reading or choice.area:
                whole = replace(choice, optics=OpticsChoice())
                open_part(layer, self.fit(layer, whole))
        except StructsrError as error:
            facts = replace(facts, part_obstacle=f"{layer.name}: {error}")
        if not told:
            return facts
        spec = open_measured(layer, choice.optics).spec
        measured = self._find_measured(layer, choice.optics)
        return replace(facts, spec=spec, measured=measured)

    def _find_measured(self, layer: Image, optics: OpticsChoice) -> Measured:
        if not optics.measures:
            return None
        if optics.marked and len(self.list_usable()) > 1:
            return "Marks lie on one image: select it alone."
        return self.measured.find(layer, optics)
