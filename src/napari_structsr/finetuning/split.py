"""Which regions of the user's pairs are trained on, and which are for validation.

They are apart in space by a gap as wide as the receptive field, so that no pixel that
is scored was ever seen, not even at the border of a training patch::

    a pair      |  training           |  gap  |  validation  |

What counts is the place in the world, not the pair: regions that were drawn over each
other are cut along one line. Planes of one stack show nearly the same, and are cut
alike. So are fields of different images that show the same structures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np

from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.region_geometry import (
    Block,
    find_clusters,
    find_slack,
    locate_block,
    make_whole_block,
    measure_gap,
)
from napari_structsr.pairs.duplicate_fields import place_in_one_world
from napari_structsr.pairs.image_pair import ImagePair

__all__ = ["Block", "Split", "check_split", "split_pairs"]

_SMALLEST = 16  # measured pixels along a side of either part
_ROUNDING = 1e-6  # of a pixel, by which two edges in the world may differ


@dataclass(frozen=True)
class Split:
    """Regions for training and for validation.

    Parameters
    ----------
    training, validation
        Blocks of the pairs.
    gap
        Measured pixels between the two.
    """

    training: tuple[Block, ...]
    validation: tuple[Block, ...]
    gap: int


def split_pairs(
    pairs: Sequence[ImagePair],
    *,
    gap: int,
    share: float = 0.25,
) -> Split:
    """Choose regions for validation, the same ones every time.

    Where there are enough regions apart from each other, whole ones are taken;
    otherwise a strip of each, on the side whose content is most like the rest.

    Parameters
    ----------
    pairs
        What the user gave.
    gap
        Measured pixels between training and validation: at least the receptive field
        of the model.
    share
        Share of the pixels for validation, of those in either part.

    Raises
    ------
    TrainingError
        If there are no pairs, they are too small to be split, or the share leaves
        nothing to learn from.
    """
    if not pairs:
        raise TrainingError("there are no pairs to learn from; add one first")
    if not 0 < share < 1:
        raise TrainingError(
            f"a share of {share:g} of the pixels for validation leaves nothing to "
            "learn from, or nothing to validate on; choose one between 0 and 1, for "
            "example 0.25"
        )
    # Fields of different images that show the same structures lie together.
    pairs = place_in_one_world(pairs)
    groups = [
        [make_whole_block(pairs, index) for index in cluster]
        for cluster in find_clusters(pairs, gap)
    ]
    # Too few regions: a strip of each, so that validation sees all of them.
    few = len(groups) * share < 1
    cuts = [_cut_cluster(pairs, group, gap, share) for group in groups] if few else []
    if not any(cuts) and len(groups) > 1:
        return _take_whole(pairs, groups, gap, share)
    if not any(cuts):
        # The longest one: it is the nearest to being large enough.
        height, width = max(
            (pair.measured.shape for pair in pairs), key=lambda shape: max(shape)
        )
        least = gap + 3 * _SMALLEST
        raise TrainingError(
            f"the largest region has {height} x {width} measured pixels, too few to "
            f"train on one part and validate on another {gap} pixels away; draw one "
            f"at least {least} pixels long, or a second one elsewhere"
        )
    training, validation = zip(
        *(cut or (group, []) for group, cut in zip(groups, cuts, strict=True)),
        strict=True,
    )
    return _join_blocks(training, validation, gap)


def check_split(pairs: Sequence[ImagePair], split: Split) -> tuple[str, ...]:
    """Return what is wrong with a split that was edited.

    Returns
    -------
    tuple of str
        Sentences with what to do; none if nothing leaks and both parts hold pixels.
    """
    found = []
    if not split.training:
        found.append(
            "every region is for validation and none is left to learn from; use at "
            "least one for training"
        )
    if not split.validation:
        found.append(
            "no region is for validation, so that nothing would say whether the model "
            "is better; use at least one for it"
        )
    # First of all: a block outside of its pair has no place in the world.
    for block in (*split.training, *split.validation):
        if not _is_inside(pairs, block):
            return (
                *found,
                f"rows {_range(block.rows)} and columns {_range(block.columns)} reach "
                f"beyond pair {block.pair + 1}; move the rectangle onto it",
            )
    pairs = place_in_one_world(pairs)
    for one, other in product(split.training, split.validation):
        room = measure_gap(pairs, one, other)
        if room < split.gap - _ROUNDING:
            names = pairs[one.pair].name, pairs[other.pair].name
            near = "overlap" if room < 0 else f"are {room:.3g} measured pixels apart"
            found.append(
                f"training in {names[0]} (rows {_range(one.rows)}, columns "
                f"{_range(one.columns)}) and validation in {names[1]} (rows "
                f"{_range(other.rows)}, columns {_range(other.columns)}) {near}; move "
                f"them at least {split.gap} pixels apart"
            )
    return tuple(found)


def _is_inside(pairs: Sequence[ImagePair], block: Block) -> bool:
    """Tell whether a block lies in its pair and holds pixels."""
    if not 0 <= block.pair < len(pairs):
        return False
    starts, ends = np.transpose([block.rows, block.columns])
    size = pairs[block.pair].measured.shape
    return bool(((starts >= 0) & (starts < ends) & (ends <= size)).all())


def _join_blocks(
    training: Iterable[list[Block]], validation: Iterable[list[Block]], gap: int
) -> Split:
    return Split(tuple(chain(*training)), tuple(chain(*validation)), gap)


def _sum_area(blocks: Sequence[Block]) -> int:
    return sum(block.area for block in blocks)


def _measure_detail(pairs: Sequence[ImagePair], blocks: Sequence[Block]) -> float:
    """Return the mean slope of the truth in blocks, each weighing by its area."""
    details = []
    for block in blocks:
        pixels = block.truth(pairs[block.pair]).astype(np.float64)
        slopes = [np.abs(np.diff(pixels, axis=axis)).mean() for axis in (0, 1)]
        details.append(float(sum(slopes)))
    return float(np.average(details, weights=[block.area for block in blocks]))


def _take_whole(
    pairs: Sequence[ImagePair], groups: Sequence[list[Block]], gap: int, share: float
) -> Split:
    """Take whole clusters, those first whose detail is most like the mean."""
    areas = [_sum_area(group) for group in groups]
    mean = _measure_detail(pairs, list(chain(*groups)))
    # Unlike ones last: their scores would say little about the rest.
    off = [abs(_measure_detail(pairs, group) - mean) for group in groups]
    wanted = share * sum(areas)
    chosen: list[int] = []
    for index in sorted(range(len(groups)), key=lambda n: (off[n], n)):
        taken = sum(areas[n] for n in chosen)
        if len(chosen) == len(groups) - 1:  # one is left to train on
            break
        if not chosen or taken + areas[index] / 2 <= wanted:
            chosen.append(index)
    training = [group for n, group in enumerate(groups) if n not in chosen]
    return _join_blocks(training, [groups[n] for n in sorted(chosen)], gap)


def _cut_cluster(
    pairs: Sequence[ImagePair], whole: Sequence[Block], gap: int, share: float
) -> tuple[list[Block], list[Block]] | None:
    """Cut a cluster in two; None if it is too small for both parts."""
    mean = _measure_detail(pairs, whole)
    best: tuple[float, tuple[list[Block], list[Block]]] | None = None
    # Four sides; of each the cut with the best share is compared.
    for axis, last in product((0, 1), (False, True)):
        options = list(_find_cuts(pairs, whole, axis, last, gap))
        if not options:
            continue

        def miss(parts: tuple[list[Block], list[Block]]) -> float:
            """Return how far the share of the second part is off."""
            areas = [_sum_area(part) for part in parts]
            return abs(areas[1] / sum(areas) - share)

        option = min(options, key=miss)
        unlike = abs(_measure_detail(pairs, option[1]) / max(mean, 1e-12) - 1)
        # Three things that are bad, each of 0 to 1: a wrong share, pixels lost in
        # the gap, and a part for validation that shows something else.
        lost = 1 - sum(_sum_area(part) for part in option) / _sum_area(whole)
        cost = miss(option) + lost + min(unlike, 1.0)
        if best is None or cost < best[0] - _ROUNDING:
            best = cost, option
    return best[1] if best else None


def _find_cuts(
    pairs: Sequence[ImagePair], whole: Sequence[Block], axis: int, last: bool, gap: int
) -> Iterator[tuple[list[Block], list[Block]]]:
    """Yield cuts along one axis, validation lying at its end or at its start."""
    edges = [locate_block(pairs[block.pair], block, 0) for block in whole]
    size = max(abs(pairs[block.pair].where.pixel[axis]) for block in whole)
    low = min(edge[axis, 0] for edge in edges)
    high = max(edge[axis, 1] for edge in edges)
    band = (gap + find_slack(pairs, whole, axis, gap)) * size
    # Whole pixels of the coarsest grid.
    count = int((high - low - band) / size + _ROUNDING)
    for step in range(1, count):
        line = high - step * size if last else low + step * size
        near, far = (line - band, line) if last else (line, line + band)
        below = [_cut_block(pairs, block, axis, low, near) for block in whole]
        above = [_cut_block(pairs, block, axis, far, high) for block in whole]
        parts = (below, above) if last else (above, below)
        training, validation = ([b for b in part if b] for part in parts)
        if training and validation:
            yield training, validation


def _cut_block(
    pairs: Sequence[ImagePair], block: Block, axis: int, low: float, high: float
) -> Block | None:
    """Return the whole pixels of a block between two lines of the world, if enough."""
    where = pairs[block.pair].where
    # Rows of an image may run against the axis of the world.
    ends = sorted(
        (edge - where.origin[axis]) / where.pixel[axis] for edge in (low, high)
    )
    first, last = block.rows if axis == 0 else block.columns
    # Rounded inwards: a pixel that is cut belongs to neither part.
    start = max(first, int(np.ceil(ends[0] - _ROUNDING)))
    stop = min(last, int(np.floor(ends[1] + _ROUNDING)))
    if stop - start < _SMALLEST or min(block.shape) < _SMALLEST:
        return None
    span = start, stop
    rows, columns = (span, block.columns) if axis == 0 else (block.rows, span)
    return Block(block.pair, rows, columns)


def _range(edges: tuple[int, int]) -> str:
    return f"{edges[0]} to {edges[1]}"
