"""One plane with its result and maps, in which faults are planted and searched."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.faults.detection import detect, orient_and_smooth
from benchmarks.faults.planting import Planted, plant
from benchmarks.faults.tables import FaultExample
from napari_structsr.benchmark.tracks import Track
from napari_structsr.core.types import Array, Float32Array
from napari_structsr.engine.events import result_of
from napari_structsr.inspection.error_maps import iter_inspect
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import MemorySink
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import load_model

__all__ = ["InspectedPlane", "Search"]

_EXAMPLE_SIDE = 96


@dataclass(frozen=True)
class Search:
    """What a search for faults of one kind found.

    Parameters
    ----------
    planted
        The faults.
    maps
        All maps of the result that holds them, by key.
    pairs
        What `detect` says of each.
    """

    planted: Planted
    maps: dict[str, Array]
    pairs: dict[str, tuple[float, float]]


class InspectedPlane:
    """One plane: its measurement, its result, and the maps without a fault.

    Parameters
    ----------
    truth
        Values in 0..1, shape (H, W), sides that the factor divides.
    track
        How it is measured.
    model
        Name of what makes the result.
    device
        As in `UpscaleSettings`.
    """

    def __init__(
        self, truth: Float32Array, track: Track, *, model: str, device: str
    ) -> None:
        self._truth, self._track = truth, track
        self._model, self._device = model, device
        self._measured = track.measure(truth)
        wanted = UpscaleSettings(device=device, precision="float32")
        made_by = load_model(model, factor=track.factor)
        self._result = result_of(
            iter_upscale(
                open_source(self._measured), made_by, MemorySink(), settings=wanted
            )
        )
        self._spread_evenly = self._inspect(self._result, ("spread",))
        self._before = self._orient_all(
            self._inspect(self._result) | self._spread_evenly
        )

    def search(self, fault: str, *, visible: bool, seed: int) -> Search:
        """Plant faults, as `plant` does, and look for them."""
        planted = plant(
            fault,
            self._result,
            self._truth,
            forward_model=self._track.forward_model,
            visible=visible,
            seed=seed,
        )
        # the spread over orientations is that of the source, whatever the result
        maps = self._inspect(planted.image) | self._spread_evenly
        pairs = detect(
            self._orient_all(maps),
            self._before,
            mask=planted.mask,
            touched=planted.touched,
        )
        return Search(planted, maps, pairs)

    def example(self, title: str, search: Search) -> FaultExample:
        """Cut out the surroundings of the first fault."""
        part = []
        for middle, size in zip(
            search.planted.places[0], self._truth.shape, strict=True
        ):
            start = min(max(middle - _EXAMPLE_SIDE // 2, 0), size - _EXAMPLE_SIDE)
            part.append(slice(start, start + _EXAMPLE_SIDE))
        images = {
            "reference": self._truth,
            "result": self._result,
            "with a fault": search.planted.image,
        }
        return FaultExample.of(title, images, search.maps, part=(part[0], part[1]))

    def _inspect(
        self, image: Array, keys: tuple[str, ...] | None = None
    ) -> dict[str, Array]:
        settings = InspectSettings(
            maps=keys, model=self._model, device=self._device, worst=0
        )
        events = iter_inspect(
            image, self._truth, source=self._measured, settings=settings
        )
        return dict(result_of(events).maps)

    @staticmethod
    def _orient_all(maps: dict[str, Array]) -> dict[str, Array]:
        return {key: orient_and_smooth(key, values) for key, values in maps.items()}
