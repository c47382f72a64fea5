"""One number between two models, as far as the record of a run."""

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

from napari_structsr import (
    MemorySink,
    OmeZarrSink,
    iter_upscale,
    list_models,
    load_model,
    open_source,
    result_of,
)
from napari_structsr.cli import app
from napari_structsr.core.record import Record
from napari_structsr.engine.events import Cancel, Failed, Progressed
from napari_structsr.errors import ModelError
from napari_structsr.io.records import read_record
from napari_structsr.io.weights import read_card, read_weights, write_bundle
from napari_structsr.zoo.catalogue import find_card, find_partner

pytestmark = pytest.mark.usefixtures("sharp")


def weights(name, **options):
    return load_model(name, **options).network.state_dict()


@pytest.mark.parametrize(
    ("low", "high", "factor"),
    [
        ("faithful", "sharp", 2),
        ("faithful", "sharp", 4),
        ("conditional", "sharp-conditional", 1),
        ("conditional", "sharp-conditional", 2),
        ("conditional", "sharp-conditional", 4),
    ],
)
def test_the_ends_are_the_two_models_exactly(low, high, factor):
    for sharpness, end in ((0, low), (1, high)):
        found = weights(high, factor=factor, sharpness=sharpness)
        for name, value in weights(end, factor=factor).items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_between_them_weights_lie_on_the_line():
    low, high = weights("faithful"), weights("sharp")
    for name, value in weights("sharp", sharpness=0.6).items():
        torch.testing.assert_close(value, 0.4 * low[name] + 0.6 * high[name])


def test_the_card_of_a_blend_says_what_it_is_and_of_what():
    card = load_model("sharp", sharpness=0.6).card
    parents = [find_card(name, factor=2).sha256 for name in ("faithful", "sharp")]
    assert card.parents == parents
    assert card.sharpness == 0.6
    assert card.description == "60% of the way from faithful to sharp."
    assert card == find_card("sharp", factor=2, sharpness=0.6)
    assert [c.sharpness for c in list_models() if c.name == "sharp"] == [None, None]
    assert find_partner("sharp") == "faithful"
    assert find_partner("faithful") is find_partner("gone") is None


@pytest.mark.parametrize("ask", [load_model, find_card])
def test_what_cannot_be_blended_is_refused_in_words(ask, tmp_path):
    for name in ("faithful", "bicubic"):
        with pytest.raises(ModelError, match=r"no sharpness to choose.*choose sharp"):
            ask(name, factor=2, sharpness=0.5)
    for sharpness in (-0.1, 1.2, float("nan")):
        with pytest.raises(ModelError, match=r"outside 0\.\.1"):
            ask("sharp", factor=2, sharpness=sharpness)


def test_different_networks_are_refused(sharp):
    path = sharp / "sharp-x2.safetensors"
    card = read_card(path) | {"options": {"width": 8, "blocks": 1}}
    write_bundle(path, card, read_weights(path, sha256=card["sha256"]))
    load_from = str(path)
    with pytest.raises(ModelError, match="their options differ"):
        load_model(load_from, sharpness=0.5)


def test_a_bundle_of_ones_own_blends_with_the_model_that_ships(sharp):
    found = load_model(str(sharp / "sharp-x2.safetensors"), sharpness=0.25)
    for name, value in weights("sharp", sharpness=0.25).items():
        torch.testing.assert_close(found.network.state_dict()[name], value)


def test_the_record_repeats_the_run_and_old_records_are_read():
    pixels = np.random.default_rng(0).integers(0, 999, (30, 40), np.uint16)

    def record(**options):
        model = load_model("sharp", **options)
        *_, finished = iter_upscale(open_source(pixels), model, MemorySink())
        return finished.record

    found = record(sharpness=0.6)
    assert found.model["sharpness"] == 0.6
    assert len(found.model["parents"]) == 2
    assert "--model sharp --sharpness 0.6" in found.command()
    assert Record.from_json(found.to_json()) == found
    assert record().model["sharpness"] == 1
    assert found.find_differences(record(sharpness=0.5)) == ["sharpness"]

    old = found.to_json()
    del old["model"]["sharpness"], old["model"]["parents"]
    assert "sharpness" not in Record.from_json(old).command()


def test_faithful_is_recorded_as_before():
    pixels = np.zeros((30, 40), np.uint16)
    *_, finished = iter_upscale(open_source(pixels), load_model(), MemorySink())
    assert set(finished.record.model) == {"name", "factor", "sha256", "psf_sigma"}


def test_a_run_is_not_continued_with_another_sharpness(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 999, (4, 64, 64), np.uint16)
    path = tmp_path / "out.ome.zarr"

    def events(sharpness, cancel=None):
        model = load_model("sharp", sharpness=sharpness)
        return iter_upscale(
            open_source(pixels, axes="zyx"), model, OmeZarrSink(path), cancel=cancel
        )

    cancel = Cancel()
    for event in events(0.6, cancel):
        if isinstance(event, Progressed):
            cancel()
    assert read_record(path)[0] == "partial"
    *_, last = events(0.5)
    assert isinstance(last, Failed)
    assert "sharpness" in str(last.error)
    result_of(events(0.6))
    assert read_record(path)[0] != "partial"


def test_the_command_line_takes_it(tmp_path):
    source, path = tmp_path / "in.tif", tmp_path / "out.ome.zarr"
    tifffile.imwrite(source, np.random.default_rng(0).integers(0, 99, (32, 40), "u2"))
    words = ["upscale", str(source), str(path), "--device", "cpu", "--sharpness"]
    result = CliRunner().invoke(app, [*words, "0.6", "--model", "sharp"])
    assert result.exit_code == 0, result.output
    record = read_record(str(path))[1]
    assert record.model["sharpness"] == 0.6
    assert "--sharpness 0.6" in record.command()
    refused = CliRunner().invoke(app, [*words, "0.6"])
    assert refused.exit_code == 1
    assert "no sharpness to choose" in refused.stderr
