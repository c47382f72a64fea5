"""Fine-tuning of models that are told the optics: what is told, and what stays."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.data import coins

import napari_structsr as sr
from napari_structsr.engine.events import Cancel, Cancelled, Finished
from napari_structsr.finetuning.config import FineTuneConfig
from napari_structsr.finetuning.fine_tune import Scored, iter_fine_tune
from napari_structsr.finetuning.pair_sampler import PairSampler
from napari_structsr.finetuning.runs import accept_run
from napari_structsr.finetuning.split import Block, Split
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.models.conditional_generator import noise_level
from napari_structsr.pairs.image_pair import ImagePair, Place

WIDTH, PHOTONS, READ_NOISE = 0.9, 2000, 0.01
RANGES = {"psf_range": (0.3, 1.8), "noise_range": (0.006, 0.15)}


@pytest.fixture(scope="module")
def pair():
    """Return a pair of 96 x 128 measured pixels."""
    truth = coins()[20:212, 40:296].astype(np.float32) / 255
    generator = torch.Generator().manual_seed(0)
    measured = ForwardModel(2, WIDTH).measure(
        torch.from_numpy(truth)[None, None],
        photons=PHOTONS,
        read_noise=READ_NOISE,
        generator=generator,
    )
    place = Place(("low", "high"), (), (0, 96), (0, 128), (0.0, 0.0))
    noise = (1 / PHOTONS, READ_NOISE**2)
    pixels = measured[0, 0].numpy()
    return ImagePair("coins", pixels, truth, 2, place, psf_sigma=WIDTH, noise=noise)


@pytest.fixture(scope="module")
def split():
    """Keep the right of the pair for validation."""
    return Split((Block(0, (0, 96), (0, 72)),), (Block(0, (0, 96), (80, 128)),), 8)


@pytest.fixture(scope="module")
def parent(make_told_model):
    """Return a small network whose gains differ by width and noise."""
    return make_told_model(name="bare", sha256="0" * 64, **RANGES)


@pytest.fixture(autouse=True)
def own_models(tmp_path, monkeypatch):
    monkeypatch.setenv("STRUCTSR_MODELS", str(tmp_path / "models"))


def make_config(out):
    return FineTuneConfig(
        name="mine",
        parent="bare",
        steps=48,
        patience=0,
        replay=0.25,
        largest_loss=None,
        batch=4,
        patch=16,
        rate=5e-3,
        device="cpu",
        precision="float32",
        out=str(out),
    )


@pytest.fixture(scope="module")
def tuned(pair, split, parent, tmp_path_factory):
    """Return the folder of a fine-tuning, its verdict, and the model as offered."""
    out = tmp_path_factory.mktemp("tuned") / "one"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTSR_MODELS", str(out.parent / "models"))
        first, *_, last = iter_fine_tune(make_config(out), [pair], parent, split=split)
        assert isinstance(last, Finished), last.error
        assert "told a blur of 0.9 measured pixels" in first.plan.work
        accept_run(out)
        return out, last.record, sr.load_model("mine")


def test_a_patch_is_told_the_width_and_the_noise_of_its_pair(pair, split, parent):
    sampler = PairSampler([pair], split.training, patch=16, device="cpu", parent=parent)
    batch = sampler.draw(400, torch.Generator().manual_seed(0))
    sigma, noise = (values.log().mean().exp() for values in batch.optics)
    assert float(sigma) == pytest.approx(WIDTH, rel=0.02)
    wanted = noise_level(1 / PHOTONS, READ_NOISE**2)
    assert float(noise) == pytest.approx(wanted, rel=0.02)


def test_it_learns_and_still_takes_the_optics(tuned, parent, pair):
    _, verdict, model = tuned
    assert verdict.scores["adapted"]["psnr"] > verdict.scores["parent"]["psnr"] + 0.05
    assert model.conditional
    assert (model.card.psf_range, model.card.noise_range) == tuple(RANGES.values())
    # said nothing, it undoes what it was trained to undo
    assert model.card.psf_sigma == WIDTH
    (record,) = model.card.fine_tuning.pairs
    assert (record.psf_sigma, record.noise) == (WIDTH, pair.noise)
    image = torch.from_numpy(pair.measured)[None, None]
    narrow, wide = (
        model.with_optics(psf_sigma=width, noise=0.02)(image) for width in (0.4, 1.6)
    )
    assert float((narrow - wide).abs().max()) > 1e-3


def test_the_command_tells_a_tuned_model_the_optics(tuned, pair):
    source = sr.open_source((pair.measured * 20_000).astype(np.float32))
    found = {}
    for width in (None, WIDTH, 0.4):
        settings = sr.UpscaleSettings(psf_sigma=width, noise=0.02, device="cpu")
        run = sr.iter_upscale(source, tuned[2], sr.MemorySink(), settings=settings)
        found[width] = sr.result_of(run)
    np.testing.assert_array_equal(found[None], found[WIDTH])
    assert np.abs(found[None] - found[0.4]).max() > 10


def test_tiles_of_a_tuned_model_equal_the_whole(tuned, pair):
    source = sr.open_source((pair.measured * 20_000).astype(np.float32))
    results = []
    for tile in (32, 128):
        settings = sr.UpscaleSettings(tile=tile, device="cpu", precision="float32")
        run = sr.iter_upscale(source, tuned[2], sr.MemorySink(), settings=settings)
        results.append(sr.result_of(run))
    np.testing.assert_allclose(*results, atol=1e-2)


def test_gain_and_offset_pass_through_a_tuned_model(tuned):
    told = tuned[2].with_optics(psf_sigma=1.1, noise=0.03)
    image = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    shifted = told(0.5 * image + 0.2)
    torch.testing.assert_close(shifted, 0.5 * told(image) + 0.2, atol=1e-5, rtol=0)


def test_stopped_and_resumed_equals_undisturbed(tuned, pair, split, parent, tmp_path):
    cancel = Cancel()
    config = make_config(tmp_path / "two")
    for event in iter_fine_tune(config, [pair], parent, cancel, split=split):
        last = event
        if isinstance(event, Scored) and event.step == 24:
            cancel()
    assert isinstance(last, Cancelled)
    *_, last = iter_fine_tune(config, [pair], parent, split=split, resume=True)
    assert isinstance(last, Finished), last.error
    one, other = (
        load_file(folder / "mine-x2.safetensors")
        for folder in (tuned[0], tmp_path / "two")
    )
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
