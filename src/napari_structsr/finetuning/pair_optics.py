"""What a conditional model is told of a pair: the blur between its images, the noise.

A pair says by itself how much blur is to be undone: the width that turns its truth into
its measurement, which the registration has fitted. It is what lies *between* the two
images, not the width of the microscope's point-spread function: of a pair of one
microscope with finer and coarser pixels it is small, of a confocal and a STED image it
is wide. So the conditioning stays what it is in a training: the width that is undone.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_structsr.models.conditional_generator import noise_level
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.image_pair import ImagePair


def find_pair_optics(
    pair: ImagePair, model: SRModel | None
) -> tuple[float, float] | tuple[()]:
    """Return the width of the point-spread function and the noise of a pair.

    Both are those of `SRModel.with_optics`: measured pixels, and relative to the range.
    Nothing for a model that cannot be told.
    """
    if model is None or not model.conditional:
        return ()
    return model.nearest_width(pair.psf_sigma), noise_level(*pair.noise)


def describe_pair_optics(pairs: Sequence[ImagePair], model: SRModel) -> str:
    """Say what a model is told of pairs; nothing for one that cannot be told."""
    told = [optics for pair in pairs if (optics := find_pair_optics(pair, model))]
    if not told:
        return ""
    widths, noises = zip(*told, strict=True)
    return (
        f"told a blur of {_format_span(widths, 1)} measured pixels and a noise of "
        f"{_format_span(noises, 100)}% of the range"
    )


def _format_span(values: Sequence[float], scale: float) -> str:
    low, high = (f"{scale * value:.2g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
