import pytest

from napari_structsr.errors import TrainingError
from napari_structsr.models.build import build_network, count_operations
from napari_structsr.training.recipe import list_recipes, read_recipe

MATCHED = ["faithful-matched-x2", "sharp-matched-x2"]
MATCHED += ["srresnet-x2", "srgan-x2", "esrgan-x2", "swinir-x2"]


@pytest.mark.parametrize("name", list_recipes())
def test_recipes_that_ship_make_their_networks(name):
    recipe = read_recipe(name)
    network = recipe.network
    build_network(network.architecture, factor=recipe.factor, options=network.options)
    assert name == f"{recipe.name}-x{recipe.factor}"
    assert recipe.description


def test_matched_recipes_share_data_pixels_and_operations():
    recipes = [read_recipe(name) for name in MATCHED]
    assert len({recipe.data for recipe in recipes}) == 1
    assert len({recipe.megapixels for recipe in recipes}) == 1
    costs = [
        count_operations(
            build_network(
                recipe.network.architecture,
                factor=2,
                options=recipe.network.options,
            )
        )
        for recipe in recipes
    ]
    assert max(costs) < 1.2 * min(costs)


def test_ablations_differ_from_sharp_in_one_thing():
    sharp = read_recipe("sharp-x2").model_dump()
    for name in ("unconditional", "no-structure", "no-data", "no-texture"):
        other = read_recipe(f"sharp-{name}-x2").model_dump()
        about = {"name", "description", "purpose", "blend_with"}
        changed = {key for key in sharp if sharp[key] != other[key]} - about
        assert len(changed) == 1


def test_unknown_recipe_names_those_there_are():
    with pytest.raises(TrainingError, match="sharp-x2"):
        read_recipe("sharpest")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('name = "a"\nsurprise = 1', "surprise"),
        ('name = "a"\nfactor = 3', "factor"),
        ('name = "a"\n[data]\nphotons = [100, 10]', "photons runs from 100"),
        ('name = "a"\n[loss]\npixel = -1', "pixel"),
        ('name = "a"\n[loss]\npixel = 0', "every term weighs 0"),
        ('name = "a"\nmegapixels = "many"', "megapixels"),
        ("name =", "cannot be read"),
    ],
)
def test_faults_of_a_recipe_are_named(tmp_path, text, fault):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=fault):
        read_recipe(str(path))


def test_entries_can_be_replaced(tmp_path):
    assert read_recipe("sharp-x2", start=None, seed=7).seed == 7
    assert read_recipe("sharp-x2", start=None).start == "faithful"
