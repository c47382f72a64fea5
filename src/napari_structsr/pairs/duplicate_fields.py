"""Fields that are parts of one another, though they come from different images.

Parts of one acquisition that were saved as separate files say nothing of each other,
and pixels of one would be trained on while the same pixels of the other validate. Their
contents tell. Fields that overlap are brought into one world, so that they are split as
one::

    a, b: different images      the same structures      b in the world of a
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from skimage.measure import block_reduce

from napari_structsr.imaging.registration import Overlap, find_overlap
from napari_structsr.pairs.image_pair import ImagePair

_CACHE: dict[tuple[str, str], Overlap | None] = {}
"""By the fingerprints of two pairs: an edit of a split asks for them again."""

_CACHE_SIZE = 100_000


def note_overlap(pair: ImagePair, others: Iterable[ImagePair]) -> ImagePair:
    """Let a pair say which field of another image it is a part of, if it is."""
    for other in others:
        # coordinates of one image already say how its regions lie
        if _share_image(pair, other):
            continue
        found = _compare_truths(other, pair)
        if found is not None:
            note = (
                f"{found.share:.0%} of the field are a part of {other.name} too, "
                "though the images differ; the two are split as one"
            )
            return replace(pair, notes=(*pair.notes, note))
    return pair


def place_in_one_world(pairs: Sequence[ImagePair]) -> list[ImagePair]:
    """Return pairs with the places of overlapping fields in one world.

    Only `where` of the pairs changes: places, and keys of their images.
    """
    groups = _group_by_image(pairs)
    links: dict[int, list[tuple[int, int, int, Overlap]]] = {}
    for one, other in itertools.combinations(range(len(groups)), 2):
        for index, another in itertools.product(groups[one], groups[other]):
            found = _compare_truths(pairs[index], pairs[another])
            if found is not None:
                back = replace(found, shift=(-found.shift[0], -found.shift[1]))
                links.setdefault(one, []).append((other, index, another, found))
                links.setdefault(other, []).append((one, another, index, back))
                # one link places all pairs of both images
                break
    # breadth first from each group, so that a place is carried along links once
    placed = list(pairs)
    left = set(range(len(groups)))
    for root in range(len(groups)):
        if root not in left or root not in links:
            continue
        key = pairs[groups[root][0]].where.sources
        reached = [root]
        left.discard(root)
        for group in reached:
            for index in groups[group]:
                where = replace(placed[index].where, sources=key)
                placed[index] = replace(placed[index], where=where)
            for other, index, another, found in links[group]:
                if other not in left:
                    continue
                left.discard(other)
                reached.append(other)
                anchor, old = placed[index], pairs[another]
                for member in groups[other]:
                    placed[member] = _move_to_world(pairs[member], old, anchor, found)
    return placed


def _move_to_world(
    pair: ImagePair, old: ImagePair, anchor: ImagePair, found: Overlap
) -> ImagePair:
    """Bring a pair from the world of `old` to that of `anchor`."""
    # in pixels of the anchor, as pixel sizes of the old world may be wrong
    places = []
    for axis in (0, 1):
        size = anchor.where.pixel[axis] / old.where.pixel[axis]
        start = anchor.where.origin[axis] + anchor.where.pixel[axis] * found.shift[axis]
        corner = start + size * (pair.where.origin[axis] - old.where.origin[axis])
        places.append((corner, pair.where.pixel[axis] * size))
    (top, height), (left, width) = places
    where = replace(pair.where, origin=(top, left), pixel=(height, width))
    return replace(pair, where=where)


def _group_by_image(pairs: Sequence[ImagePair]) -> list[list[int]]:
    """Group pairs whose images say how they lie to each other, by any way round."""
    groups: list[list[int]] = []
    for index, pair in enumerate(pairs):
        near = [
            group
            for group in groups
            if any(_share_image(pair, pairs[n]) for n in group)
        ]
        groups = [group for group in groups if group not in near]
        groups.append(sorted([index, *itertools.chain(*near)]))
    return sorted(groups)


def _share_image(one: ImagePair, other: ImagePair) -> bool:
    return not set(one.where.sources).isdisjoint(other.where.sources)


def _compare_truths(one: ImagePair, other: ImagePair) -> Overlap | None:
    # on measured pixels: finer ones cost factor^2 times as much and find no more
    key = one.fingerprint, other.fingerprint
    if key not in _CACHE:
        if len(_CACHE) >= _CACHE_SIZE:
            # simpler than an order of use, and as good where it never happens
            _CACHE.clear()
        seen = (block_reduce(pair.truth, pair.factor, np.mean) for pair in (one, other))
        _CACHE[key] = find_overlap(*seen)
    return _CACHE[key]
