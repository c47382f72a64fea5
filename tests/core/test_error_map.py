"""The list of maps, and what is said of it."""

from pathlib import Path

import pytest

from napari_structsr.core.error_map import MAPS, list_default_maps

PAGE = Path(__file__).parents[2] / "docs/structure-error.md"


@pytest.mark.parametrize("entry", MAPS.values(), ids=list(MAPS))
def test_the_documentation_says_what_the_program_says(entry):
    row = f"| `{entry.key}` | {entry.meaning} | {entry.blind} |"
    assert row in PAGE.read_text(encoding="utf-8").splitlines()


def test_maps_are_offered_for_what_there_is():
    without = list_default_maps(frozenset({"source", "model", "calibration"}))
    assert {"residual", "squirrel", "artefact", "trust"} <= set(without)
    assert not any(MAPS[key].needs_reference for key in without)
    assert "change" not in list_default_maps(frozenset({"reference"}))
    assert list_default_maps(frozenset()) == ()
