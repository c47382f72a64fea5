"""Parts of one acquisition that were saved as files of their own do not leak."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from skimage import data
from skimage.color import rgb2gray

from napari_structsr.finetuning.split import (
    Block,
    Split,
    check_split,
    split_pairs,
)
from napari_structsr.io.open import open_source
from napari_structsr.pairs.duplicate_fields import note_overlap, place_in_one_world
from napari_structsr.pairs.files import file_stem, match_files
from napari_structsr.pairs.image_pair import ImagePair, Place
from napari_structsr.pairs.register_pair import field_pair

GUARD = 12


def scene():
    return rgb2gray(data.immunohistochemistry()).astype(np.float32)


def field(image, top, left, *, size=(200, 240), name="a", place=(7.0, -3.0), pixel=0.5):
    """Cut a field out of an image; neither its place nor its key tells from where."""
    truth = image[top : top + size[0], left : left + size[1]]
    height, width = size[0] // 2, size[1] // 2
    measured = truth.reshape(height, 2, width, 2).mean(axis=(1, 3))
    where = Place(
        (f"{name} low", f"{name} high"),
        (),
        (0, height),
        (0, width),
        place,
        (pixel, pixel),
    )
    return ImagePair(name, measured, truth, 2, where)


def corners(pairs, blocks, known):
    """Return rows and columns of blocks in measured pixels of the whole image."""
    found = []
    for block in blocks:
        top, left = known[pairs[block.pair].name]
        found.append(
            (
                top // 2 + np.array(block.rows),
                left // 2 + np.array(block.columns),
            )
        )
    return found


def room(one, other):
    return max(max(a[0] - b[1], b[0] - a[1]) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("places", [{"b": (40, 150)}, {"b": (100, 0), "c": (190, 40)}])
def test_what_judges_was_not_seen_in_another_file(places):
    """A chain of overlapping fields is cut as the one image that it is."""
    known = {"a": (0, 0), **places}
    image = scene()
    pairs = [
        field(image, *at, name=name, place=(9.0 * n, 4.0), pixel=0.5 + n)
        for n, (name, at) in enumerate(known.items())
    ]
    split = split_pairs(pairs, gap=GUARD)
    assert check_split(pairs, split) == ()
    rooms = [
        room(one, other)
        for one in corners(pairs, split.training, known)
        for other in corners(pairs, split.validation, known)
    ]
    assert min(rooms) >= GUARD
    careless = Split(
        tuple(Block(n, (0, 100), (0, 120)) for n in range(1, len(pairs))),
        (Block(0, (0, 100), (0, 120)),),
        GUARD,
    )
    assert "overlap" in " ".join(check_split(pairs, careless))


def test_regions_of_an_image_follow_the_one_that_overlaps():
    """Other regions of the same file are brought along, at their scale."""
    image = scene()
    first = field(image, 0, 0, name="a")
    second = field(image, 40, 150, name="b", place=(100.0, 100.0), pixel=2.0)
    third = replace(
        field(image, 300, 260, name="b again", pixel=2.0),
        where=replace(second.where, origin=(100.0 + 2 * 130, 100.0 + 2 * 55)),
    )
    placed = place_in_one_world([first, second, third])
    assert placed[0].where == first.where
    for one, at in zip(placed, ((0, 0), (40, 150), (300, 260)), strict=True):
        expected = [7.0 + 0.5 * at[0] / 2, -3.0 + 0.5 * at[1] / 2]
        assert one.where.origin == pytest.approx(expected)
        assert one.where.pixel == (0.5, 0.5)


def test_fields_that_only_look_alike_stay_apart():
    image = scene()
    pairs = [
        field(image, 0, 0, size=(160, 160), name="a"),
        field(image, 200, 300, size=(160, 160), name="b"),
        field(data.brick() / np.float32(255), 0, 0, size=(160, 160), name="c"),
        field(data.coins() / np.float32(255), 0, 0, size=(160, 160), name="d"),
    ]
    assert place_in_one_world(pairs) == pairs
    assert note_overlap(pairs[1], [pairs[0]]).notes == pairs[1].notes
    split = split_pairs(pairs, gap=GUARD)
    assert len(split.training) == 3  # whole fields


def test_files_that_overlap_are_named(tmp_path):
    image = scene()
    noise = np.random.default_rng(0)
    for kind in ("low", "high"):
        (tmp_path / kind).mkdir()
    for number, left in enumerate((0, 150)):
        one = field(image, 20, left)
        measured = one.measured + noise.normal(0, 0.004, one.measured.shape)
        tifffile.imwrite(tmp_path / f"low/{number}.tif", measured.astype(np.float32))
        tifffile.imwrite(tmp_path / f"high/{number}.tif", one.truth)
    first, second = (
        field_pair(*map(open_source, files), name=file_stem(files[0]))
        for files in match_files(tmp_path / "low", tmp_path / "high")
    )
    assert note_overlap(first, []).notes == first.notes
    assert "a part of 0 too" in " ".join(note_overlap(second, [first]).notes)
