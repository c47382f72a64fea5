"""Maps of structure error: what a user asks for, and what comes back."""

from __future__ import annotations

import csv
import html
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.metrics import (
    normalized_root_mse,
    peak_signal_noise_ratio,
    structural_similarity,
)

from napari_structsr.core.axes import Axes
from napari_structsr.core.error_map import MAPS
from napari_structsr.engine.device import Device
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
from napari_structsr.errors import (
    AxesError,
    PixelError,
    SettingsError,
    SinkError,
    StructsrError,
)
from napari_structsr.inspection.error_maps import iter_inspect
from napari_structsr.inspection.results import WHOLE
from napari_structsr.inspection.settings import InspectSettings
from napari_structsr.io.locks import lock_folder
from napari_structsr.io.ome_zarr.writer import OmeZarrSink
from napari_structsr.io.open import open_source
from napari_structsr.io.sink import MemorySink
from napari_structsr.upscaling.settings import UpscaleSettings
from napari_structsr.upscaling.upscale import iter_upscale
from napari_structsr.zoo.catalogue import load_model

FULL = 20000
OFFSET = 500
RANGE = (float(OFFSET), float(OFFSET + FULL))


def grey(values):
    """Return camera counts."""
    return np.clip(values * FULL + OFFSET, 0, 65535).round().astype(np.uint16)


@pytest.fixture(scope="module")
def images(truth, measured):
    """Return result (sharp, in float32), reference and source of one plane."""
    source = open_source(grey(measured))
    settings = UpscaleSettings(device="cpu", precision="float32")
    model = load_model("sharp")
    result = result_of(iter_upscale(source, model, MemorySink(), settings=settings))
    return result, grey(truth), grey(measured)


def inspected(*images, **options):
    """Run an inspection to its end."""
    settings = options.pop("settings", {})
    asked = InspectSettings(device="cpu", **settings)
    return result_of(iter_inspect(*images, settings=asked, **options))


def test_scores_and_ssim_are_those_of_scikit_image(images):
    result, reference, _ = images
    found = inspected(result, reference, settings={"data_range": RANGE})
    x, z = ((image - OFFSET) / FULL for image in (result, reference))
    mean, full = structural_similarity(
        z,
        x,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    inside = np.s_[5:-5, 5:-5]
    np.testing.assert_allclose(found.maps["ssim"][inside], full[inside], atol=1e-4)
    row = found.scores.rows[0].values
    assert row["ssim"] == pytest.approx(mean, abs=1e-4)
    assert row["psnr"] == pytest.approx(
        peak_signal_noise_ratio(reference, result, data_range=FULL), abs=1e-3
    )
    expected = normalized_root_mse(reference.astype(float), result.astype(float))
    assert row["nrmse"] == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(
        found.maps["error"], np.abs(result - reference.astype(float)), atol=0.05
    )


def test_a_perfect_result_has_no_error(images):
    _, reference, _ = images
    found = inspected(reference, reference)
    row = found.scores.rows[0].values
    assert row["psnr"] is None  # infinite
    assert row["ssim"] == pytest.approx(1)
    assert row["gradient_error"] == pytest.approx(0)
    for key in ("error", "gradient", "orientation", "coherence"):
        assert np.abs(found.maps[key]).max() < 1e-3, key


def test_every_map_that_can_be_computed_is_there_by_default(images):
    result, reference, source = images
    found = inspected(result, reference, source=source, settings={"model": "sharp"})
    assert set(found.maps) == {key for key, entry in MAPS.items() if entry.default}
    for key, values in found.maps.items():
        assert values.shape == result.shape
        assert values.dtype == (np.uint8 if MAPS[key].classes else np.float32)
        assert np.isfinite(values).all()
        assert values.min() < values.max(), key


def test_tiles_equal_the_whole_image(images, monkeypatch):
    result, reference, source = images
    options = {"source": source, "settings": {"model": "sharp", "maps": tuple(MAPS)}}
    whole = inspected(result, reference, **options)
    monkeypatch.setattr(Device, "block", 64)
    tiled = inspected(result, reference, **options)
    for key, values in whole.maps.items():
        unit = FULL if MAPS[key].unit.startswith("intensity") else 1
        assert np.abs(tiled.maps[key] / unit - values / unit).max() < 1e-5, key


def test_the_source_is_that_of_the_record(images, tmp_path):
    path = tmp_path / "result.ome.zarr"
    from tifffile import imwrite

    imwrite(tmp_path / "source.tif", images[2])
    source = open_source(tmp_path / "source.tif")
    result_of(iter_upscale(source, load_model("faithful"), OmeZarrSink(path)))
    found = inspected(path)
    assert {"residual", "squirrel", "artefact", "trust"} <= set(found.maps)
    assert any("source.tif" in note for note in found.notes)
    named = inspected(images[0], source=images[2])
    assert "trust" not in named.maps  # nobody says which model made it


@pytest.mark.parametrize("maker", ["faithful", "sharp"])
def test_texture_after_the_model_is_an_artefact_of_either_model(images, maker):
    _, _, source = images
    clean = result_of(
        iter_upscale(open_source(source), load_model(maker), MemorySink())
    )
    textured = clean.astype(np.float32)
    grid = 0.1 * np.ptp(textured) * (-1.0) ** np.indices((40, 40)).sum(axis=0)
    textured[60:100, 80:120] += grid
    settings = {"maps": ("artefact",), "model": maker}
    before, after = (
        inspected(image, source=source, settings=settings).maps["artefact"]
        for image in (clean, textured)
    )
    assert after[65:95, 85:115].mean() < before[65:95, 85:115].mean() - 0.2
    np.testing.assert_allclose(after[:50], before[:50], atol=1e-3)


def test_artefacts_are_found_alike_in_half_precision(images, monkeypatch):
    result, _, source = images
    asked = {"maps": ("artefact", "spread"), "model": "sharp"}

    def inspect():
        return inspected(result, source=source, settings=asked)

    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    whole = inspect()
    # as on a processor that is made for it
    half_too = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: half_too)
    half = inspect()
    written = [found.record.settings["precision"] for found in (whole, half)]
    assert written == ["float32", "bfloat16"]
    np.testing.assert_allclose(half.maps["artefact"], whole.maps["artefact"], atol=0.02)
    assert not np.array_equal(half.maps["artefact"], whole.maps["artefact"])
    # how far results spread may be as little as the rounding of half precision
    np.testing.assert_array_equal(half.maps["spread"], whole.maps["spread"])


def test_planted_faults_are_listed_first(images):
    _, reference, _ = images
    result = reference.copy()
    result[70:90, 140:170] = result[70:90, 140:170][::-1]
    found = inspected(result, reference, settings={"place": 16, "maps": ("ssim",)})
    first = found.worst[0]
    assert first.map == "ssim"
    assert 60 <= first.rows[0] < 96
    assert 128 <= first.columns[0] < 176
    cell = found.maps["ssim"][slice(*first.rows), slice(*first.columns)]
    assert first.value == pytest.approx(cell.mean(), rel=1e-4)


def test_regions_are_scored_alone(images):
    result, reference, _ = images
    labels = np.zeros(result.shape, np.int32)
    labels[40:120, 60:150] = 3
    labels[130:180, 20:60] = 7
    found = inspected(
        result,
        reference,
        regions=labels,
        region_names={3: "nucleus"},
        settings={"data_range": RANGE},
    )
    assert [row.region for row in found.scores.rows] == [WHOLE, "nucleus", "7"]
    row = found.scores.rows[1]
    inside = labels == 3
    squared = ((result[inside] - reference[inside].astype(float)) / FULL) ** 2
    assert row.pixels == inside.sum()
    assert row.values["psnr"] == pytest.approx(-10 * np.log10(squared.mean()), abs=1e-3)
    assert row.values["ssim"] == pytest.approx(
        found.maps["ssim"][inside].mean(), abs=1e-4
    )
    assert "ms_ssim" in row.values


def test_labels_of_any_value_are_scored(images):
    result, reference, _ = images
    labels = np.zeros(result.shape, np.uint64)
    labels[:40, :50] = 2**63 + 5  # a hash, as some tools for segmentation give
    labels[100:130, 100:150] = 2
    labels[150:160, 10:20] = 2  # in two pieces
    found = inspected(
        result, reference, regions=labels, settings={"maps": ("error", "ssim")}
    )
    rows = found.scores.rows
    assert [(row.region, row.pixels) for row in rows[1:]] == [
        ("2", 30 * 50 + 100),
        (str(2**63 + 5), 40 * 50),
    ]
    error = np.abs(result - reference.astype(float))
    for row, label in zip(rows[1:], (2, 2**63 + 5), strict=True):
        expected = error[labels == np.uint64(label)].mean()
        assert row.values["error"] == pytest.approx(expected, rel=1e-4)


def test_gain_and_offset_are_fitted_and_told(images):
    result, reference, _ = images
    dimmed = (result * 0.5 + 1000).astype(np.float32)
    plain = inspected(dimmed, reference, settings={"maps": ("error",)})
    fitted = inspected(
        dimmed, reference, settings={"maps": ("error",), "fit_intensity": True}
    )
    known = inspected(result, reference, settings={"maps": ("error",)})
    assert fitted.alignment["gain"][0] == pytest.approx(0.5, rel=0.05)
    psnr = [one.scores.rows[0].values["psnr"] for one in (plain, fitted, known)]
    assert psnr[0] < psnr[2] - 5
    assert psnr[1] == pytest.approx(psnr[2], abs=0.5)
    assert any("fitted and undone" in note for note in fitted.notes)


def test_a_shifted_reference_is_registered(images):
    from scipy.ndimage import shift

    result, reference, _ = images
    moved = shift(reference.astype(np.float32), (1.4, -0.7), order=3, mode="mirror")
    found = inspected(result, moved, settings={"registration": True, "maps": ("ssim",)})
    assert found.alignment["shift"] == pytest.approx([-1.4, 0.7], abs=0.1)
    plain = inspected(result, moved, settings={"maps": ("ssim",)})
    better, worse = (one.scores.means()["psnr"] for one in (found, plain))
    assert better > worse + 2


def test_channels_and_planes_have_scores_of_their_own(stack):
    source = open_source(stack, axes="czyx")
    result = result_of(iter_upscale(source, load_model("bicubic"), MemorySink()))
    bad = result.copy()
    bad[1, 0] = bad[1, 0][:, ::-1]
    found = inspected(
        open_source(bad, axes="czyx"),
        open_source(result, axes="czyx"),
        settings={"maps": ("ssim",)},
    )
    by_plane = {tuple(r.plane.values()): r.values["ssim"] for r in found.scores.rows}
    assert set(by_plane) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert by_plane[1, 0] < 0.9
    assert min(v for plane, v in by_plane.items() if plane != (1, 0)) > 0.999
    assert {tuple(place.plane.values()) for place in found.worst[:3]} == {(1, 0)}


def test_colour_images_are_compared_by_their_luminance():
    from skimage.color import rgb2gray
    from skimage.data import astronaut

    colour = astronaut()[:96, :128]
    result = colour.copy()
    result[20:40, 30:60] = 255 - result[20:40, 30:60]
    found = inspected(result, colour, settings={"maps": ("error",)})
    expected = np.abs(rgb2gray(result * 1.0) - rgb2gray(colour * 1.0))
    np.testing.assert_allclose(found.maps["error"], expected, atol=0.1)


def test_a_colour_result_whose_colours_are_channels_is_compared_by_its_luminance():
    from skimage.color import rgb2gray
    from skimage.data import astronaut

    colour = astronaut()[:96, :128]
    result = colour.copy()
    result[20:40, 30:60] //= 2
    channels = open_source(np.moveaxis(result, -1, 0), axes="cyx")  # as OME-Zarr has it
    found = inspected(channels, colour, settings={"maps": ("error",)})
    expected = np.abs(rgb2gray(result * 1.0) - rgb2gray(colour * 1.0))
    np.testing.assert_allclose(found.maps["error"], expected, atol=0.1)


def test_a_source_without_numbers_leaves_holes_and_no_scores(images):
    result, _, source = images
    stack = np.stack([result, result]).astype(np.float32)
    measured = np.stack([source, source]).astype(np.float32)
    measured[0, 10, 20:23] = np.nan
    measured[1] = np.nan
    found = inspected(stack, source=measured)
    for key in ("residual", "squirrel", "artefact"):
        missing = np.isnan(found.maps[key])
        assert missing[0].sum() == 3 * 4
        assert missing[0, 20:22, 40:46].all()
        assert missing[1].all()
    first, second = (row.values for row in found.scores.rows)
    assert first["rsp"] > 0.9
    assert second.get("rsp") is None
    assert second["residual"] is None


def test_structure_is_not_scored_where_much_is_missing(images):
    result, reference, _ = images
    holed = result.astype(np.float32)
    holed[50, 50] = np.nan
    rows = [inspected(holed, reference).scores.rows[0].values]
    holed[:60] = np.nan
    rows.append(inspected(holed, reference).scores.rows[0].values)
    for name in ("ms_ssim", "micro_ssim", "frc_resolution"):
        assert rows[0][name] is not None
        assert rows[1].get(name) is None
    assert rows[1]["ssim"] == pytest.approx(rows[0]["ssim"], abs=0.1)


def test_images_that_do_not_resemble_are_told(images):
    result, reference, source = images

    def warned(reference, source):
        settings = InspectSettings(device="cpu", maps=("error",))
        events = list(iter_inspect(result, reference, source=source, settings=settings))
        assert isinstance(events[-1], Finished)
        return [e.message for e in events if isinstance(e, Warned)]

    assert not warned(reference, source)
    (one,) = warned(reference[::-1].copy(), source)
    assert "hardly resembles the reference" in one
    (one,) = warned(reference, source[:, ::-1].copy())
    assert "hardly resembles the source" in one
    random = np.random.default_rng(0)
    result, empty = (random.poisson(100, result.shape) for _ in range(2))
    assert not warned(empty, None)


def test_a_source_that_is_gone_or_changed_is_told(images, tmp_path):
    from tifffile import imwrite

    _, reference, measured = images
    path, name = tmp_path / "result.ome.zarr", tmp_path / "source.tif"
    imwrite(name, measured)
    result_of(iter_upscale(open_source(name), load_model("bicubic"), OmeZarrSink(path)))
    for change, words in (
        (lambda: imwrite(name, measured[:50]), "has changed"),
        (lambda: name.write_bytes(b"nothing"), "cannot be opened"),
        (name.unlink, "is not there"),
    ):
        change()
        with pytest.raises(SettingsError, match=f"source.tif.*{words}"):
            inspected(path)
        found = inspected(path, reference, settings={"match": "pixels"})
        assert "ssim" in found.maps
        assert "residual" not in found.maps
        assert any(words in note for note in found.notes)


def test_missing_pixels_stay_missing_and_spoil_nothing(images):
    result, reference, source = images
    holed = result.astype(np.float32)
    holed[100, 100] = np.nan
    holed[20, 30:34] = np.inf
    found = inspected(holed, reference, source=source)
    whole = inspected(result.astype(np.float32), reference, source=source)
    for key, values in found.maps.items():
        if MAPS[key].classes:
            continue
        missing = np.isnan(values)
        assert missing[100, 100]
        assert missing.sum() == 5, key
        far = np.s_[120:, 130:]
        unit = FULL if MAPS[key].unit.startswith("intensity") else 1
        np.testing.assert_allclose(
            values[far] / unit, whole.maps[key][far] / unit, atol=2e-3, err_msg=key
        )
    row, other = (one.scores.rows[0].values for one in (found, whole))
    assert row["psnr"] == pytest.approx(other["psnr"], abs=0.1)


def test_a_folder_holds_maps_scores_and_report(images, tmp_path):
    result, reference, source = images
    out = tmp_path / "maps"
    found = inspected(result, reference, source=source, out=out)
    for key, path in found.maps.items():
        assert path == out / f"{key}.ome.zarr"
        stored = open_source(path)
        assert stored.spec.axes.plane == result.shape
    with (out / "scores.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    expected = found.scores.rows[0].values["psnr"]
    assert float(rows[0]["psnr"]) == pytest.approx(expected, rel=1e-6)
    page = html.unescape((out / "report.html").read_text())
    for key in found.maps:
        assert MAPS[key].blind[:40] in page
    facts = json.loads((out / "inspection.json").read_text())
    assert facts["record"]["task"] == "inspect"
    assert sorted(path.name for path in out.iterdir() if path.is_file()) == [
        "inspection.json",
        "report.html",
        "scores.csv",
        "worst.csv",
    ]


def test_the_report_of_a_tall_stack_with_holes_shows_all_maps(tmp_path):
    import base64
    import io
    import re
    from xml.etree import ElementTree

    from imageio.v3 import imread

    random = np.random.default_rng(0)
    truth = random.normal(100, 10, (2, 1100, 200)).astype(np.float32)  # thinned
    result = truth + random.normal(0, 1, truth.shape).astype(np.float32)
    result[1, 300:500] = np.nan
    result[:, 600:800] = np.nan
    result[0, 40:60, 40:60] += 30
    settings = {"worst": 3, "maps": ("error", "resolution")}
    found = inspected(result, truth, out=tmp_path / "m", settings=settings)
    page = (tmp_path / "m" / "report.html").read_text("utf-8")
    assert "The size of a pixel is not known." in page
    images = [
        imread(io.BytesIO(base64.b64decode(data)))
        for data in re.findall(r'href="data:image/png;base64,([^"]+)"', page)
    ]
    shown = [place.map for place in found.worst]
    places = sum(min(2, shown.count(key)) for key in set(shown))
    # result, reference and both maps whole; both images and one map of each place
    assert len(images) == 4 + 3 * places
    assert page.count('<svg role="img" aria-label=') == len(images)
    for image in images:
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 2
    # each third row is shown, and where there is no number there is the page
    assert 66 <= (images[0] == 255).all(axis=(1, 2)).sum() <= 134
    for drawing in re.findall(r'<svg role="img".*?</svg>', page, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_an_interrupted_inspection_goes_on(stack, tmp_path):
    source = open_source(stack, axes="czyx")
    result = result_of(iter_upscale(source, load_model("bicubic"), MemorySink()))
    inputs = [open_source(image, axes="czyx") for image in (result, result[:, ::-1])]
    settings = InspectSettings(device="cpu", maps=("ssim", "gradient"), tile=64)
    for stop_at in ("mapping", "scoring"):
        cancel = Cancel()
        for event in iter_inspect(
            *inputs, out=tmp_path / "a", settings=settings, cancel=cancel
        ):
            if isinstance(event, Progressed) and event.doing == stop_at:
                cancel()
        assert isinstance(event, Cancelled)
    events = list(iter_inspect(*inputs, out=tmp_path / "a", settings=settings))
    assert isinstance(events[0], Started)
    assert events[0].plan.done == events[0].total  # every tile was there
    resumed = events[-1].output
    whole = result_of(iter_inspect(*inputs, out=tmp_path / "b", settings=settings))
    assert resumed.scores == whole.scores
    assert resumed.worst == whole.worst
    for name in ("ssim", "gradient"):
        one, other = (
            open_source(folder / f"{name}.ome.zarr").read(
                (1, 1), slice(0, 192), slice(0, 224)
            )
            for folder in (tmp_path / "a", tmp_path / "b")
        )
        np.testing.assert_array_equal(one, other)


def test_a_nearly_full_disk_still_takes_the_rest(images, tmp_path, monkeypatch):
    """Of maps that are there already no second copy is asked for."""
    result, reference, _ = images
    cancel, out = Cancel(), tmp_path / "m"
    settings = InspectSettings(device="cpu", maps=("ssim",))
    for event in iter_inspect(
        result, reference, out=out, settings=settings, cancel=cancel
    ):
        if isinstance(event, Progressed):
            cancel()
    assert isinstance(event, Cancelled)
    free = shutil.disk_usage(tmp_path)._replace(free=60_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(SinkError, match="make room"):
        inspected(result, reference, out=tmp_path / "n", settings={"maps": ("ssim",)})
    inspected(result, reference, out=out, settings={"maps": ("ssim",)})


def test_a_second_inspection_into_a_folder_is_refused_at_once(images, tmp_path):
    result, reference, _ = images
    options = {"out": tmp_path / "m", "settings": {"maps": ("ssim",)}}
    with (
        lock_folder(tmp_path / "m"),
        pytest.raises(SinkError, match=r"being written by another run.*wait"),
    ):
        inspected("not looked at yet", reference, **options)
    inspected(result, reference, **options)


def test_a_finished_map_that_lost_a_part_is_made_again(images, tmp_path):
    result, reference, _ = images
    options = {"out": tmp_path / "m", "settings": {"maps": ("ssim",)}}
    first = inspected(result, reference, **options)
    (chunk,) = (tmp_path / "m" / "ssim.ome.zarr" / "0" / "c").rglob("0/0")
    chunk.unlink()
    assert inspected(result, reference, **options).scores == first.scores
    assert chunk.exists()


def test_a_finished_map_that_is_damaged_is_made_again_on_request(images, tmp_path):
    result, reference, _ = images
    options = {"out": tmp_path / "m", "settings": {"maps": ("ssim",)}}
    first = inspected(result, reference, **options)
    (chunk,) = (tmp_path / "m" / "ssim.ome.zarr" / "0" / "c").rglob("0/0")
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(SinkError, match="--overwrite"):
        inspected(result, reference, **options)
    again = inspected(result, reference, overwrite=True, **options)
    assert again.scores == first.scores


def test_maps_of_another_inspection_are_not_replaced(images, tmp_path):
    result, reference, _ = images
    inspected(result, reference, out=tmp_path / "m", settings={"maps": ("ssim",)})
    other = {"maps": ("ssim",), "fit_intensity": True}
    with pytest.raises(SinkError, match="exists already"):
        inspected(result, reference, out=tmp_path / "m", settings=other)
    inspected(result, reference, out=tmp_path / "m", settings=other, overwrite=True)


def test_maps_of_a_result_that_was_made_anew_are_not_kept(images, tmp_path):
    _, reference, source = images
    path, settings = tmp_path / "result.ome.zarr", {"maps": ("error",)}

    def made(model):
        sink = OmeZarrSink(path, overwrite=True)
        result_of(iter_upscale(open_source(source), load_model(model), sink))

    made("bicubic")
    first = inspected(path, reference, out=tmp_path / "m", settings=settings)
    again = inspected(path, reference, out=tmp_path / "m", settings=settings)
    assert again.scores == first.scores
    made("bilinear")
    with pytest.raises(SinkError, match="exists already"):
        inspected(path, reference, out=tmp_path / "m", settings=settings)
    with pytest.raises(SinkError, match="is an image itself"):
        inspected(path, reference, out=path, settings=settings)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"reference": None}, SettingsError, "nothing to compare"),
        ({"reference": np.full((192, 224), 7.0)}, PixelError, "are equal"),
        ({"result": np.full((192, 224), 7.0)}, PixelError, "are equal"),
        ({"result": np.full((192, 224), np.nan)}, PixelError, "nothing but NaN"),
        ({"reference": np.zeros((3, 192, 224))}, AxesError, "planes along"),
        ({"regions": np.zeros((192, 224), int)}, SettingsError, "no object"),
        ({"regions": np.ones((9, 9), int)}, SettingsError, "on the pixels of"),
        ({"settings": {"maps": ("residual",)}}, SettingsError, "needs the source"),
        ({"settings": {"maps": ("spread",)}}, SettingsError, "the model that made"),
        ({"settings": {"model": "nobody"}, "source": 1}, StructsrError, "nobody"),
        ({"reference": np.zeros((192, 224), complex)}, PixelError, "complex"),
    ],
)
def test_bad_input_is_a_sentence(images, change, error, words):
    given = {"result": images[0], "reference": images[1]} | change
    if "source" in given:
        given["source"] = images[2]
    with pytest.raises(error, match=words):
        inspected(given.pop("result"), given.pop("reference"), **given)


def test_an_unfamiliar_source_is_told():
    from napari_structsr.benchmark.demo import load_tissue_stack
    from napari_structsr.benchmark.tracks import TRACKS

    source = grey(TRACKS["x2-mild"].measure(load_tissue_stack()[0][0, :256, :256]))
    result = result_of(
        iter_upscale(open_source(source), load_model("sharp"), MemorySink())
    )
    noise = np.random.default_rng(0).normal(0, 6000, source.shape)
    noisy = np.clip(source + noise, 0, 65535).astype(np.uint16)
    settings = InspectSettings(device="cpu", model="sharp", maps=("trust",))

    def warned(source):
        events = list(iter_inspect(result, source=source, settings=settings))
        assert isinstance(events[-1], Finished)
        return [event.message for event in events if isinstance(event, Warned)]

    assert any("unlike what the model was trained on" in one for one in warned(noisy))
    assert not warned(source)


def test_a_reference_with_pixel_size_places_the_maps(images):
    result, reference, _ = images

    def placed(pixels, start):
        source = open_source(pixels)
        axes = [
            replace(axis, scale=0.1, translate=place, unit="micrometer")
            for axis, place in zip(source.spec.axes.items, start, strict=True)
        ]
        source.spec = replace(source.spec, axes=Axes(tuple(axes)))
        return source

    found = inspected(
        placed(result, (0, 0)),
        placed(reference[32:160, 48:], (3.2, 4.8)),
        settings={"maps": ("error",)},
    )
    assert found.maps["error"].shape == (128, 176)
    assert found.spec.axes["y"].translate == pytest.approx(3.2)
    assert found.spec.axes["x"].translate == pytest.approx(4.8)
    expected = np.abs(result[32:160, 48:] - reference[32:160, 48:].astype(float))
    np.testing.assert_allclose(found.maps["error"], expected, atol=0.1)


def test_a_failure_comes_as_the_last_event():
    events = list(iter_inspect("nowhere.tif", "elsewhere.tif"))
    assert len(events) == 1
    assert isinstance(events[0], Failed)
