"""Names in the files of strangers: none of them chooses a folder."""

import json
import os
import stat

import pytest
import torch

from napari_structsr.core.names import check_model_name
from napari_structsr.errors import ModelError, TrainingError
from napari_structsr.finetuning.config import read_fine_tuning
from napari_structsr.finetuning.runs import read_run
from napari_structsr.io.atomic import replace_whole
from napari_structsr.io.weights import read_card
from napari_structsr.models.card import ModelCard
from napari_structsr.training.checkpoint import write_checkpoint
from napari_structsr.training.recipe import read_recipe
from napari_structsr.zoo.shipped import WEIGHTS
from napari_structsr.zoo.user_models import import_model

EVIL = [
    "../../evil",
    "/tmp/evil",
    "..\\evil",
    "C:evil",
    "..",
    "",
    ".hidden",
    "a/b",
    "a\nb",
    "a\x1b[31mb",
    "a\u202eb",
    "aux",
    "a ",
    "a.json",
    "x" * 65,
]


@pytest.mark.parametrize("name", EVIL)
def test_every_file_with_a_name_is_refused_for_an_evil_one(tmp_path, name):
    text = json.dumps(name)
    (tmp_path / "mine.toml").write_text(f"name = {text}\n")
    with pytest.raises(TrainingError, match="cannot name a model"):
        read_recipe(str(tmp_path / "mine.toml"))
    (tmp_path / "tuning.json").write_text(f'{{"name": {text}}}')
    with pytest.raises(TrainingError, match="cannot name a model"):
        read_fine_tuning(tmp_path / "tuning.json")
    card = read_card(WEIGHTS / "faithful-x2") | {"name": name}
    with pytest.raises(ModelError, match="cannot name a model"):
        ModelCard.parse(card, origin="mine")
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="cannot name a model"):
        import_model(tmp_path / "model.json")
    run = {"factor": 2, "parent": "faithful", "state": "finished", "step": 1}
    run |= {"name": name, "seconds": 1.0}
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(TrainingError, match="cannot name a model"):
        read_run(tmp_path)


def test_a_card_blends_with_a_name_and_never_with_a_path():
    card = read_card(WEIGHTS / "faithful-x2") | {"blend_with": "../evil.pth"}
    with pytest.raises(ModelError, match=r"blend_with: .*cannot name a model"):
        ModelCard.parse(card, origin="mine")


@pytest.mark.parametrize("name", ["my lens", "Zürich_60x-1.4 oil", "x.y+z", "7"])
def test_names_that_people_give_are_taken(name):
    assert check_model_name(name) == name


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660)])
def test_files_can_be_read_as_the_umask_says(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_checkpoint(tmp_path / "c.safetensors", {"a": torch.ones(2)}, {"step": 1})
        with replace_whole(tmp_path / "text.json") as part:
            part.write_text("{}")
    finally:
        os.umask(before)
    for name in ("c.safetensors", "text.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode
    assert not list(tmp_path.glob("*.part"))
