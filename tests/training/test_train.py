import csv
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.metrics import peak_signal_noise_ratio

import napari_structsr as sr
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Failed,
    Finished,
    Noted,
    Progressed,
    Started,
)
from napari_structsr.errors import TrainingError
from napari_structsr.io.locks import lock_folder
from napari_structsr.training.checkpoint import read_checkpoint, write_checkpoint
from napari_structsr.training.recipe import Recipe
from napari_structsr.training.settings import TrainingSettings
from napari_structsr.training.train import train

CPU = {"device": "cpu", "precision": "float32"}


def run(recipe, images, out, **settings):
    return list(train(recipe, images, out, settings=TrainingSettings(**CPU | settings)))


def weights(out):
    (path,) = out.glob("tiny-x2.safetensors")
    return load_file(path)


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.fixture(params=["adversarial_recipe", "srgan_recipe"])
def any_recipe(request):
    return request.getfixturevalue(request.param)


def test_a_training_says_what_it_does_and_ends_with_a_model(recipe, images, tmp_path):
    events = run(recipe, images, tmp_path / "out")
    assert isinstance(events[0], Started)
    assert "30 steps on 10 planes, 1 held out" in str(events[0].plan)
    assert any(isinstance(event, Progressed) for event in events)
    assert any("held out" in e.message for e in events if isinstance(e, Noted))
    path = events[-1].output
    model = sr.load_model(str(path))
    assert model.card.seen_megapixels == pytest.approx(recipe.megapixels, abs=0.05)
    assert {source.name for source in model.card.data} == {"cell", "tissue"}
    assert model.card.data[0].licence == "not stated"
    assert Recipe.model_validate_json(model.card.recipe) == recipe


def test_a_model_trained_by_the_clock_is_no_worse_than_interpolation(
    recipe, images, measured, truth, tmp_path
):
    begin = time.monotonic()
    events = run(recipe, images, tmp_path, minutes=0.1)
    assert isinstance(events[-1], Finished)
    assert events[-2].message.startswith("step")
    assert time.monotonic() - begin > 6

    def quality(name):
        result = sr.result_of(
            sr.iter_upscale(
                sr.open_source(measured),
                sr.load_model(name),
                sr.MemorySink(),
                settings=sr.UpscaleSettings(**CPU),
            )
        )
        return peak_signal_noise_ratio(truth, result, data_range=1)

    assert quality(str(events[-1].output)) > quality("bicubic")


def test_stopped_and_resumed_equals_undisturbed(any_recipe, images, tmp_path):
    """Stopped in either phase; validation and saving draw no random numbers."""
    assert isinstance(run(any_recipe, images, tmp_path / "one")[-1], Finished)
    for share in (0.3, 0.8):
        cancel = Cancel()
        out = tmp_path / f"two-{share}"
        settings = TrainingSettings(**CPU, save_every=0)
        events = []
        for event in train(any_recipe, images, out, settings=settings, cancel=cancel):
            events.append(event)
            saved = sum(isinstance(event, Noted) for event in events) - 1
            if saved >= share * any_recipe.steps:
                cancel()
        assert isinstance(events[-1], Cancelled)
        assert 0 < events[-1].done < any_recipe.steps
        again = run(any_recipe, images, out, resume=True)
        assert again[0].plan.done == events[-1].done
        assert isinstance(again[-1], Finished)
        assert_same(weights(tmp_path / "one"), weights(out))
        with (out / "curves.csv").open() as file:
            steps = [float(row["step"]) for row in csv.DictReader(file)]
        assert steps == sorted(set(steps))
        assert steps[-1] == any_recipe.steps


def test_killed_and_resumed_equals_undisturbed(adversarial_recipe, images, tmp_path):
    run(adversarial_recipe, images, tmp_path / "one")
    out = tmp_path / "two"
    code = f"""
from pathlib import Path
from napari_structsr.training.recipe import Recipe
from napari_structsr.training.train import train
from napari_structsr.training.settings import TrainingSettings
recipe = Recipe.model_validate_json({adversarial_recipe.model_dump_json()!r})
settings = TrainingSettings(device="cpu", precision="float32", save_every=0)
for event in train(recipe, Path({str(images)!r}), Path({str(out)!r}),
                   settings=settings):
    print(event, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if "step 17 " in line:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.wait()
    assert process.returncode == -signal.SIGKILL
    events = run(adversarial_recipe, images, out, resume=True)
    assert 17 <= events[0].plan.done < adversarial_recipe.steps
    assert_same(weights(tmp_path / "one"), weights(out))


def test_another_seed_gives_other_weights(recipe, images, tmp_path):
    run(recipe, images, tmp_path / "one")
    run(recipe.model_copy(update={"seed": 1}), images, tmp_path / "two")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert not torch.equal(one["head"], two["head"])


def test_divergence_ends_in_words_and_keeps_the_last_good_weights(
    recipe, images, tmp_path
):
    good = run(recipe, images, tmp_path)[-1].output
    before = load_file(good)
    longer = recipe.model_copy(update={"megapixels": 1.0, "rate": 1e8})
    assert isinstance(run(longer, images, tmp_path / "bad")[-1], Failed)
    # and a run that was fine up to its checkpoint
    (tmp_path / "checkpoint.safetensors").unlink()
    (error,) = (
        event.error
        for event in run(longer, images, tmp_path)
        if isinstance(event, Failed)
    )
    assert isinstance(error, TrainingError)
    assert "lower rate" in str(error)
    assert_same(before, load_file(good))


def test_a_folder_with_a_training_is_not_written_over(recipe, images, tmp_path):
    run(recipe, images, tmp_path)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    (failed,) = run(recipe, images, tmp_path)
    assert "--resume" in str(failed.error)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_a_second_training_into_a_folder_is_refused_before_it_begins(recipe, tmp_path):
    with lock_folder(tmp_path / "a"):
        for resume in (False, True):
            (failed,) = run(recipe, tmp_path / "none", tmp_path / "a", resume=resume)
            assert "being written by another run" in str(failed.error)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "change",
    [{"step": "3"}, {"step": -1}, {"recipe": 3}, {"seconds": None}],
    ids=str,
)
def test_a_checkpoint_of_odd_facts_is_refused(recipe, images, tmp_path, change):
    out = tmp_path / "out"
    cancel = Cancel()
    for event in train(
        recipe, images, out, settings=TrainingSettings(**CPU), cancel=cancel
    ):
        if isinstance(event, Progressed):
            cancel()
    tensors, facts = read_checkpoint(out / "checkpoint.safetensors")
    write_checkpoint(out / "checkpoint.safetensors", tensors, facts | change)
    *_, last = run(recipe, images, out, resume=True)
    assert isinstance(last, Failed)
    assert isinstance(last.error, TrainingError)
    assert "cannot be read as a checkpoint" in str(last.error)


def test_what_cannot_be_resumed_is_said(recipe, images, tmp_path):
    (failed,) = run(recipe, images, tmp_path / "none", resume=True)
    assert "without --resume" in str(failed.error)
    assert not (tmp_path / "none").exists()
    run(recipe, images, tmp_path)
    other = recipe.model_copy(update={"rate": 1e-4})
    (failed,) = run(other, images, tmp_path, resume=True)
    assert "rate changed" in str(failed.error)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    (failed,) = run(recipe, images, tmp_path, resume=True)
    assert "cannot be read as a checkpoint" in str(failed.error)


def test_a_training_can_start_from_a_model(recipe, images, tmp_path):
    first = run(recipe, images, tmp_path / "one")[-1].output
    warm = recipe.model_copy(update={"start": str(first), "rate": 1e-12})
    second = run(warm, images, tmp_path / "two")[-1].output
    card = sr.load_model(str(second)).card
    parent = sr.load_model(str(first)).card
    assert card.parents == [parent.sha256]
    assert card.seen_megapixels == pytest.approx(
        parent.seen_megapixels + recipe.megapixels, abs=0.06
    )
    one, two = load_file(first), load_file(second)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-4, rtol=0)


def test_a_parent_of_another_size_is_refused(recipe, images, tmp_path):
    (failed,) = run(
        recipe.model_copy(update={"start": "faithful"}), images, tmp_path / "out"
    )
    assert "same architecture" in str(failed.error)
    assert not (tmp_path / "out").exists()


def test_the_discriminator_learns_and_pulls(adversarial_recipe, images, tmp_path):
    longer = {"megapixels": 2 * adversarial_recipe.megapixels}
    run(adversarial_recipe.model_copy(update=longer), images, tmp_path)
    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["adversarial"] == ""
    assert float(rows[-1]["adversarial"]) > 0
    assert np.isfinite(float(rows[-1]["discriminator"]))
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_float16_is_refused(recipe, images, tmp_path):
    events = run(recipe, images, tmp_path / "out", precision="float16")
    assert "bfloat16" in str(events[-1].error)
