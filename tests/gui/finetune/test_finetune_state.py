"""What the Fine-tune dock offers, and what it says where something cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_structsr.gui.finetune.pairs_entry import LayerFrame, PairEntry, PairImage
from napari_structsr.gui.finetune.pairs_state import (
    PairsChoice,
    resolve_pairs,
    suggest_pair,
)
from napari_structsr.gui.finetune.pairs_table import describe_pair
from napari_structsr.gui.finetune.train_state import (
    Parent,
    TrainChoice,
    resolve_training,
    resolve_verdict,
    suggest_model_name,
)
from napari_structsr.imaging.registration import Registration
from napari_structsr.pairs.image_pair import ImagePair, Place

LOW = PairImage("a", "coarse", (100, 120), (0.2, 0.2), "micrometer")
HIGH = PairImage("b", "fine", (200, 240), (0.1, 0.1), "micrometer")
BOTH = PairsChoice(low="a", high="b")
PARENTS = [Parent("faithful", 2), Parent("faithful", 4), Parent("sharp", 2)]
READY = {"parents": PARENTS, "pairs": 2, "factor": 2, "split_obstacle": None}


def add(choice, images=(LOW, HIGH), regions=None, **others):
    return resolve_pairs(choice, images, regions=regions or {}, **others).add


def test_larger_pixels_are_the_low_resolution_whatever_was_clicked_first():
    for selected in (["a", "b"], ["b", "a"]):
        choice = suggest_pair([HIGH, LOW], selected, choice=PairsChoice())
        assert (choice.low, choice.high) == ("a", "b")


def test_units_are_compared_not_numbers():
    low = replace(LOW, pixel=(200.0, 200.0), unit="nanometer")
    high = replace(HIGH, pixel=(0.1, 0.1))
    choice = suggest_pair([high, low], ["b", "a"], choice=PairsChoice())
    assert choice.low == "a"


def test_without_pixel_sizes_fewer_pixels_are_the_low_resolution():
    low, high = (replace(one, pixel=(1.0, 1.0), unit=None) for one in (LOW, HIGH))
    choice = suggest_pair([high, low], ["a", "b"], choice=PairsChoice())
    assert (choice.low, choice.high) == ("a", "b")
    assert add(choice, [low, high]) is None


def test_where_one_has_no_pixel_size_fewer_pixels_are_the_low_resolution():
    high = replace(HIGH, pixel=(1.0, 1.0), unit=None)
    choice = suggest_pair([high, LOW], ["a", "b"], choice=PairsChoice())
    assert (choice.low, choice.high) == ("a", "b")
    assert add(choice, [LOW, high]) is None


def test_two_open_images_need_no_selection():
    choice = suggest_pair([LOW, HIGH], [], choice=PairsChoice())
    assert (choice.low, choice.high) == ("a", "b")


@pytest.mark.parametrize(
    ("choice", "images", "words"),
    [
        (BOTH, (), "no image layer"),
        (PairsChoice(), (LOW, HIGH), "Choose the low-resolution layer"),
        (PairsChoice(low="a"), (LOW, HIGH), "Choose the high-resolution layer"),
        (PairsChoice(low="a", high="a"), (LOW, HIGH), "Both are coarse"),
        (PairsChoice(low="b", high="a"), (LOW, HIGH), "swap the two"),
        (BOTH, (LOW, replace(HIGH, rgb=True)), "fine is in colour and coarse is not"),
        (BOTH, (replace(LOW, planes=5), HIGH), "5 planes, fine has a single plane"),
        (PairsChoice(kind="high"), (LOW, HIGH), "Choose the high-resolution layer"),
        (
            PairsChoice(kind="high", high="b"),
            (replace(HIGH, unit=None),),
            "pixel size of fine is not known",
        ),
        (
            PairsChoice(kind="high", high="b", aperture=0.1),
            (HIGH,),
            "at most 2 can be undone",
        ),
        (PairsChoice(kind="files"), (), "Choose the low-resolution file"),
        (
            PairsChoice(kind="files", low_path="/no/such", high_path="/no"),
            (),
            "/no/such does not exist",
        ),
        (
            PairsChoice(kind="files", low_path="/", high_path="/"),
            (),
            "Both paths are the same",
        ),
    ],
)
def test_what_cannot_be_a_pair_is_said(choice, images, words):
    assert words in add(choice, images)


def test_an_empty_layer_of_regions_is_no_pair():
    choice = replace(BOTH, regions="r")
    assert "no regions yet" in add(choice, regions={"r": 0})
    assert add(choice, regions={"r": 2}) is None
    assert add(replace(BOTH, regions="gone"), regions={"r": 0}) is None


def test_width_follows_from_the_optics():
    """Zhang et al. 2007: 0.225 x 0.52 um / 0.5 are 0.234 um, 1.17 pixels of 0.2 um."""
    state = resolve_pairs(
        PairsChoice(kind="high", high="b", aperture=0.5, wavelength=520),
        [HIGH],
        regions={},
    )
    assert state.sigma == pytest.approx(1.17)
    assert state.add is None
    assert "1.17 measured pixels" in state.hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pairs": 0, "factor": None}, "no pairs yet"),
        ({"preparing": True}, "being prepared"),
        ({"split_obstacle": "every region validates"}, "every region validates"),
        ({"factor": 3}, "No model of the factor 3"),
        ({"name_obstacle": "names a model that ships"}, "that ships"),
        ({"unfinished": ["mine"]}, "listed below"),
        ({"running": True}, "under way"),
    ],
)
def test_start_says_why_it_cannot(changes, words):
    choice = TrainChoice(name="mine")
    assert resolve_training(choice, **READY).start is None
    assert words in resolve_training(choice, **{**READY, **changes}).start


def test_parents_of_another_factor_say_why_the_pairs_cannot_train_them():
    state = resolve_training(TrainChoice(name="m"), **{**READY, "factor": 4})
    obstacles = {parent.label: obstacle for parent, obstacle in state.parents}
    assert obstacles["faithful ×4"] is None
    assert "add them again as ×2" in obstacles["sharp ×2"]
    free = resolve_training(TrainChoice(name="m"), **{**READY, "factor": None})
    assert not [obstacle for _, obstacle in free.parents if obstacle]


def test_the_factor_of_pairs_is_known_before_they_are_made():
    def factor(choice=BOTH, fold=2.0, **others):
        size = LOW.pixel[0] / fold
        images = [LOW, replace(HIGH, pixel=(size, size))]
        return resolve_pairs(choice, images, regions={}, **others)

    assert factor().factor == 2
    near = factor(fold=3.3)
    assert near.factor == 4
    assert "3.3" in near.hint
    assert "×4" in near.hint
    assert factor(replace(BOTH, factor=2), fold=3.3).factor == 2
    assert factor(fold=3.3, there=2).factor == 2  # as the pairs in the list
    mixed = factor(replace(BOTH, factor=4), fold=3.3, there=2)
    assert "pairs in the list are ×2" in mixed.add
    assert "too few for the factor 4" in factor(replace(BOTH, factor=4)).add
    assert "no finer grid" in factor(replace(BOTH, factor=2), fold=1.2).add
    alone = replace(BOTH, kind="high")
    assert factor(alone).factor == 2
    assert factor(alone, parent=4).factor == 4
    assert factor(alone, parent=4, there=2).factor == 2


def test_pixels_of_one_size_are_for_the_factor_1_or_are_binned():
    images = [LOW, replace(HIGH, pixel=LOW.pixel, plane=LOW.plane)]
    found = resolve_pairs(BOTH, images, regions={})
    assert (found.factor, found.bins, found.add) == (1, 1, None)
    assert found.shows_bins
    assert "bin the low one" in found.hint

    binned = resolve_pairs(replace(BOTH, binned=True), images, regions={})
    assert (binned.factor, binned.bins, binned.add) == (2, 2, None)
    assert "as wide as 2 high-resolution ones" in binned.hint

    # a tick that is not seen has no effect
    usual = resolve_pairs(replace(BOTH, binned=True), [LOW, HIGH], regions={})
    assert (usual.factor, usual.bins, usual.shows_bins) == (2, 1, False)


def test_nothing_runs_nothing_can_be_paused():
    state = resolve_training(TrainChoice(name="m"), **READY)
    assert state.pause == state.cancel == "Nothing is being trained."
    running = resolve_training(TrainChoice(name="m"), **READY, running=True)
    assert running.pause is running.cancel is None
    assert not resolve_training(
        TrainChoice(name="m"), **READY, running=True, paused=True
    ).pauses


def test_suggested_names_are_free():
    assert suggest_model_name("sharp", []) == "my-sharp"
    assert suggest_model_name("sharp", ["My-Sharp", "my-sharp-2"]) == "my-sharp-3"


def test_a_model_that_is_not_recommended_needs_a_second_click():
    first = resolve_verdict(finished=True, recommended=False)
    second = resolve_verdict(finished=True, recommended=False, confirming=True)
    assert first == (None, "Accept")
    assert second == (None, "Keep it anyway")
    assert "no finished" in resolve_verdict(finished=False, recommended=False)[0]
    assert resolve_verdict(finished=True, recommended=True, busy="wait")[0] == "wait"


def pair(**changes) -> ImagePair:
    return ImagePair(
        name="p",
        measured=np.zeros((40, 50), np.float32),
        truth=np.zeros((80, 100), np.float32),
        factor=2,
        where=Place(("a", "b"), (), (10, 50), (20, 70), (2.0, 4.0), (0.2, 0.2)),
        **changes,
    )


def test_a_pair_in_words():
    made = Registration(shift=(1.25, -0.5), scale=1.002, confidence=0.91)
    entry = PairEntry(
        "region 1",
        pair(registration=made, gain=1.1, notes=("2% are saturated",)),
        unit="micrometer",
    )
    row = describe_pair(entry)
    assert (row.size, row.shift) == ("40 × 50", "+1.25, −0.50 px")
    assert "(+0.125, −0.050 µm)" in row.details
    assert "scale 1.0020, confidence 0.91" in row.details
    assert "2% are saturated." in row.details


def test_a_refused_pair_keeps_its_reason():
    row = describe_pair(PairEntry("region 2", refused="the images do not overlap"))
    assert row.refused
    assert "the images do not overlap" in row.details


def test_a_rectangle_comes_back_as_the_pixels_it_was_made_of():
    frame = LayerFrame("a", (3, 0, 0), (1, 2), (10.0, 20.0), step=2.0)
    corners = frame.to_layer((4, 9), (0, 7))
    assert corners[0] == pytest.approx([3, 17.5, 19.5])
    assert frame.to_pixels(corners) == ((4, 9), (0, 7))
    assert frame.contains(corners)
    assert not frame.contains(corners + np.array([1, 0, 0]))
