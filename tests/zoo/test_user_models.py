import json
import logging
import shutil
import subprocess
import sys
import zipfile
from importlib import import_module

import numpy as np
import pytest

import napari_structsr as sr
from napari_structsr.errors import ModelError, TrainingError
from napari_structsr.finetuning.runs import (
    RunSummary,
    accept_run,
    list_runs,
    remove_run,
    write_run,
)
from napari_structsr.io.weights import read_card
from napari_structsr.zoo import user_models
from napari_structsr.zoo.shipped import WEIGHTS
from napari_structsr.zoo.user_models import (
    export_model,
    find_user_folder,
    import_model,
    read_user_cards,
    remove_model,
)

SHIPPED = WEIGHTS / "faithful-x2.safetensors"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Give the user an empty folder of models; it is not made before it is needed."""
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "here"))
    return tmp_path / "here"


@pytest.fixture
def run(tmp_path):
    """Return the folder of a finished fine-tuning, made of a model that ships."""
    return make_run(tmp_path / "runs" / "one")


def make_run(folder, *, name="my lens", state="finished"):
    folder.mkdir(parents=True)
    shutil.copy(SHIPPED, folder / f"{name}-x2.safetensors")
    card = read_card(SHIPPED) | {"name": name}
    (folder / f"{name}-x2.json").write_text(json.dumps(card))
    write_run(RunSummary(folder, name, 2, "faithful", state, 10, 3.0, True, "Good."))
    return folder


def names():
    return [card.name for card in sr.list_models()]


def test_an_accepted_model_is_offered_at_once_and_upscales(run):
    assert "my lens" not in names()
    assert accept_run(run).name == "my lens"
    assert names().index("my lens") < names().index("bicubic")
    model = sr.load_model("my lens")
    image = np.random.default_rng(0).random((20, 24), np.float32)
    results = [
        sr.result_of(sr.iter_upscale(sr.open_source(image), chosen, sr.MemorySink()))
        for chosen in (model, sr.load_model("faithful"))
    ]
    np.testing.assert_array_equal(*results)
    remove_model("my lens", 2)
    assert "my lens" not in names()
    with pytest.raises(ModelError, match="there is no model named 'my lens'"):
        sr.load_model("my lens")


def test_a_model_travels_to_another_machine(run, tmp_path, monkeypatch):
    accept_run(run)
    archive = export_model("my lens", tmp_path / "my.zip", factor=2)
    weights = export_model("my lens", tmp_path / "two files", factor=2)
    for number, path in enumerate((archive, weights)):
        monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / f"there {number}"))
        assert names().count("my lens") == 0
        card = import_model(path)
        assert sr.load_model("my lens").card == card
        with pytest.raises(ModelError, match="already"):
            import_model(path)
        assert import_model(path, replace=True) == card


def test_a_zip_with_anything_else_is_refused(run, folder, tmp_path):
    accept_run(run)
    archive = export_model("my lens", tmp_path / "my.zip", factor=2)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../../evil.pkl", b"?")
    with pytest.raises(ModelError, match="a model is one"):
        import_model(archive, replace=True)
    assert not list(tmp_path.rglob("evil.pkl"))
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ModelError, match="cannot be read as a zip"):
        import_model(tmp_path / "text.zip")


def test_damaged_weights_are_not_taken_up(run, folder):
    weights = run / "my lens-x2.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="hash"):
        accept_run(run)
    assert not folder.exists()


@pytest.mark.parametrize(
    "name", ["faithful", "Sharp", "bicubic", "a/b", "", "con", "x.pth", "end.", "\\x"]
)
def test_names_that_cannot_be_taken_are_refused(name, run):
    card = run / "my lens-x2.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"name": name}))
    with pytest.raises(ModelError, match="name"):
        accept_run(run)


def test_a_damaged_card_does_not_hide_the_others(run, folder, caplog):
    accept_run(run)
    (folder / "broken-x2.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        assert [card.name for card in read_user_cards()] == ["my lens"]
    assert "broken" in caplog.text


def test_runs_are_listed_and_removed_and_nothing_else_is(run, tmp_path):
    make_run(tmp_path / "runs" / "two", name="other", state="stopped")
    (tmp_path / "runs" / "photos").mkdir()
    assert {entry.name for entry in list_runs(tmp_path / "runs")} == {
        "my lens",
        "other",
    }
    with pytest.raises(TrainingError, match="not finished"):
        accept_run(tmp_path / "runs" / "two")
    with pytest.raises(TrainingError, match="cannot be read as a fine-tuning"):
        remove_run(tmp_path / "runs" / "photos")
    remove_run(tmp_path / "runs" / "two")
    assert [entry.name for entry in list_runs(tmp_path / "runs")] == ["my lens"]
    assert (tmp_path / "runs" / "photos").exists()


def test_listing_needs_no_torch(run):
    accept_run(run)
    code = (
        "import sys; from napari_structsr.zoo.catalogue import list_models; "
        "assert 'my lens' in [card.name for card in list_models()]; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("system", "kind", "base"),
    [
        ("unix", "Unix", ".local/share"),
        ("macos", "MacOS", "Library/Application Support"),
        ("windows", "Windows", "AppData/Local"),
    ],
)
def test_each_system_has_its_folder(system, kind, base, monkeypatch, tmp_path):
    for variable in ("STRUCTSR_MODELS", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "AppData" / "Local"))
    module = import_module(f"platformdirs.{system}")
    if system == "windows":  # its library is missing elsewhere, its variables are not
        monkeypatch.setattr(
            module, "get_win_folder", module.get_win_folder_from_env_vars
        )
    folders = getattr(module, kind)
    monkeypatch.setattr(
        user_models,
        "user_data_path",
        lambda *names, **options: folders(*names, **options).user_data_path,
    )
    assert find_user_folder() == tmp_path / base / "structsr" / "models"


def test_an_older_folder_is_found_where_the_system_names_another(monkeypatch, tmp_path):
    monkeypatch.delenv("STRUCTSR_MODELS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    older = tmp_path / "Library" / "Application Support" / "structsr" / "models"
    assert find_user_folder() == tmp_path / "data" / "structsr" / "models"
    older.mkdir(parents=True)
    assert find_user_folder() == older
