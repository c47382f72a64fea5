import csv
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage.io
import tifffile
from typer.testing import CliRunner

import napari_structsr as structsr
from napari_structsr.benchmark.images import list_built_in_images
from napari_structsr.benchmark.measures import MEASURES
from napari_structsr.benchmark.methods import list_default_methods, load_methods
from napari_structsr.benchmark.phantoms import draw_nuclei
from napari_structsr.benchmark.run import benchmark
from napari_structsr.benchmark.settings import BenchmarkSettings
from napari_structsr.benchmark.tracks import TRACKS, make_truth, score
from napari_structsr.cli import app
from napari_structsr.engine.events import (
    Cancel,
    Cancelled,
    Failed,
    Finished,
    Progressed,
    Started,
    Warned,
    result_of,
)
from napari_structsr.errors import ModelError, SettingsError, SourceError
from napari_structsr.io.formats.image_folders import find_images
from napari_structsr.zoo.catalogue import list_models

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_docs.py"
WEIGHTS = Path(structsr.__file__).parent / "models" / "weights"
QUALITY = ("quality.md", "quality.csv", "quality.json")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write two sources: colour and a stack, and planes that cannot be scored."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "cells").mkdir()
    (folder / "stack").mkdir()
    plane = (200 * draw_nuclei(side=128)).astype(np.uint8)
    colour = np.stack([plane, plane // 2, plane // 3], axis=-1)
    skimage.io.imsave(folder / "cells" / "a.png", colour, check_contrast=False)
    skimage.io.imsave(folder / "cells" / "b.png", plane, check_contrast=False)
    (folder / "cells" / "notes.txt").write_text("no image")
    stack = np.stack([plane * (k + 1) for k in range(5)]).astype(np.uint16)
    stack[2] = 7
    tifffile.imwrite(folder / "stack" / "s.tif", stack)
    broken = np.full((70, 70), np.nan, np.float32)
    tifffile.imwrite(folder / "stack" / "t.tif", broken)
    (folder / "stack" / "u.tif").write_bytes(b"II*\0 torn")
    return folder


@pytest.fixture(scope="module")
def settings(data):
    """Compare two methods on one track."""
    return BenchmarkSettings(
        data=data,
        methods=("faithful", "richardson-lucy"),
        tracks=("x2-mild",),
        every=2,
        agreement=("off", "exact"),
        precision="float32",
        speed=False,
    )


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    """Run the comparison once."""
    out = tmp_path_factory.mktemp("out")
    (out / "mine.txt").write_text("keep")
    return out, list(benchmark(out, settings=settings))


def test_the_job_starts_warns_and_finishes(run):
    out, events = run
    assert isinstance(events[0], Started)
    assert events[0].total == 5
    assert "5 images" in str(events[0].plan)
    assert "x2-mild: bicubic, faithful, faithful, exact" in str(events[0].plan)
    warnings = [event.message for event in events if isinstance(event, Warned)]
    assert [text.partition(" ")[0] for text in warnings] == [
        "stack/s.tif[2]",
        "stack/t.tif",
        "stack/u.tif",
    ]
    assert "all its pixels are equal" in warnings[0]
    assert "no numbers" in warnings[1]
    assert "cannot be read" in warnings[2]
    assert isinstance(events[-1], Finished)
    assert events[-1].output == out
    assert (out / "mine.txt").read_text() == "keep"


def test_every_plane_has_every_method_and_measure(run):
    out, _ = run
    with (out / "quality.csv").open() as file:
        rows = list(csv.DictReader(file))
    planes = {(row["source"], row["plane"]) for row in rows}
    assert planes == {
        ("cells", "a.png"),
        ("cells", "b.png"),
        ("stack", "s.tif[0]"),
        ("stack", "s.tif[4]"),
    }
    methods = ["bicubic", "faithful", "faithful, exact", "richardson-lucy"]
    assert list(dict.fromkeys(row["method"] for row in rows)) == methods
    always = set(MEASURES) - {"objects", "lines", "structure"}
    for plane in planes:
        for name in methods:
            there = {
                row["measure"]
                for row in rows
                if (row["source"], row["plane"], row["method"]) == (*plane, name)
            }
            assert always <= there


def test_scores_are_those_of_the_plane(run, data):
    out, _ = run
    with (out / "quality.csv").open() as file:
        found = {
            row["measure"]: float(row["value"])
            for row in csv.DictReader(file)
            if (row["plane"], row["method"]) == ("b.png", "bicubic")
        }
    import torch

    truth = make_truth(skimage.io.imread(data / "cells" / "b.png"), 2)
    measured = torch.from_numpy(TRACKS["x2-mild"].measure(truth))[None, None]
    result = torch.nn.functional.interpolate(measured, scale_factor=2, mode="bicubic")
    expected = score(truth, result[0, 0].numpy())
    assert found["psnr"] == pytest.approx(expected.psnr, abs=1e-3)
    assert found["ssim"] == pytest.approx(expected.ssim, abs=1e-4)
    assert found["improvement"] == found["hallucination"] == 0


def test_means_give_each_source_the_same_weight(run):
    out, _ = run
    quality = json.loads((out / "quality.json").read_text())
    entry = quality["tracks"]["x2-mild"]["methods"]["faithful"]
    sources = [values["psnr"] for values in entry["sources"].values()]
    assert len(sources) == 2
    assert entry["over_sources"]["psnr"] == pytest.approx(np.mean(sources), abs=1e-3)
    assert entry["operations"] > 1e5
    assert len(quality["left_out"]) == 3


def test_agreement_is_reached_when_asked_for(run):
    out, _ = run
    quality = json.loads((out / "quality.json").read_text())
    methods = quality["tracks"]["x2-mild"]["methods"]
    assert methods["faithful, exact"]["over_sources"]["agreement_slope"] < 1e-3
    assert methods["bicubic"]["over_sources"]["agreement_slope"] > 2e-3


def test_bicubic_stands_in_every_table_and_the_network_wins(run):
    out, _ = run
    text = (out / "quality.md").read_text()
    tables = [part for part in text.split("\n\n") if part.startswith("| ")]
    assert len(tables) == 8
    assert all("bicubic" in table for table in tables)
    quality = json.loads((out / "quality.json").read_text())
    methods = quality["tracks"]["x2-mild"]["methods"]
    better, worse = (methods[name]["over_sources"] for name in ("faithful", "bicubic"))
    assert better["psnr"] > worse["psnr"] + 1
    assert better["gradient_error"] < worse["gradient_error"]


def test_figures_are_drawn(run):
    out, _ = run
    for name in ("crops-x2-mild.png", "scatter-x2-mild.png"):
        assert skimage.io.imread(out / name)[..., :3].std() > 20


def test_a_rerun_writes_the_same_quality_files(run, settings, tmp_path):
    out, _ = run
    assert isinstance(list(benchmark(tmp_path, settings=settings))[-1], Finished)
    for name in QUALITY:
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_the_command_works_without_data_and_times_methods(tmp_path):
    command = ["benchmark", "--out", str(tmp_path), "--methods", "bilinear"]
    command += ["--tracks", "x4-noisy", "--limit", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    quality = json.loads((tmp_path / "quality.json").read_text())
    methods = quality["tracks"]["x4-noisy"]["methods"]
    assert list(methods) == ["bicubic", "bilinear"]
    assert len(methods["bicubic"]["sources"]) == 6
    with (tmp_path / "speed.csv").open() as file:
        assert [row["method"] for row in csv.DictReader(file)] == list(methods)
    assert "times bicubic" in (tmp_path / "speed.md").read_text()


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"tracks": ("x3-mild",)}, SettingsError, "x2-mild"),
        ({"tracks": ("x2-gauss",)}, SettingsError, "x2-gaussian"),
        ({"measures": ("sharpness",)}, SettingsError, "psnr"),
        ({"methods": ("waifu",)}, ModelError, "richardson-lucy"),
        ({"methods": ("faithful@told",)}, ModelError, "leave out @told"),
        ({"methods": ("conditional@3.5",)}, ModelError, "give 0.25 to 2"),
        ({"data": "empty"}, SourceError, "holds no images"),
        ({"data": "nowhere"}, SourceError, "is no folder"),
    ],
)
def test_what_cannot_start_says_why(changes, error, named, settings, tmp_path):
    (tmp_path / "empty" / "source").mkdir(parents=True)
    if "data" in changes:
        changes = {"data": tmp_path / changes["data"]}
    events = list(
        benchmark(tmp_path / "out", settings=settings.model_copy(update=changes))
    )
    assert len(events) == 1
    assert isinstance(events[0], Failed)
    assert isinstance(events[0].error, error)
    assert named in str(events[0].error)
    assert not (tmp_path / "out").exists()


def test_a_wrong_setting_is_named(tmp_path):
    command = ["benchmark", "--out", str(tmp_path), "--limit", "0"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "--limit 0" in done.output


def test_cancel_stops_after_the_plane_at_hand_and_writes_nothing(settings, tmp_path):
    cancel = Cancel()
    events = []
    for event in benchmark(tmp_path, settings=settings, cancel=cancel):
        events.append(event)
        if isinstance(event, Progressed):
            cancel()
    assert events[-1] == Cancelled(1)
    assert len([event for event in events if isinstance(event, Progressed)]) == 1
    assert not list(tmp_path.iterdir())


def test_files_of_weights_are_methods_named_by_their_stem(settings, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for ending in (".json", ".safetensors"):
            shutil.copy(WEIGHTS / f"faithful-x2{ending}", tmp_path / folder)
    names = tuple(f"{tmp_path}/{f}/faithful-x2.safetensors" for f in ("one", "two"))
    methods = load_methods(("faithful", *names), TRACKS["x2-mild"], settings=settings)
    assert [method.name for method in methods] == [
        "bicubic",
        "faithful",
        "faithful, exact",
        "faithful-x2",
        "faithful-x2, exact",
        "two/faithful-x2",
        "two/faithful-x2, exact",
    ]
    assert methods[1].parameters == 158112
    assert methods[1].learned
    assert not methods[0].learned


def test_a_method_that_makes_no_numbers_is_named(settings, monkeypatch):
    _, method, _ = load_methods(("faithful",), TRACKS["x2-mild"], settings=settings)
    plane = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    assert method.run(plane).shape == (64, 64)

    def overflow(events):
        return result_of(events) * np.float32(np.inf)

    monkeypatch.setattr("napari_structsr.benchmark.methods.result_of", overflow)
    with pytest.raises(ModelError, match="faithful made values that are no numbers"):
        method.run(plane)


def test_defaults_are_all_that_ship():
    names = list_default_methods(2)
    assert names[:4] == ["bicubic", "bilinear", "richardson-lucy", "wiener"]
    assert {card.name for card in list_models()} <= set(names)
    assert {"conditional", "conditional@told"} <= set(names)
    assert len(names) == len(set(names))
    assert list_default_methods(1)[:3] == ["bicubic", "richardson-lucy", "wiener"]


def test_the_page_of_the_documentation_is_made_of_a_run(run, tmp_path):
    spec = importlib.util.spec_from_file_location("benchmark_docs", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    template = tmp_path / "template.md"
    template.write_text(
        "# Page\n\n[[shipped legend]]\n\n[[shipped x2-mild summary]]\n\n"
        "[[shipped x2-mild PSNR / SSIM]]\n\n[[shipped figure crops-x2-mild.png Crops]]"
        "\n[[begin matched]]\n[[matched x2-mild summary]]\n[[end matched]]\nEnd\n"
    )
    page = script.write_page({"shipped": run[0]}, template, tmp_path / "page.md")
    text = page.read_text()
    quality = (run[0] / "quality.md").read_text()
    assert "[[" not in text
    assert "matched" not in text.lower().replace("not matched", "")
    tables = [part for part in text.split("\n\n") if part.startswith("| ")]
    assert len(tables) == 4
    assert all(table in quality for table in tables)
    assert "### x2-mild" in text
    assert "* *PSNR*" in text
    assert (tmp_path / "images" / "benchmark-shipped-crops-x2-mild.png").exists()


def test_limit_spreads_over_the_images_of_each_source(data):
    assert [image.name for image in find_images(data, limit=1)] == ["a.png", "s.tif"]
    names = [image.name for image in find_images(data, limit=2)]
    assert names == ["a.png", "b.png", "s.tif", "t.tif"]
    assert len(list_built_in_images()) > len(list_built_in_images(limit=1)) == 6
