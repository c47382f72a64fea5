"""`structsr clean`, and commands that find another one at their place."""

import os
import shutil
import signal

import pytest
import tifffile
import zarr
from typer.testing import CliRunner

from napari_structsr.cli import app
from napari_structsr.io.locks import lock_folder, lock_output

runner = CliRunner()


def structsr(*words, **options):
    return runner.invoke(app, [str(word) for word in words], **options)


@pytest.fixture
def left(tmp_path):
    """Fill a folder with what killed runs leave, and what is nobody's business."""
    litter = [
        ".a.ome.zarr.0123abcd.new",
        ".b.ome.zarr.0123abcd.gone",
        "deep/.c.json.0123abcd.part",
        "deep/model-x2.safetensors.part",
        ".d.ome.tif.ome.zarr",
        "e.ome.zarr/structsr-journal.txt",
    ]
    for name in litter:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(("new", "gone", ".ome.zarr")):
            path.mkdir()
            (path / "chunk").write_bytes(bytes(1000))
        else:
            path.write_bytes(bytes(1000))
    entry = {"status": "finished", "record": RECORD}
    zarr.create_group(tmp_path / "e.ome.zarr", attributes={"structsr": entry})
    precious = ["film.part", ".hidden.new", "deep/.x.lock", "f.ome.zarr/0/c/0"]
    for name in precious:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
    zarr.create_group(tmp_path / "f.ome.zarr", attributes={"a": 1})
    return tmp_path, litter, precious


RECORD = {
    "source": {"origin": "a.tif", "axes": "yx", "shape": [8, 8], "options": {}},
    "model": {"name": "bicubic", "factor": 2},
    "settings": {},
    "intensity": [],
    "least_shares": [],
    "device": "cpu",
}


def test_clean_names_and_after_asking_removes_what_runs_have_left(left):
    folder, litter, precious = left
    kept = structsr("clean", folder, input="n\n")
    for name in litter:
        assert f"{folder / name}: " in kept.output
        assert (folder / name).exists()
    for name in precious:
        assert str(folder / name) not in kept.output
    assert "removed 6" in structsr("clean", folder, "--yes").output
    assert not any((folder / name).exists() for name in litter)
    assert all((folder / name).read_text() == "precious" for name in precious)
    assert (folder / "e.ome.zarr" / "zarr.json").exists()
    assert "no run has left anything" in structsr("clean", folder).output


def test_clean_leaves_what_a_run_is_writing(left):
    folder, litter, _ = left
    with (
        lock_output(folder / "deep" / "c.json"),
        lock_output(folder / "d.ome.tif"),
        lock_folder(folder / "train"),
    ):
        (folder / "deep" / ".c.json.0123abcd.part").touch()
        result = structsr("clean", folder, "--yes")
        assert result.exit_code == 0, result.output
        left_over = {name for name in litter if (folder / name).exists()}
        assert (folder / "train" / ".structsr.lock").exists()
    assert left_over == {"deep/.c.json.0123abcd.part", ".d.ome.tif.ome.zarr"}


def test_two_who_clean_at_once_do_not_trip_over_each_other(left, monkeypatch):
    folder, *_ = left
    from napari_structsr.io import litter as module

    found = module.find_litter(folder)
    assert "removed 6" in structsr("clean", folder, "--yes").output
    for one in found:
        one.remove()
    (folder / "deep" / "deeper").mkdir()
    (folder / "deep" / ".c.json.0123abcd.part").touch()
    is_locked = module.is_locked

    def clean_meanwhile(path):
        shutil.rmtree(folder / "deep", ignore_errors=True)
        return is_locked(path)

    monkeypatch.setattr(module, "is_locked", clean_meanwhile)
    assert structsr("clean", folder, "--yes").exit_code == 0


def test_clean_brings_back_what_was_moved_away(tmp_path):
    moved = tmp_path / ".a.ome.zarr.0123abcd.old"
    moved.mkdir()
    (moved / "zarr.json").write_text("precious")
    assert "moved back" in structsr("clean", tmp_path, "--yes").output
    assert (tmp_path / "a.ome.zarr" / "zarr.json").read_text() == "precious"
    assert not moved.exists()


def test_the_lock_of_a_killed_run_is_named(tmp_path, kill_at):
    path = tmp_path / "a.ome.zarr"

    def hold():
        with lock_output(path):
            os.kill(os.getpid(), signal.SIGKILL)

    assert kill_at(999, hold)
    # killed before it could say who it was
    (tmp_path / ".structsr.lock").touch()
    result = structsr("clean", tmp_path, "--yes")
    assert result.output.count("the lock of a run that was killed") == 2
    assert list(tmp_path.iterdir()) == []


def test_a_second_command_says_who_writes(tmp_path, stack):
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, stack[0, 0])
    upscale = ["upscale", image, tmp_path / "a.ome.tif", "--model", "bicubic"]
    calibrate = ["calibrate", "--source", image, "--reference", image]
    for output, words in (
        ("a.ome.tif", upscale),
        ("a.ome.tif", [*upscale, "--overwrite"]),
        ("c.json", [*calibrate, "--out", tmp_path / "c.json"]),
    ):
        with lock_output(tmp_path / output):
            result = structsr(*words)
        assert result.exit_code == 1
        assert "being written by another run" in result.stderr
        assert "Traceback" not in result.output


def test_accepting_a_model_twice_at_once_is_refused(sharp, tmp_path, monkeypatch):
    from napari_structsr.errors import SinkError
    from napari_structsr.io.weights import read_card, read_weights, write_bundle
    from napari_structsr.zoo.user_models import import_model

    user = tmp_path / "user"
    monkeypatch.setenv("STRUCTSR_MODELS", str(user))
    card = read_card(sharp / "sharp-x2.json")
    weights = read_weights(sharp / "sharp-x2", sha256=card["sha256"])
    write_bundle(tmp_path / "mine-x2", card | {"name": "mine"}, weights)
    user.mkdir()
    with (
        lock_output(user / "mine-x2.safetensors"),
        pytest.raises(SinkError, match="another run"),
    ):
        import_model(tmp_path / "mine-x2.safetensors")
    assert list(user.iterdir()) == []
    assert import_model(tmp_path / "mine-x2.safetensors").name == "mine"
    assert {file.name for file in user.iterdir()} == {
        "mine-x2.safetensors",
        "mine-x2.json",
    }
