"""Measuring the width of the blur in the image that is upscaled."""

import shlex

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

from napari_structsr import (
    MemorySink,
    UpscaleSettings,
    iter_upscale,
    open_source,
    plan,
    result_of,
)
from napari_structsr.cli import app
from napari_structsr.core.record import Record
from napari_structsr.errors import SettingsError
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.io.weights import write_bundle
from napari_structsr.models.build import build_network
from napari_structsr.models.card import ModelCard
from napari_structsr.models.model import SRModel

SIGMA = 1.1
BEADS = [(20, 25), (47.5, 60.3), (60, 20)]
EDGE = 75  # the column where light begins


def make_model():
    torch.manual_seed(0)
    options = {"width": 8, "blocks": 1}
    network = build_network("conditional-generator", factor=2, options=options)
    card = ModelCard(
        name="conditional",
        description="",
        architecture="conditional-generator",
        options=options,
        factor=2,
        psf_sigma=0.35,
        psf_range=(0.25, 2.0),
    )
    return SRModel(card, network.state_dict())


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Write two planes, with beads and an edge in the second; return the path."""
    fine = 10
    y, x = (np.indices((80 * fine, 100 * fine)) + 0.5) / fine - 0.5
    truth = 0.3 * (x > EDGE)
    for row, column in BEADS:
        truth[np.hypot(y - row, x - column) < 0.3] += 40.0
    clean = ForwardModel(fine, SIGMA)(torch.from_numpy(truth)[None, None])[0, 0]
    rng = np.random.default_rng(0)
    light = np.stack([np.full((80, 100), 0.1), clean.numpy() + 0.1])
    pixels = rng.poisson(light * 2000).astype(np.uint16)
    path = tmp_path_factory.mktemp("beads") / "beads.ome.tif"
    tifffile.imwrite(
        path,
        pixels,
        metadata={
            "axes": "ZYX",
            "PhysicalSizeX": 0.1,
            "PhysicalSizeY": 0.1,
            "PhysicalSizeZ": 0.3,
        },
    )
    return path


def run(path, **settings):
    settings = UpscaleSettings(precision="float32", device="cpu", **settings)
    events = list(
        iter_upscale(open_source(path), make_model(), MemorySink(), settings=settings)
    )
    result_of(iter(events))
    return events


@pytest.mark.parametrize(
    "marks",
    [
        {"bead": (21.0, 24.0)},
        {"bead": (20.0, 25.0, 48.0, 60.0)},
        {"edge": (40.0, 66.0, 42.0, 84.0)},
    ],
)
def test_less_than_was_measured_is_undone_and_the_record_repeats_it(stack, marks):
    record = run(stack, plane=(1,), **marks)[-1].record

    (told,) = record.model["optics"]
    found = told["measured"]
    assert found["sigma"] == pytest.approx(SIGMA, rel=0.1)
    assert found["low"] < SIGMA < found["high"]
    assert told["psf_sigma"] == found["low"]
    assert told["width_from"].startswith("measured on ")
    assert next(iter(marks)) in told["width_from"]
    assert Record.from_json(record.to_json()) == record
    ((shape, numbers),) = marks.items()
    words = shlex.split(Record.from_json(record.to_json()).command())
    assert words[words.index(f"--{shape}") + 1] == ",".join(map(str, numbers))
    assert words[words.index("--plane") + 1] == "1"


def test_the_diameter_of_a_bead_makes_the_width_smaller(stack):
    place = {"bead": (20.0, 25.0), "plane": (1,)}
    plain, known = (
        run(stack, **place, **more)[-1].record.model["optics"][0]["psf_sigma"]
        for more in ({}, {"diameter": 0.2})
    )
    assert known == pytest.approx((plain**2 - 2**2 / 20) ** 0.5, rel=0.05)


def test_the_image_says_a_range_and_its_least_is_undone(stack):
    events = run(stack, width_from_image=True)
    (told,) = events[-1].record.model["optics"]
    found = told["measured"]
    assert found["low"] < found["sigma"] < found["high"]
    assert told["psf_sigma"] == max(found["low"], 0.25)
    notes = " ".join(getattr(event, "message", "") for event in events)
    assert "estimated from the image" in notes
    assert f"undoing {told['psf_sigma']:.2f}" in notes


def test_a_plan_needs_no_pixel_for_what_will_be_measured():
    source = open_source(np.zeros((40, 40), np.uint16))
    settings = UpscaleSettings(bead=(20.0, 20.0))
    assert plan(source, make_model(), MemorySink(), settings=settings).tiles == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bead": (200.0, 25.0)}, "80 x 100 pixels"),
        ({"bead": (20.0, 25.0)}, "point at another"),  # of the empty plane
        ({"bead": (20.0, 25.0), "plane": (2,)}, r"z \(0 to 1\)"),
        ({"bead": (20.0, 25.0), "plane": (1, 1)}, r"z \(0 to 1\)"),
        ({"bead": (20.0, 25.0), "plane": (1,), "diameter": 2.0}, "smaller one"),
    ],
)
def test_what_cannot_be_measured_is_said_with_a_way_out(stack, settings, words):
    with pytest.raises(SettingsError, match=words):
        run(stack, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"bead": (1.0,)},
        {"edge": (1.0, 2.0)},
        {"bead": (1.0, 2.0), "psf_sigma": 1.0},
        {"bead": (1.0, 2.0), "width_from_image": True},
        {"bead": (1.0, 2.0), "undo_optics": True, "aperture": 1.2},
        {"plane": (1,)},
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings):
    with pytest.raises(ValueError, match=r"expected|both|leave them out"):
        UpscaleSettings(**settings)


def test_the_commands_measure_and_say_what_they_found(stack, tmp_path):
    run = CliRunner()
    marks = ["--bead", "20,25,47,60", "--plane", "1"]
    shown = run.invoke(app, ["info", str(stack), *marks, "--measure"])
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.output.split())
    assert "blur measured on 2 beads: 1.1" in text
    assert "(0.11" in text
    assert "channel 0: noise " in text
    assert "blur estimated from the image:" in text

    unmeasured = run.invoke(app, ["info", str(stack)])
    assert "--measure" in unmeasured.output

    card = make_model().card.model_dump(exclude={"sha256"})
    write_bundle(tmp_path / "told-x2", card, make_model().network.state_dict())
    model = ["--model", str(tmp_path / "told-x2.safetensors")]
    words = ["upscale", str(stack), str(tmp_path / "a.ome.zarr"), *model]
    done = run.invoke(app, [*words, *marks])
    assert done.exit_code == 0, done.output
    assert "undoing 1.0" in " ".join(done.output.split())
    wrong = run.invoke(app, [*words, "--bead", "here"])
    assert wrong.exit_code == 1
    assert "--bead 120,88" in " ".join(wrong.output.split())
