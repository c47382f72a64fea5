"""What the structure-error dock shows follows from what the user wants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_structsr.core.error_map import MAPS
from napari_structsr.gui.inspect.roles import ImageFacts
from napari_structsr.gui.inspect.state import (
    InspectChoice,
    describe_map,
    resolve_inspection,
    suggest,
    swap_roles,
)

SOURCE = ImageFacts("s", "cells", (40, 50))
RESULT = ImageFacts(
    "r",
    "cells ×2 sharp",
    (80, 100),
    made_from="cells",
    recorded=True,
    repeatable=True,
    factor=2,
)
TRUTH = ImageFacts("t", "truth", (80, 100))
OTHER = ImageFacts("o", "other", (33, 44))
ALL = [SOURCE, RESULT, TRUTH, OTHER]


def roles(images, selected):
    choice = suggest(images, selected)
    return choice.result, choice.reference, choice.source


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        (["r"], ("r", None, "s")),
        (["r", "t"], ("r", "t", "s")),
        (["t", "r"], ("r", "t", "s")),  # the one with a record is the result
        (["s", "t"], ("t", None, "s")),  # the coarse one is the source of the other
        (["s", "r", "t"], ("r", "t", "s")),
        (["r", "o"], ("r", "o", "s")),  # a reference may have any pixels
        ([], (None, None, None)),
        (["not an image"], (None, None, None)),
    ],
)
def test_roles_follow_from_the_selection(selected, expected):
    assert roles(ALL, selected) == expected


def test_of_equal_images_without_a_record_the_last_clicked_is_the_result():
    images = [replace(TRUTH, key="a", name="a"), replace(TRUTH, key="b", name="b")]

    assert roles(images, ["a", "b"]) == ("b", "a", None)
    assert roles(images, ["b", "a"]) == ("a", "b", None)


def test_source_is_found_by_its_name_before_its_size():
    twin = replace(SOURCE, key="twin", name="twin")

    assert suggest([twin, SOURCE, RESULT], ["r"]).source == "s"
    assert suggest([twin, RESULT], ["r"]).source == "twin"


def test_source_has_the_factor_of_the_record():
    coarse = ImageFacts("c", "coarse", (20, 25))

    assert suggest([coarse, RESULT], ["r"]).source is None


def test_after_a_run_its_source_is_still_selected_and_its_result_is_meant():
    later = replace(RESULT, key="l", name="cells ×2 faithful")
    assert roles([SOURCE, RESULT, later], ["s"]) == ("l", None, "s")
    # of what nothing was made from, that itself
    assert roles(ALL, ["o"])[0] == "o"
    assert roles([SOURCE, replace(RESULT, made_from="o")], ["s"])[0] == "s"


def test_swapping_looks_for_the_source_again():
    choice = swap_roles(suggest(ALL, ["r", "t"]), ALL)

    assert (choice.result, choice.reference, choice.source) == ("t", "r", "s")


def test_maps_that_cannot_be_computed_say_why():
    state = resolve_inspection(suggest([RESULT, SOURCE], ["r"]), [RESULT, SOURCE])

    assert state.run is None
    assert "reference" in state.obstacles["ssim"]
    assert state.obstacles["residual"] is None
    assert "calibration" in state.obstacles["trust"]
    assert state.maps == ("residual", "squirrel", "artefact", "null_space")
    assert "unsupported" in state.hint


def test_slow_maps_must_be_asked_for():
    choice = suggest(ALL, ["r", "t"])
    assert "spread" not in resolve_inspection(choice, ALL).maps

    choice = replace(choice, maps=choice.maps | {"spread"})
    assert "spread" in resolve_inspection(choice, ALL).maps


def test_maps_of_the_model_need_its_record():
    bare = replace(RESULT, recorded=False, repeatable=False, factor=None)
    state = resolve_inspection(suggest([bare, SOURCE], ["r"]), [bare, SOURCE])

    assert "record" in state.obstacles["spread"]


def test_artefacts_need_a_factor_of_the_faithful_model():
    threefold = ImageFacts("r", "r", (120, 150))
    state = resolve_inspection(suggest([threefold, SOURCE], ["r"]), [threefold, SOURCE])

    assert "factor" in state.obstacles["artefact"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"result": None}, "Choose the result"),
        ({"reference": None, "source": None}, "Choose a reference"),
        ({"reference": None, "source": None}, "it was cells"),
        ({"reference": "r"}, "result and its reference are the same"),
        ({"source": "t"}, "Reference and source are the same"),
        ({"maps": frozenset()}, "Tick at least one map"),
        ({"folder": Path()}, "Choose the folder"),
        ({"folder": Path("/nowhere at all")}, "does not exist"),
    ],
)
def test_button_says_why_it_cannot_work(change, words):
    choice = replace(suggest(ALL, ["r", "t"]), **change)

    assert words in resolve_inspection(choice, ALL).run


def test_one_inspection_at_a_time():
    choice = suggest(ALL, ["r", "t"])

    assert "under way" in resolve_inspection(choice, ALL, busy=True).run
    state = resolve_inspection(choice, ALL, match_obstacle="no overlap")
    assert state.run == "no overlap"
    assert "no image layer" in resolve_inspection(InspectChoice(), []).run


def test_layers_that_are_gone_are_forgotten():
    choice = replace(suggest(ALL, ["r", "t"]), regions="x")
    state = resolve_inspection(choice, [RESULT], regions=["y"])

    assert state.choice.reference is None
    assert state.choice.source is None
    assert state.choice.regions is None


@pytest.mark.parametrize("entry", MAPS.values(), ids=lambda entry: entry.key)
def test_every_tip_names_the_blind_spot(entry):
    assert f"Cannot see: {entry.blind}" in describe_map(entry)
    assert describe_map(entry, "It needs tea.").startswith("It needs tea.")
