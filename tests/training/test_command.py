"""The command line of a training."""

import pytest
from typer.testing import CliRunner

import napari_structsr as sr
from napari_structsr.cli import app

RECIPE = """
name = "mine"
megapixels = 0.02
patch = 16
batch = 4
network.options = { width = 8, blocks = 1 }
"""


@pytest.fixture
def run(tmp_path, images):
    (tmp_path / "mine.toml").write_text(RECIPE)

    def call(*words, recipe="mine.toml"):
        path = str(tmp_path / recipe) if recipe.endswith(".toml") else recipe
        words = ["train", path, "--data", str(images), "--device", "cpu", *words]
        return CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])

    return call


def test_a_recipe_becomes_a_model(run, tmp_path):
    result = run("--seed", "3")
    assert result.exit_code == 0, result.output
    model = sr.load_model(str(tmp_path / "out" / "mine-x2.safetensors"))
    assert model.card.seed == 3
    assert "mine-x2.safetensors" in result.output.replace("\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume"], "without --resume"),
        (["--minutes", "-1"], "--minutes -1.0"),
        (["--precision", "float8"], "--precision float8"),
        (["--start", "nothing"], "no model named 'nothing'"),
        (["--batch", "0"], "batch"),
    ],
)
def test_what_cannot_be_done_is_said(run, tmp_path, words, said):
    result = run(*words)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_an_unknown_recipe_names_those_there_are(run):
    result = run(recipe="sharpest")
    assert result.exit_code == 1
    assert "faithful-x2" in result.output
