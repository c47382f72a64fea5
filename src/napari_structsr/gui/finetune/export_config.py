"""A fine-tuning as a file that `structsr finetune` takes, with the images it needs.

Layers that are files are named by their paths. Others are written beside the file as
OME-Zarr, whole, since intensities are normalised over whole images.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from napari_structsr.errors import StructsrError, TrainingError
from napari_structsr.gui.finetune.pairs_entry import PairEntry
from napari_structsr.gui.finetune.train_state import Parent, TrainChoice
from napari_structsr.io.open import open_source
from napari_structsr.io.source import Source

if TYPE_CHECKING:
    from napari_structsr.finetuning.config import FineTuneConfig
    from napari_structsr.finetuning.split import Split


def make_config(choice: TrainChoice, parent: Parent, *, device: str) -> FineTuneConfig:
    """Return what is asked for, without its pairs; imports torch."""
    from napari_structsr.finetuning.config import FineTuneConfig

    return FineTuneConfig(
        name=choice.name,
        parent=parent.name,
        factor=cast(Literal[1, 2, 4], parent.factor),  # as those who train have it
        minutes=choice.minutes,
        mode=choice.mode,
        replay=choice.replay,
        device=device,
    )


def save_fine_tuning(
    path: Path,
    config: FineTuneConfig,
    entries: Sequence[PairEntry],
    split: Split | None = None,
) -> Path:
    """Write a fine-tuning as JSON, and beside it those images that are no files.

    No pair was refused; without a split the command chooses the validation regions.

    Raises
    ------
    TrainingError
        If pairs with and without a measured image are blurred differently.
    OSError
        If nothing can be written there; nothing is left then.
    """
    from napari_structsr.finetuning.config import write_fine_tuning

    written: dict[int, str] = {}
    # on a full disk, say, half a file would be read later as if it were whole
    try:
        update = _describe_pairs(path, entries, split, written)
        write_fine_tuning(path, config.model_copy(update=update))
    except BaseException:
        for name in written.values():
            shutil.rmtree(path.with_name(name), ignore_errors=True)
        raise
    return path


def _describe_pairs(
    path: Path,
    entries: Sequence[PairEntry],
    split: Split | None,
    written: dict[int, str],
) -> dict[str, Any]:
    """Return what the file says of pairs; name in `written` what lies beside it."""
    from napari_structsr.finetuning.config import MicroscopeConfig, PairFiles
    from napari_structsr.finetuning.split_file import add_split
    from napari_structsr.io.ome_zarr.image_writer import write_image

    def name_file(source: Source, file: str | None) -> str:
        """Return the path of an image, written if it must be."""
        if file is not None and _holds_layer(file, source):
            return file
        if id(source) not in written:
            stem = re.sub(r"[^\w+-]+", "_", source.spec.name).strip("_") or "image"
            name = f"{path.stem}_{len(written) + 1}_{stem}.ome.zarr"
            target = path.with_name(name)
            # a name alone: the file can be moved, with what lies beside it; noted
            # before writing, so that half a store is removed after an error
            written[id(source)] = name
            write_image(source, target, overwrite=True)
        return written[id(source)]

    requests = [entry.request for entry in entries if entry.request is not None]
    alone = [request for request in requests if request.low is None]
    # the file describes one microscope for all pairs that are simulated
    widths = {request.psf_sigma for request in alone}
    if len(widths) > 1:
        raise TrainingError(
            "the pairs from high resolution alone have different blur; a file can "
            "hold one: make them with the same, or save them apart"
        )
    pairs = []
    for request in requests:
        assert request.high is not None  # it was opened when the pair was made
        low, high = request.paths
        pairs.append(
            PairFiles(
                high=name_file(request.high, high),
                low=None if request.low is None else name_file(request.low, low),
                region=request.region,
                plane=request.plane or None,
                bins=request.bins,
            )
        )
    microscope = MicroscopeConfig()
    if alone:
        sample = alone[0].sample
        microscope = MicroscopeConfig(
            psf_sigma=alone[0].psf_sigma,
            sample=None if sample is None else name_file(sample, None),
        )
    if split is not None:
        # rectangles are in pixels of the images, and blocks in those of the pairs
        made = [entry.pair for entry in entries if entry.pair is not None]
        pairs = list(add_split(pairs, made, split))
    return {"pairs": tuple(pairs), "microscope": microscope}


def _holds_layer(file: str, source: Source) -> bool:
    """Tell whether a file holds an image as its layer shows it.

    A layer may be one channel of its file, or have been given a pixel size.
    """
    from napari_structsr.pairs.checks import hash_content

    # napari also keeps the paths of files that only its other readers can read
    try:
        stored = open_source(file)
    except StructsrError:
        return False
    # a file may store its axes in another order than the layer has them
    axes = stored.spec.axes.canonical(), source.spec.axes.canonical()
    places = [
        [(one[n].scale, one[n].translate, one[n].unit) for n in "yx"] for one in axes
    ]
    return (
        axes[0].names == axes[1].names
        and axes[0].shape == axes[1].shape
        and places[0] == places[1]
        # last, since it reads all pixels
        and hash_content(stored) == hash_content(source)
    )
