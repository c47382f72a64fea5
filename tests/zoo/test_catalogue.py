import json
import shutil
import subprocess
import sys

import pytest
import torch

from napari_structsr.errors import ModelError
from napari_structsr.io.weights import write_bundle
from napari_structsr.zoo.catalogue import (
    find_card,
    list_models,
    load_model,
)
from napari_structsr.zoo.shipped import WEIGHTS


def test_interpolations_and_faithful_are_offered_for_both_factors():
    offered = {(card.name, card.factor) for card in list_models()}
    assert offered >= {
        (name, factor)
        for name in ("faithful", "bicubic", "bilinear")
        for factor in (2, 4)
    }


def test_cards_of_weights_name_data_licences_recipe_seed_and_hash():
    for card in list_models():
        if card.architecture == "residual-generator":
            assert card.data
            assert all(source.licence and source.attribution for source in card.data)
            assert card.recipe
            assert card.seed is not None
            assert len(card.sha256) == 64


def test_listing_does_not_import_torch():
    code = (
        "import sys; from napari_structsr.zoo.catalogue import list_models; "
        "assert list_models(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_model_names_those_there_are():
    with pytest.raises(ModelError, match="faithful"):
        load_model("sharpest")


def test_factor_not_offered_names_those_that_are():
    with pytest.raises(ModelError, match="offers 2, 4"):
        find_card("bicubic", factor=3)


@pytest.fixture
def bundle(tmp_path):
    for ending in (".json", ".safetensors"):
        shutil.copy(WEIGHTS / f"faithful-x2{ending}", tmp_path / f"mine{ending}")
    return tmp_path / "mine.safetensors"


def test_a_bundle_is_loaded_by_path(bundle):
    model = load_model(str(bundle), factor=2)
    expected = load_model("faithful", factor=2)
    image = torch.rand(1, 1, 20, 20)
    torch.testing.assert_close(model(image), expected(image), rtol=0, atol=0)
    assert model.origin == str(bundle)


def test_damaged_weights_are_refused(bundle):
    data = bytearray(bundle.read_bytes())
    data[-5] ^= 255
    bundle.write_bytes(data)
    with pytest.raises(ModelError, match="hash"):
        load_model(str(bundle))


@pytest.mark.parametrize(
    "change", [{"factor": "two"}, {"surprise": 1}, {"architecture": "unet"}]
)
def test_damaged_card_is_refused_by_entry(bundle, change):
    path = bundle.with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=next(iter(change))):
        load_model(str(bundle))


def test_card_for_other_weights_is_refused(bundle):
    """The hash fits, the shapes do not."""
    card = json.loads(bundle.with_suffix(".json").read_text())
    write_bundle(bundle, card, {"head": torch.zeros(3)})
    with pytest.raises(ModelError, match="do not fit"):
        load_model(str(bundle))


def test_weights_with_nan_are_refused(bundle):
    model = load_model(str(bundle))
    weights = model.network.state_dict()
    weights["head"][0, 0, 0, 0] = float("nan")
    card = json.loads(bundle.with_suffix(".json").read_text())
    write_bundle(bundle, card, weights)
    with pytest.raises(ModelError, match="NaN"):
        load_model(str(bundle))


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_missing_half_of_a_bundle_is_named(bundle, ending):
    bundle.with_suffix(ending).unlink()
    with pytest.raises(ModelError, match=f"mine{ending}"):
        load_model(str(bundle))


def test_no_json_is_refused(bundle):
    bundle.with_suffix(".json").write_text("{")
    with pytest.raises(ModelError, match="restore"):
        load_model(str(bundle))


def test_methods_to_compare_with_are_loaded_but_not_offered(sharp):
    card = json.loads((sharp / "sharp-x2.json").read_text())
    (sharp / "sharp-x2.json").unlink()
    (sharp / "sharp-x2.safetensors").rename(sharp / "srgan-x2.safetensors")
    card |= {"name": "srgan", "purpose": "comparison", "seen_megapixels": 12.5}
    (sharp / "srgan-x2.json").write_text(json.dumps(card))

    assert "srgan" not in {card.name for card in list_models()}
    compared = list_models(purpose="comparison")
    assert "srgan" in {card.name for card in compared}
    assert load_model("srgan").card.seen_megapixels == 12.5
    with pytest.raises(ModelError, match="no model named 'srgam'") as refused:
        load_model("srgam")
    assert "srgan" not in str(refused.value)
