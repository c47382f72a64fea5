import csv
import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import skimage.io

from napari_structsr.benchmark.classical.wiener import interpolate_and_filter
from napari_structsr.benchmark.methods import load_methods
from napari_structsr.benchmark.phantoms import draw_grains, draw_nuclei
from napari_structsr.benchmark.run import benchmark
from napari_structsr.benchmark.settings import BenchmarkSettings
from napari_structsr.benchmark.tracks import TRACKS, Track, find_tracks
from napari_structsr.engine.events import Finished, result_of

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_docs.py"
METHODS = ("wiener", "conditional", "conditional@told", "conditional@1.0")
# the widths and lights at which the family is judged
GRID = {(s, p) for s in (0.4, 0.7, 1.0, 1.4) for p in (4000, 400, 60)}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Compare what a model is told, on two sources whose truth is not equally good."""
    data = tmp_path_factory.mktemp("data")
    for name, draw in (("grains", draw_grains), ("nasa_superalloy", draw_nuclei)):
        (data / name).mkdir()
        pixels = (60000 * draw(side=192)).astype(np.uint16)
        skimage.io.imsave(data / name / "a.png", pixels, check_contrast=False)
    return BenchmarkSettings(
        data=data,
        methods=METHODS,
        tracks=("x2-gaussian-1.0",),
        crop=48,
        measures=("psnr", "power_in"),
        precision="float32",
    )


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    """Run the comparison once."""
    out = tmp_path_factory.mktemp("out")
    *_, finished = benchmark(out, settings=settings)
    return out, finished.record, read(out)


def read(out):
    with (out / "quality.csv").open() as file:
        return list(csv.DictReader(file))


def psnr(truth, result):
    return -10 * np.log10(np.mean((truth - result) ** 2))


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_groups_hold_every_width_and_light(factor):
    for shape in ("gaussian", "airy", "elliptic"):
        found = find_tracks((f"x{factor}-{shape}",))
        assert {(track.psf_sigma, track.photons) for track in found} == GRID
        assert {track.factor for track in found} == {factor}
    assert [track.photons for track in find_tracks(("x2-airy-0.7",))] == [4000, 400, 60]
    assert [track.name for track in find_tracks(None)] == [
        "x2-mild",
        "x2-noisy",
        "x4-mild",
        "x4-noisy",
    ]


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("sigma", [0.4, 1.4])
def test_a_wave_is_damped_as_the_width_says(factor, sigma):
    track = TRACKS[f"x{factor}-gaussian-{sigma}-4000"]
    track = dataclasses.replace(track, photons=1e9, read_noise=0)
    side, waves = 64 * factor, 24
    # a wave that goes on when it is mirrored at its border
    phase = np.pi * waves * (np.arange(side) + 0.5) / side
    truth = np.tile(0.5 + 0.5 * np.cos(phase), (side, 1)).astype(np.float32)
    frequency = waves / 128  # cycles per measured pixel
    gain = np.exp(-2 * (np.pi * sigma * frequency) ** 2)
    gain *= np.cos(phase).reshape(-1, factor).mean(axis=1)[0] / np.cos(
        np.pi * waves * 0.5 / 64
    )
    expected = 0.5 + 0.5 * gain * np.cos(np.pi * waves * (np.arange(64) + 0.5) / 64)
    np.testing.assert_allclose(track.measure(truth)[30], expected, atol=1e-3)


def test_shapes_of_one_width_differ_and_the_longer_axis_is_longer():
    point = np.zeros((64, 64), np.float32)
    point[32:34, 32:34] = 1
    spreads = []
    for shape in ("gaussian", "elliptic", "astigmatic"):
        track = dataclasses.replace(
            TRACKS[f"x2-{shape}-1.4-4000"], photons=1e9, read_noise=0
        )
        image = track.measure(point).astype(float)
        rows, columns = np.indices(image.shape)
        weights = image / image.sum()
        offsets = np.stack([v - (weights * v).sum() for v in (rows, columns)])
        moments = np.einsum("aij,bij,ij->ab", offsets, offsets, weights)
        least, most = np.linalg.eigvalsh(moments)
        spreads.append(most / least)
    assert spreads[0] == pytest.approx(1, abs=0.02)
    assert spreads[1] == pytest.approx(1.2**2, rel=0.1)
    assert spreads[2] == pytest.approx(1.44**2, rel=0.1)


def test_telling_the_truth_is_worth_more_than_telling_nothing(run):
    _, _, rows = run
    scores = {
        (row["track"], row["source"], row["method"]): float(row["value"])
        for row in rows
        if row["measure"] == "psnr"
    }
    track = "x2-gaussian-1.0-4000"
    for source in ("grains", "nasa_superalloy"):
        told, silent, number, wiener, bicubic = (
            scores[track, source, name]
            for name in (
                "conditional@told",
                "conditional",
                "conditional@1.0",
                "wiener",
                "bicubic",
            )
        )
        assert told > silent + 0.5 > bicubic + 0.5
        assert number == pytest.approx(told, abs=0.3)
        assert wiener > bicubic + 0.5


def test_a_wrong_width_is_what_the_model_is_told(run, settings):
    track = TRACKS["x2-gaussian-1.0-4000"]
    truth = draw_grains(side=128)
    measured = track.measure(truth)
    names = ("conditional@wide", "conditional@1.25", "conditional@narrow")
    methods = load_methods(names, track, settings=settings)[1:]
    wide, number, narrow = (method.run(measured) for method in methods)
    assert np.abs(wide - number).max() < 0.05 < np.abs(wide - narrow).max()


def test_a_group_is_one_table_with_noisy_truth_kept_apart(run):
    out, outcome, _ = run
    text = (out / "quality.md").read_text()
    section = text.partition("## x2-gaussian\n")[2]
    assert "| sigma, photons | 1.0, 4000 | 1.0, 400 | 1.0, 60 |" in section
    assert "The truth of nasa_superalloy is noise" in section
    mean = outcome.average("x2-gaussian-1.0-400", "wiener", "psnr")
    own = outcome.average("x2-gaussian-1.0-400", "wiener", "psnr", "grains")
    assert mean == own
    base = outcome.average("x2-gaussian-1.0-400", "bicubic", "psnr")
    row = next(line for line in section.splitlines() if line.startswith("| wiener"))
    assert row.split(" | ")[2] == f"{mean - base:+.2f}"
    assert "power in, means over sources:" in section
    assert "| nasa_superalloy |" in section
    # neither pictures nor times of every width
    assert not list(out.glob("*.png"))
    assert not (out / "speed.md").exists()


def test_resume_computes_what_is_missing_alone(run, settings, tmp_path, monkeypatch):
    _, _, rows = run
    fewer = settings.model_copy(update={"methods": METHODS[:2], "resume": True})
    result_of(benchmark(tmp_path, settings=fewer))
    ran = []
    measure = Track.measure
    monkeypatch.setattr(
        Track, "measure", lambda self, *a: ran.append(self.name) or measure(self, *a)
    )
    result_of(benchmark(tmp_path, settings=fewer))
    assert not ran
    more = settings.model_copy(update={"resume": True})
    assert isinstance(list(benchmark(tmp_path, settings=more))[-1], Finished)
    assert len(ran) == 6
    assert read(tmp_path) == rows
    other = (
        (tmp_path / "quality.csv")
        .read_text()
        .replace(
            next(row["weights"] for row in rows if row["weights"]), "other weights"
        )
    )
    (tmp_path / "quality.csv").write_text(other)
    ran.clear()
    result_of(benchmark(tmp_path, settings=more))
    assert len(ran) == 6
    assert read(tmp_path) == rows


def test_resume_refuses_a_file_that_holds_no_scores(settings, tmp_path):
    (tmp_path / "quality.csv").write_text("a,b\n1,2\n")
    more = settings.model_copy(update={"resume": True, "methods": ("bicubic",)})
    failed = list(benchmark(tmp_path, settings=more))[-1]
    assert "leave --resume out" in str(failed.error)
    (tmp_path / "quality.csv").unlink()  # the way out that it names
    assert isinstance(list(benchmark(tmp_path, settings=more))[-1], Finished)


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("photons", [60, 4000])
def test_wiener_sharpens_at_every_factor_and_keeps_its_place(factor, photons):
    track = TRACKS[f"x{factor}-gaussian-1.0-{photons}"]
    truth = draw_nuclei(side=192)
    measured = track.measure(truth)
    result = interpolate_and_filter(measured, track)
    assert result.shape == truth.shape
    base = np.repeat(np.repeat(measured, factor, 0), factor, 1)
    assert psnr(truth, result) > psnr(truth, base) + 1
    errors = [psnr(truth, np.roll(result, shift, axis=1)) for shift in (-1, 0, 1)]
    assert np.argmax(errors) == 1


def test_wiener_does_nothing_to_a_flat_plane():
    track = TRACKS["x2-gaussian-1.0-60"]
    flat = np.full((48, 48), 0.5, np.float32)
    np.testing.assert_allclose(interpolate_and_filter(flat, track), 0.5, atol=1e-5)


def test_a_page_can_take_the_tables_of_a_group(run, tmp_path):
    spec = importlib.util.spec_from_file_location("benchmark_docs", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    template = tmp_path / "template.md"
    template.write_text("# Page\n\n[[x2 x2-gaussian summary]]\n")
    short = script.write_page({"x2": run[0]}, template, tmp_path / "a.md").read_text()
    template.write_text("# Page\n\n[[x2 x2-gaussian all]]\n")
    whole = script.write_page({"x2": run[0]}, template, tmp_path / "b.md").read_text()
    assert short.count("| bicubic |") == 1
    section = (run[0] / "quality.md").read_text().partition("## x2-gaussian\n")[2]
    assert section.strip() in whole
