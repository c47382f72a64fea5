"""The pairs that the file of a fine-tuning names, made from the images it names."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.config import FineTuneConfig
from napari_structsr.io.open import open_source
from napari_structsr.pairs.checks import find_twin
from napari_structsr.pairs.duplicate_fields import note_overlap
from napari_structsr.pairs.image_pair import ImagePair
from napari_structsr.pairs.register_pair import field_pair
from napari_structsr.pairs.simulate import high_only_pair


def load_pairs(config: FineTuneConfig) -> list[ImagePair]:
    """Make the pairs of a file.

    Parameters
    ----------
    config
        With absolute paths, as `read_fine_tuning` gives it.

    Raises
    ------
    TrainingError
        If it names no pairs, one of them twice, or two images are no pair to learn
        from.
    SourceError
        If an image cannot be read.
    """
    if not config.pairs:
        raise TrainingError(
            "the file names no pairs; add at least one, with the path of its true "
            "image as high"
        )
    # Many pairs of a file come from one image, which is opened once.
    open_once = cache(open_source)
    about = config.microscope
    pairs: list[ImagePair] = []
    for number, files in enumerate(config.pairs):
        # Counted from 1, as the list of the dock does.
        name = f"{number + 1}: {Path(files.low or files.high).name}"
        common: dict[str, Any] = {
            "factor": config.factor,
            "region": files.region,
            "plane": files.plane,
            "name": name,
        }
        if files.low is not None:
            low, high = open_once(files.low), open_once(files.high)
            pair = field_pair(low, high, bins=files.bins, **common)
        else:
            pair = high_only_pair(
                open_once(files.high),
                psf_sigma=about.psf_sigma,
                sample=open_once(about.sample) if about.sample else None,
                photons=about.photons,
                read_noise=about.read_noise,
                # Another noise for each pair, the same at each call.
                seed=config.seed + number,
                **common,
            )
        take_pair(pair, pairs)
    return pairs


def take_pair(pair: ImagePair, pairs: list[ImagePair]) -> None:
    """Append a pair to others, unless they have it already.

    Raises
    ------
    TrainingError
        If one of them holds the same pixels.
    """
    # Twice the same pixels would be trained and validated on.
    if (twin := find_twin(pair, pairs)) is not None:
        raise TrainingError(
            f"pair {pair.name} holds the same pixels as {twin}; leave one of them out"
        )
    pairs.append(note_overlap(pair, pairs))
