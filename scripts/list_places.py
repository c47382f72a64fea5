"""Which unusual places the maps list on right results, and where a filament is erased.

The figures of docs/reading-the-maps.md come from::

    PYTHONPATH=. python scripts/list_places.py BENCHMARK

BENCHMARK holds one folder of images a source. The middle image of each is measured,
upscaled and inspected, once as it is and once with one filament erased.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.faults.planting import plant
from benchmarks.faults.run import _cut_truth, _read_middle_plane, _spread_evenly
from napari_structsr.benchmark.tracks import TRACKS
from napari_structsr.engine.events import result_of
from napari_structsr.errors import SourceError
from napari_structsr.inspection.error_maps import iter_inspect
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.io.formats.image_folders import find_images
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import MemorySink
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import load_model

_MARGIN = 8  # pixels beside a place where a filament still counts as in it


def main(folder: Path) -> None:
    """Print a line for each source."""
    track, model = TRACKS["x2-mild"], load_model("sharp")
    chosen = UpscaleSettings(device="cpu")
    # as users do, the map of each kind that is shown first
    settings = InspectSettings(
        device="cpu",
        model="sharp",
        maps=("ssim", "residual", "artefact", "trust", "squirrel", "null_space"),
    )
    for number, image in enumerate(_spread_evenly(list(find_images(folder)), 1)):
        try:
            truth = _cut_truth(_read_middle_plane(image)[1], track)
        except SourceError:
            continue
        source = track.measure(truth)
        result = result_of(
            iter_upscale(open_source(source), model, MemorySink(), settings=chosen)
        )
        planted = plant(
            "erased filament",
            np.asarray(result, np.float32),
            truth,
            forward_model=track.forward_model,
            seed=number,
            count=1,
        )
        whole, erased = (
            result_of(iter_inspect(pixels, truth, source=source, settings=settings))
            for pixels in (np.asarray(result, np.float32), planted.image)
        )
        first = next((p for p in erased.worst if p.map == "residual"), None)
        hit = first is not None and all(
            start - _MARGIN <= middle < stop + _MARGIN
            for (start, stop), middle in zip(
                (first.rows, first.columns), planted.places[0], strict=True
            )
        )
        places = dict(Counter(place.map for place in whole.worst))
        print(
            f"{image.source}: {places or 'no place'} on the result as it is; the "
            f"erased filament {'is' if hit else 'is not'} number 1",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
