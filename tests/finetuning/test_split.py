"""Training and validation stay apart, counted pixel by pixel."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_structsr.errors import TrainingError
from napari_structsr.finetuning.split import Block, Split, check_split, split_pairs
from napari_structsr.pairs.image_pair import ImagePair, Place

SIDE = 500  # of the world on which pixels are counted


def pair(shape=(100, 140), corner=(50, 60), sources=("low", "high"), name="a", seed=0):
    rng = np.random.default_rng(seed)
    place = Place(
        sources, (0,), (0, shape[0]), (0, shape[1]), tuple(map(float, corner))
    )
    return ImagePair(
        name,
        rng.normal(size=shape).astype(np.float32),
        rng.normal(size=(2 * shape[0], 2 * shape[1])).astype(np.float32),
        2,
        place,
    )


def painted(pairs, blocks, source):
    """Mark the pixels of an image that blocks hold, on a common grid."""
    world = np.zeros((SIDE, SIDE), bool)
    for block in blocks:
        where = pairs[block.pair].where
        if source in where.sources:
            top, left = (round(edge) for edge in where.origin)
            rows = slice(top + block.rows[0], top + block.rows[1])
            columns = slice(left + block.columns[0], left + block.columns[1])
            world[rows, columns] = True
    return world


def nearest(pairs, split):
    """Return the smallest distance from validation to training, in pixels."""
    least = np.inf
    for source in {key for one in pairs for key in one.where.sources}:
        training = painted(pairs, split.training, source)
        validation = painted(pairs, split.validation, source)
        if training.any() and validation.any():
            far = ndimage.distance_transform_cdt(~training, "chessboard")
            least = min(least, far[validation].min())
    return least


def area(blocks):
    return sum(block.shape[0] * block.shape[1] for block in blocks)


PAIRS = st.lists(
    st.builds(
        pair,
        shape=st.tuples(st.integers(32, 150), st.integers(32, 150)),
        corner=st.tuples(st.integers(0, 340), st.integers(0, 340)),
        sources=st.sampled_from([("low", "high"), ("low", "other"), ("own", "high")]),
        seed=st.integers(0, 5),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(PAIRS, st.integers(0, 40))
def test_validation_is_never_within_the_gap_of_training(pairs, gap):
    try:
        split = split_pairs(pairs, gap=gap)
    except TrainingError:
        assume(False)
    assert split.training
    assert split.validation
    assert nearest(pairs, split) > gap
    assert check_split(pairs, split) == ()
    assert split == split_pairs(pairs, gap=gap)
    assert split.gap == gap


@pytest.mark.parametrize("share", [0.15, 0.25, 0.4])
def test_a_share_is_for_validation(share):
    pairs = [pair((220, 180)), pair((150, 260), (200, 200), sources=("x", "y"))]
    split = split_pairs(pairs, gap=12, share=share)
    held = area(split.validation)
    assert held / (held + area(split.training)) == pytest.approx(share, abs=0.05)
    assert held + area(split.training) > 0.8 * (220 * 180 + 150 * 260)


def test_many_regions_apart_are_not_cut():
    pairs = [pair((60, 60), (100 * n, 0), name=str(n)) for n in range(4)]
    split = split_pairs(pairs, gap=30)
    assert all(block.shape == (60, 60) for block in split.training + split.validation)
    assert len(split.validation) == 1


def test_planes_of_a_stack_are_cut_alike():
    one = pair((150, 150))
    other = replace(one, where=replace(one.where, plane=(7,)))
    split = split_pairs([one, other], gap=20)
    assert nearest([one, other], split) > 20
    assert {block.pair for block in split.validation} == {0, 1}


def test_blocks_are_the_same_place_in_both_images():
    one = pair()
    block = Block(0, (10, 30), (20, 70))
    assert block.measured(one).shape == block.shape == (20, 50)
    assert block.truth(one).shape == (40, 100)
    assert block.truth(one)[0, 0] == one.truth[20, 40]


def test_one_tiny_region_is_refused():
    with pytest.raises(TrainingError, match=r"40 x 44 .* draw one"):
        split_pairs([pair((40, 44))], gap=35)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_or_nothing_for_validation_is_refused(share):
    with pytest.raises(TrainingError, match="share"):
        split_pairs([pair()], gap=3, share=share)


def test_no_pairs_are_refused():
    with pytest.raises(TrainingError, match="no pairs"):
        split_pairs([], gap=3)


def test_an_edited_split_is_checked():
    pairs = [pair(), pair((100, 100), (100, 120), name="b")]
    whole = [
        Block(n, (0, one.measured.shape[0]), (0, 30)) for n, one in enumerate(pairs)
    ]

    def words(training, validation, gap=10):
        return " ".join(check_split(pairs, Split(training, validation, gap)))

    assert "every region is for validation" in words((), tuple(whole))
    assert "no region is for validation" in words(tuple(whole), ())
    left, right = Block(0, (0, 100), (0, 40)), Block(0, (0, 100), (50, 90))
    assert words((left,), (right,)) == ""
    near = words((left,), (replace(right, columns=(45, 90)),))
    assert "5 measured pixels apart" in near
    assert "at least 10" in near
    over = words((left,), (replace(right, columns=(20, 90)),))
    assert "overlap" in over
    other = words((Block(0, (0, 100), (60, 140)),), (Block(1, (0, 50), (0, 50)),))
    assert "in a" in other
    assert "in b" in other
    assert "reach beyond pair 1" in words((replace(left, rows=(0, 101)),), (right,))
    for one, two in itertools.permutations((left, right)):
        assert words((one,), (two,)) == ""
