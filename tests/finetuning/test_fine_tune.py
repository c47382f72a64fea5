import itertools
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.data import cell, coins

import napari_structsr as sr
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Failed,
    Finished,
    Noted,
    Started,
    Warned,
)
from napari_structsr.errors import StructsrError, TrainingError
from napari_structsr.finetuning.config import (
    FineTuneConfig,
    PairFiles,
    read_fine_tuning,
    write_fine_tuning,
)
from napari_structsr.finetuning.fine_tune import (
    Pause,
    Previewed,
    Scored,
    iter_fine_tune,
    resume_fine_tuning,
)
from napari_structsr.finetuning.low_rank import make_trainable, merge_weights
from napari_structsr.finetuning.pair_sampler import PairSampler, choose_patch_side
from napari_structsr.finetuning.replay import Replay
from napari_structsr.finetuning.runs import accept_run, list_runs, read_run, remove_run
from napari_structsr.finetuning.session import TuningSession
from napari_structsr.finetuning.split import Block, Split
from napari_structsr.finetuning.store import read_pairs, write_pairs
from napari_structsr.finetuning.validation import PairValidation
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.imaging.structure import gradient_error
from napari_structsr.io.locks import lock_folder
from napari_structsr.models.build import build_network
from napari_structsr.models.card import ModelCard
from napari_structsr.models.generator import interpolate
from napari_structsr.models.model import SRModel
from napari_structsr.pairs.image_pair import ImagePair, Place
from napari_structsr.training.recipe import Recipe

GUARD = 8
FAST = {
    "name": "mine",
    "steps": 60,
    "patience": 0,
    "replay": 0.25,
    "largest_loss": None,
    "batch": 4,
    "patch": 16,
    "rate": 1e-2,
    "device": "cpu",
    "precision": "float32",
}


def pair_of(truth, *, name="pair", sigma=0.9, seed=0):
    """Measure a truth with a wide point-spread function."""
    image = torch.from_numpy(np.ascontiguousarray(truth, np.float32))[None, None]
    measured = (
        ForwardModel(2, sigma)
        .measure(
            image,
            photons=20000,
            read_noise=0.002,
            generator=torch.Generator().manual_seed(seed),
        )[0, 0]
        .numpy()
    )
    height, width = measured.shape
    place = Place((name, f"{name}, fine"), (), (0, height), (0, width), (0.0, 0.0))
    noise = (1 / 20000, 0.002**2)
    return ImagePair(name, measured, truth, 2, place, psf_sigma=sigma, noise=noise)


@pytest.fixture(scope="module")
def pairs():
    """Return two pairs of 96 x 128 and 80 x 96 measured pixels."""
    one = coins()[20:212, 40:296].astype(np.float32) / 255
    other = cell()[150:310, 150:342].astype(np.float32) / 200
    return [pair_of(one, name="coins"), pair_of(other, name="cell", seed=1)]


@pytest.fixture(scope="module")
def split():
    """Keep the right of each pair for validation."""
    return Split(
        training=(Block(0, (0, 96), (0, 72)), Block(1, (0, 80), (0, 48))),
        validation=(Block(0, (0, 96), (80, 128)), Block(1, (0, 80), (56, 96))),
        gap=GUARD,
    )


@pytest.fixture(scope="module")
def parent():
    """Return a small network that has learnt nothing yet, and so is bicubic."""
    torch.manual_seed(0)
    options = {"width": 8, "blocks": 1}
    network = build_network("residual-generator", factor=2, options=options)
    card = ModelCard(
        name="bare",
        description="",
        architecture="residual-generator",
        options=options,
        factor=2,
        psf_sigma=0.4,
        sha256="0" * 64,
    )
    return SRModel(card, network.state_dict())


@pytest.fixture(autouse=True)
def own_models(tmp_path, monkeypatch):
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "models"))


def config(out, **changes):
    return FineTuneConfig(**FAST | {"out": str(out)} | changes)


def run(out, pairs, parent, split, *, resume=False, **changes):
    return list(
        iter_fine_tune(
            config(out, **changes), pairs, parent, split=split, resume=resume
        )
    )


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


def assert_same(one, other):
    one, other = (load_file(folder / "mine-x2.safetensors") for folder in (one, other))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.fixture(scope="module")
def undisturbed(pairs, parent, split, tmp_path_factory):
    """Return the folder and the events of one fine-tuning."""
    out = tmp_path_factory.mktemp("tuned") / "one"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTSR_MODELS", str(out.parent / "models"))
        return out, run(out, pairs, parent, split)


def test_it_learns_another_microscope_and_says_how_well(undisturbed, parent):
    out, events = undisturbed
    assert isinstance(events[0], Started)
    assert "60 steps on 2 pairs, 8 tiles for validation" in str(events[0].plan)
    verdict = events[-1].record
    assert verdict.recommended, verdict.sentence
    gain = verdict.scores["adapted"]["psnr"] - verdict.scores["parent"]["psnr"]
    assert gain > 0.05
    card = accept_run(out)
    assert card.psf_sigma == 0.9
    assert card.fine_tuning.sentence == verdict.sentence
    assert [pair.name for pair in card.fine_tuning.pairs] == ["coins", "cell"]
    assert card.parents == [parent.card.sha256]
    assert sr.load_model("mine").forward_model.psf_sigma == 0.9
    assert "mine" in [known.name for known in sr.list_models()]


def test_scores_and_views_come_while_it_learns(undisturbed):
    _, events = undisturbed
    scored, previewed = of_kind(events, Scored), of_kind(events, Previewed)
    assert len(scored) == len(previewed) == 13
    assert scored[0].values["adapted"] == scored[0].values["parent"]
    assert set(scored[-1].values) == {"bicubic", "parent", "adapted"}
    view = previewed[-1].view
    assert view.truth.shape == view.adapted.shape == view.bicubic.shape
    assert view.truth.shape == tuple(2 * side for side in view.measured.shape)


def test_empty_tiles_are_left_out(pairs, parent):
    """There is little to get wrong in tiles with little: errors are pooled."""
    truth = np.pad(pairs[0].truth, ((0, 0), (0, 512)), mode="edge")
    truth[:, 256:512] = 0.5 + 0.1 * truth[:, :256]
    truth[:, 512:] = 0.02
    pair = pair_of(truth.astype(np.float32), name="coins, pale coins and the dark")
    split = Split((), (Block(0, (0, 96), (0, 384)),), GUARD)
    validation = PairValidation([pair], split, parent=parent, device="cpu")
    assert len(validation.pair_correlation) == 12  # of 16, of which 4 are dark
    image, whole = (
        torch.from_numpy(side[:, : side.shape[1] * 2 // 3])[None, None]
        for side in (pair.measured, pair.truth)
    )
    together = gradient_error(interpolate(image, 2, mode="bicubic"), whole)
    found = validation.bicubic[:, 2].mean()
    assert found == pytest.approx(float(together), rel=0.02)


def test_the_best_is_kept_and_not_the_last(pairs, parent, split, tmp_path):
    """A rate that is too high spoils what was learnt first."""
    events = run(tmp_path, pairs, parent, split, rate=0.3)
    heights = [event.values["adapted"]["psnr"] for event in of_kind(events, Scored)[1:]]
    found = events[-1].record.scores["adapted"]["psnr"]
    assert found == pytest.approx(max(heights), abs=0.005)
    assert max(heights) > heights[-1] + 0.01


def test_scores_that_cease_to_rise_end_it(pairs, parent, split, tmp_path):
    events = run(tmp_path, pairs, parent, split, rate=0.2, patience=2)
    assert isinstance(events[-1], Finished)
    assert any("ceased to rise" in event.message for event in of_kind(events, Noted))


def test_cancelled_and_resumed_equals_undisturbed(
    undisturbed, pairs, parent, split, tmp_path
):
    before = {
        name: value.clone() for name, value in parent.network.state_dict().items()
    }
    cancel, events = Cancel(), []
    out = tmp_path / "mine-x2"
    for event in iter_fine_tune(config(out), pairs, parent, cancel, split=split):
        events.append(event)
        if isinstance(event, Scored) and event.step == 15:
            cancel()
    assert isinstance(events[-1], Cancelled)
    (partial,) = list_runs(tmp_path)
    assert (partial.state, partial.step, partial.bundle) == ("stopped", 15, None)
    for name, value in parent.network.state_dict().items():
        assert torch.equal(value, before[name])
    assert isinstance(run(out, pairs, parent, split)[-1], Failed)  # it lies there
    again = run(out, pairs, parent, split, resume=True)
    assert again[0].plan.done == 15
    assert_same(undisturbed[0], out)
    assert read_run(out).state == "finished"
    remove_run(out)
    assert list_runs(tmp_path) == []


def test_killed_and_resumed_from_the_folder_equals_undisturbed(
    undisturbed, pairs, parent, split, tmp_path, monkeypatch
):
    """The pairs are gone with the program; the folder has them."""
    monkeypatch.setattr(
        "napari_structsr.finetuning.fine_tune.load_model", lambda *_, **__: parent
    )
    out = tmp_path / "killed"
    write_pairs(tmp_path / "pairs", pairs, split)
    torch.save(parent.network.state_dict(), tmp_path / "parent")
    code = f"""
import os, signal, sys, torch
from pathlib import Path
from napari_structsr.models.card import ModelCard
from napari_structsr.models.generator import interpolate
from napari_structsr.models.model import SRModel
from napari_structsr.finetuning.store import read_pairs
from napari_structsr.finetuning.fine_tune import Scored, iter_fine_tune
from napari_structsr.finetuning.config import FineTuneConfig
folder = Path({str(tmp_path)!r})
card = ModelCard.model_validate_json({parent.card.model_dump_json()!r})
model = SRModel(card, torch.load(folder / "parent", weights_only=True))
pairs, split = read_pairs(folder / "pairs")
config = FineTuneConfig.model_validate_json({config(out).model_dump_json()!r})
for event in iter_fine_tune(config, pairs, model, split=split):
    if isinstance(event, Scored) and event.step == 30:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert read_run(out).state == "begun"
    events = list(resume_fine_tuning(out))
    assert 20 <= events[0].plan.done <= 30
    assert_same(undisturbed[0], out)


def test_killed_before_it_began_it_is_begun_again(
    pairs, parent, split, tmp_path, kill_at
):
    session = TuningSession(config(tmp_path), pairs, split, parent, folder=tmp_path)

    def create():
        with lock_folder(session.folder):
            session.create_folder()

    for number in itertools.count():
        folder = session.folder = tmp_path / str(number)
        if not kill_at(number, create):
            break
        if folder.exists():
            # the way out that is named
            failed = list(resume_fine_tuning(folder))[-1]
            assert "start it without --resume" in str(failed.error)
        events = iter_fine_tune(config(folder), pairs, parent, split=split)
        assert isinstance(next(events), Started)
        events.close()
        assert {file.name for file in folder.iterdir()} == {
            "config.json",
            "pairs.safetensors",
            "run.json",
        }
    assert number > 8


def test_a_running_one_is_neither_begun_again_nor_removed(
    pairs, parent, split, tmp_path
):
    out = tmp_path / "a"
    first = iter_fine_tune(config(out), pairs, parent, split=split)
    assert isinstance(next(first), Started)
    for resume in (False, True):
        (failed,) = run(out, pairs, parent, split, resume=resume)
        assert "being written by another run" in str(failed.error)
    with pytest.raises(TrainingError, match="stop it"):
        remove_run(out)
    first.close()
    remove_run(out)
    assert not out.exists()


def test_another_aim_cannot_go_on(undisturbed, pairs, parent, split):
    out, _ = undisturbed
    (failed,) = run(out, pairs, parent, split, resume=True, seed=1)
    assert isinstance(failed.error, TrainingError)
    assert "seed changed" in str(failed.error)
    other = [replace(pairs[0], truth=pairs[0].truth * 0.9), pairs[1]]
    (failed,) = run(out, other, parent, split, resume=True)
    assert "images changed" in str(failed.error)


def test_pairs_that_do_not_belong_together_are_refused(pairs, parent, tmp_path):
    texture = [pairs[0].truth[:160, :192], np.rot90(pairs[0].truth[:, 60:220]).copy()]
    truths = [pairs[1].truth, texture[0], texture[1][:160, :160]]
    truths = [truth[:160, :160] for truth in truths]
    mixed = [
        replace(pair_of(truth, name=str(number)), truth=truths[number - 1])
        for number, truth in enumerate(truths)
    ]
    halves = Split(
        tuple(Block(n, (0, 80), (0, 36)) for n in range(3)),
        tuple(Block(n, (0, 80), (44, 80)) for n in range(3)),
        GUARD,
    )
    events = run(tmp_path, mixed, parent, halves)
    assert isinstance(events[-1], Finished)
    assert not events[-1].record.recommended
    assert "belong together" in events[-1].record.sentence


def test_pixels_for_validation_are_never_drawn(pairs, split, parent):
    """A pixel outside of the regions for training would make its patch NaN."""
    hidden = []
    for number, pair in enumerate(pairs):
        measured = np.full_like(pair.measured, np.nan)
        truth = np.full_like(pair.truth, np.nan)
        for block in split.training:
            if block.pair == number:
                place = slice(*block.rows), slice(*block.columns)
                measured[place] = block.measured(pair)
                fine = tuple(slice(2 * p.start, 2 * p.stop) for p in place)
                truth[fine] = block.truth(pair)
        hidden.append(replace(pair, measured=measured, truth=truth))
    random = torch.Generator().manual_seed(0)
    pool = PairSampler(hidden, split.training, patch=16, device="cpu")
    drawn = pool.draw(4000, random)
    assert torch.isfinite(drawn.measured).all()
    assert torch.isfinite(drawn.truth).all()
    replay = Replay(
        parent.network,
        Recipe(name="replay", factor=2, patch=16),
        truths=[block.truth(hidden[block.pair]) for block in split.training],
        device=sr_device(),
    )
    replayed = replay.draw(400, number=0, weight=1.0, generator=random)
    assert torch.isfinite(replayed.measured).all()


def test_patches_are_cut_from_both_images_alike(pairs, split):
    """Whatever way they are turned: the truth, measured again, is what was measured."""
    pool = PairSampler(pairs, split.training, patch=24, device="cpu")
    drawn = pool.draw(64, torch.Generator().manual_seed(0))
    again = pool.forward_model(drawn.truth)[..., 6:-6, 6:-6]
    apart = (again - drawn.measured[..., 6:-6, 6:-6]).pow(2).mean()
    assert apart < 2 * drawn.variance.mean()


def test_a_batch_that_does_not_fit_is_halved(
    pairs, parent, split, tmp_path, monkeypatch
):
    draw = PairSampler.draw

    def short(self, count, generator):
        if count > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return draw(self, count, generator)

    monkeypatch.setattr(PairSampler, "draw", short)
    events = run(tmp_path, pairs, parent, split, batch=8, steps=3)
    assert [e.message for e in of_kind(events, Warned)][-1].startswith(
        "memory was short"
    )
    assert isinstance(events[-1], Finished)


def test_a_pause_saves_and_holds_on(pairs, parent, split, tmp_path):
    pause, events = Pause(), []
    for event in iter_fine_tune(
        config(tmp_path, steps=6), pairs, parent, split=split, pause=pause
    ):
        events.append(event)
        if isinstance(event, Scored) and event.step == 2:
            pause()
        if isinstance(event, Noted) and "holding on" in event.message:
            assert (tmp_path / "checkpoint.safetensors").exists()
            pause.resume()
    assert isinstance(events[-1], Finished)
    assert sum("holding on" in e.message for e in of_kind(events, Noted)) == 1


@pytest.mark.parametrize("changes", [{"mode": "efficient"}, {"adversarial": "on"}])
def test_each_way_ends_with_a_model(changes, pairs, parent, split, tmp_path):
    events = run(tmp_path, pairs, parent, split, steps=6, **changes)
    assert isinstance(events[-1], Finished), events[-1].error
    model = sr.load_model(str(events[-1].output))
    image = torch.rand(1, 1, 20, 20)
    shifted = model(0.5 * image + 0.2)
    torch.testing.assert_close(shifted, 0.5 * model(image) + 0.2, atol=1e-5, rtol=0)


def test_a_time_that_the_first_scores_use_up_still_makes_a_step(
    pairs, parent, split, tmp_path
):
    events = run(tmp_path, pairs, parent, split, steps=None, minutes=1e-6)
    assert isinstance(events[-1], Finished), events[-1].error
    assert [event.step for event in of_kind(events, Scored)] == [0, 1]


def test_the_efficient_mode_begins_at_the_parent_and_changes_little(parent):
    network = SRModel(parent.card, parent.network.state_dict()).network
    trained = make_trainable(network, "efficient")
    for name, value in merge_weights(network).items():
        assert torch.equal(value, parent.network.state_dict()[name])
    count = sum(value.numel() for value in parent.network.parameters())
    assert 0 < sum(value.numel() for value in trained) < count


def test_a_file_says_the_same_again(tmp_path):
    pairs = (PairFiles(high="b.tif", low="a.tif", region=(0, 9, 0, 9), plane=(1,)),)
    first = FineTuneConfig(name="mine", pairs=pairs, minutes=2)
    write_fine_tuning(tmp_path / "config.json", first)
    again = read_fine_tuning(tmp_path / "config.json")
    assert again.pairs[0].high == str(tmp_path / "b.tif")
    assert again.model_copy(update={"pairs": pairs}) == first
    toml = 'name = "mine"\nminutes = 2.0\n[[pairs]]\nhigh = "b.tif"\nlow = "a.tif"\n'
    toml += "region = [0, 9, 0, 9]\nplane = [1]\n"
    (tmp_path / "config.toml").write_text(toml)
    assert read_fine_tuning(tmp_path / "config.toml") == again
    assert FineTuneConfig(name="mine").minutes == 3


def test_the_old_names_of_entries_are_still_read(tmp_path, pairs, split):
    block = '[{"rows": [0, 8], "columns": [0, 9]}]'
    for training, validation, gap in (
        ("training", "validation", "gap"),
        ("teaches", "judges", "guard"),
    ):
        files = f'{{"high": "b", "{training}": {block}, "{validation}": {block}}}'
        text = f'{{"name": "a", "pairs": [{files}], "{gap}": 3}}'
        (tmp_path / "config.json").write_text(text)
        config = read_fine_tuning(tmp_path / "config.json")
        (files,) = config.pairs
        assert files.training == files.validation != ()
        assert config.gap == 3
        assert "guard" not in config.model_dump_json()
    write_pairs(tmp_path / "pairs", pairs, split)
    content = (tmp_path / "pairs").read_bytes()
    # Of the same length, or the header of the file would have to be counted anew.
    old = content.replace(b', \\"gap\\": ', b',\\"guard\\":')
    assert old != content
    (tmp_path / "pairs").write_bytes(old)
    assert read_pairs(tmp_path / "pairs")[1] == split


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ('{"name": "a", "minutes": 1, "steps": 2}', "not both"),
        ('{"name": "a", "colour": 1}', "colour"),
        ('{"name": "a", "pairs": [{"low": "x"}]}', "pairs.0.high"),
    ],
)
def test_a_file_at_fault_is_refused_in_words(text, said, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(TrainingError, match=said):
        read_fine_tuning(tmp_path / "config.json")


def test_pairs_come_back_from_disk(pairs, split, tmp_path):
    write_pairs(tmp_path / "pairs", pairs, split)
    again, blocks = read_pairs(tmp_path / "pairs")
    assert blocks == split
    for one, other in zip(pairs, again, strict=True):
        assert one.fingerprint == other.fingerprint
        assert (one.where, one.registration, one.noise) == (
            other.where,
            other.registration,
            other.noise,
        )


def test_regions_are_split_by_themselves_or_refused(pairs, parent, split, tmp_path):
    events = list(iter_fine_tune(config(tmp_path / "own", steps=2), pairs, parent))
    assert isinstance(events[-1], Finished), events[-1].error
    assert events[-1].record.tiles > 0
    near = replace(split, gap=GUARD + 1)
    (failed,) = run(tmp_path / "near", pairs, parent, near, steps=2)
    assert "move them at least 9 pixels apart" in str(failed.error)


def test_what_cannot_be_fine_tuned_is_said(pairs, parent, split, tmp_path):
    cases = [
        (pairs, sr.load_model("bicubic"), {}, "cannot be fine-tuned"),
        ([], parent, {}, "no pairs"),
        (pairs, parent, {"factor": 4}, "factors differ"),
        (pairs, parent, {"name": "faithful"}, "ships"),
    ]
    for given, model, changes, said in cases:
        (failed,) = run(tmp_path / "out", given, model, split, **changes)
        assert isinstance(failed.error, StructsrError)
        assert said in str(failed.error)
    assert not (tmp_path / "out").exists()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    (failed,) = run(tmp_path / "photos", pairs, parent, split)
    assert "holds other files" in str(failed.error)
    with pytest.raises(TrainingError, match="too small"):
        choose_patch_side([Block(0, (0, 12), (0, 90))], 48)


def sr_device():
    from napari_structsr.engine.device import Device

    return Device("cpu", "cpu", "float32")
