"""A split as the file of a fine-tuning holds it: rectangles in pixels of its images.

Blocks count the measured pixels of a pair, which registration has cropped; rectangles
count the pixels of the image that the file names, so that a person can read them::

    image   0 |--|--|--|--|--|--|--|--|      rows 3 to 7
    pair            0 |--|--|--|--|          rows 1 to 5 of a pair from row 2 on

Where the image is the true one alone, a measured pixel is ``factor`` of its pixels
wide.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.config import (
    FineTuneConfig,
    PairFiles,
    Rectangle,
)
from napari_structsr.finetuning.region_geometry import Block
from napari_structsr.finetuning.split import Split
from napari_structsr.pairs.image_pair import ImagePair


def add_split(
    files: Sequence[PairFiles], pairs: Sequence[ImagePair], split: Split
) -> tuple[PairFiles, ...]:
    """Return entries of a file with a split added.

    Parameters
    ----------
    files, pairs
        The same pairs in one order, as the blocks count them.
    split
        Regions for training and for validation.
    """
    written = []
    for number, (entry, pair) in enumerate(zip(files, pairs, strict=True)):
        # Pixels of the image that is named along the side of a measured one.
        step = pair.factor if entry.low is None else 1
        training, validation = (
            tuple(_make_rectangle(b, pair, step) for b in part if b.pair == number)
            for part in (split.training, split.validation)
        )
        update = {"training": training, "validation": validation}
        written.append(entry.model_copy(update=update))
    return tuple(written)


def read_split(
    config: FineTuneConfig, pairs: Sequence[ImagePair], *, gap: int
) -> Split | None:
    """Return the split that a file holds; whether it leaks is said by `check_split`.

    Parameters
    ----------
    config
        As it was read.
    pairs
        Its pairs, in its order.
    gap
        Measured pixels between training and validation.

    Returns
    -------
    Split or None
        None if the file leaves the choice to the program.

    Raises
    ------
    TrainingError
        If a rectangle holds no whole pixel of its pair.
    """
    if not any(files.training or files.validation for files in config.pairs):
        return None
    if len(pairs) != len(config.pairs):
        raise TrainingError(
            f"the file splits {len(config.pairs)} pairs, and {len(pairs)} are given; "
            "give the pairs that it names, or a split of your own"
        )
    training: list[Block] = []
    validation: list[Block] = []
    for number, (files, pair) in enumerate(zip(config.pairs, pairs, strict=True)):
        step = pair.factor if files.low is None else 1
        training += [_make_block(r, number, pair, step) for r in files.training]
        validation += [_make_block(r, number, pair, step) for r in files.validation]
    return Split(tuple(training), tuple(validation), gap)


def _make_rectangle(block: Block, pair: ImagePair, step: int) -> Rectangle:
    """Return a block in pixels of the image."""
    starts = pair.where.rows[0], pair.where.columns[0]
    rows, columns = (
        (step * (first + start), step * (last + start))
        for (first, last), start in zip(
            (block.rows, block.columns), starts, strict=True
        )
    )
    return Rectangle(rows=rows, columns=columns)


def _make_block(rectangle: Rectangle, number: int, pair: ImagePair, step: int) -> Block:
    """Return the whole measured pixels of a rectangle that the pair holds."""
    covered = (pair.where.rows, pair.where.columns)
    asked = (rectangle.rows, rectangle.columns)
    spans = []
    for (first, last), (start, stop) in zip(asked, covered, strict=True):
        # Rounded inwards: a measured pixel that is covered in part is left out.
        inside = max(-(-first // step), start), min(last // step, stop)
        spans.append((inside[0] - start, inside[1] - start))
    if any(first >= last for first, last in spans):
        top, bottom, left, right = (step * edge for edges in covered for edge in edges)
        raise TrainingError(
            f"the rectangle with rows {rectangle.rows[0]} to {rectangle.rows[1]} and "
            f"columns {rectangle.columns[0]} to {rectangle.columns[1]} holds no pixel "
            f"of pair {pair.name}, which covers rows {top} to {bottom} and columns "
            f"{left} to {right}; correct it in the file, or leave all of them out to "
            "have them chosen"
        )
    return Block(number, *spans)
