import pytest

from napari_structsr.errors import ModelError
from napari_structsr.models.card import FineTuning, ModelCard


@pytest.mark.parametrize("name", ["gap", "guard"])
def test_the_gap_between_regions_is_read_under_its_earlier_name(name):
    entries = {"parent": "faithful", "pairs": [], "training": [], "validation": []}
    made = FineTuning.model_validate({**entries, name: 12})
    assert made.model_dump()["gap"] == 12


def test_unknown_entries_are_named():
    with pytest.raises(ModelError, match="surprise"):
        ModelCard.parse({"name": "mine", "surprise": 1}, origin="mine-x2")
