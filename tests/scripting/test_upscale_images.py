"""`sr.upscale` as a script meets it: arrays and files in, arrays and files out."""

import json
import subprocess
import sys
import types
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr

import napari_structsr as sr
from napari_structsr.engine.events import Finished, Warned
from napari_structsr.errors import (
    AxesError,
    ModelError,
    SettingsError,
    SinkError,
    SourceError,
)
from napari_structsr.scripting import upscale_request

FAST = {"model": "bicubic", "device": "cpu", "precision": "float32"}


@pytest.fixture
def image(tmp_path, stack):
    path = tmp_path / "cells.ome.tif"
    metadata = {"axes": "CZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}
    tifffile.imwrite(path, stack, metadata=metadata)
    return path


@pytest.fixture
def expected(image):
    """Return what the engine makes of the image."""
    settings = sr.UpscaleSettings(device="cpu", precision="float32")
    events = sr.iter_upscale(
        sr.open_source(image),
        sr.load_model("bicubic"),
        sr.MemorySink(),
        settings=settings,
    )
    return sr.result_of(events)


def test_a_path_gives_an_array_or_a_file(image, expected, tmp_path):
    np.testing.assert_array_equal(sr.upscale(str(image), **FAST), expected)
    for name in ("out.ome.zarr", "out.ome.tif"):
        path = sr.upscale(image, tmp_path / name, factor=2, **FAST)
        assert path == tmp_path / name
    pixels = zarr.open_array(tmp_path / "out.ome.zarr/0")[:]
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.ome.tif"), expected)


def test_model_factor_and_settings_are_keywords(image, expected, tmp_path):
    assert sr.upscale(image, **FAST | {"factor": 4}).shape == (2, 2, 384, 448)
    model = sr.load_model("bicubic", factor=4)
    assert sr.upscale(image, model=model, device="cpu").shape[-1] == 448
    settings = sr.UpscaleSettings(dtype="float32", device="cpu", tile=64)
    found = sr.upscale(image, model="bicubic", settings=settings, tile=np.int64(32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1)
    path = sr.upscale(image, tmp_path / "o.ome.zarr", dtype="float32", **FAST)
    assert zarr.open_array(path / "0").dtype == np.float32


def test_one_channel_is_chosen_by_its_index_or_a_list(image, expected):
    for channels in (1, [1], np.int64(1)):
        found = sr.upscale(image, channels=channels, **FAST)
        np.testing.assert_array_equal(found, expected[1:])


@pytest.mark.parametrize("wrap", [np.asarray, lambda a: da.from_array(a, chunks=48)])
@pytest.mark.parametrize("shape", [(96, 112), (1, 96, 112), (2, 96, 112)])
def test_arrays_keep_their_dimensions(stack, wrap, shape):
    pixels = stack[0][: np.prod(shape[:-2], dtype=int)].reshape(shape)
    found = sr.upscale(wrap(pixels), **FAST)
    assert isinstance(found, np.ndarray)
    assert found.shape == (*shape[:-2], 192, 224)


def test_arrays_keep_the_order_of_their_dimensions(stack):
    plain = sr.upscale(stack[0], axes="zyx", **FAST)
    turned = sr.upscale(stack[0].transpose(2, 1, 0), axes="xyz", **FAST)
    np.testing.assert_array_equal(turned.transpose(2, 1, 0), plain)


def test_layers_are_taken_without_napari(stack):
    layer = types.SimpleNamespace(
        data=stack[:, 0],
        name="cells",
        rgb=False,
        scale=(1, 0.1, 0.1),
        translate=(0, 0, 0),
        units=("pixel", "um", "um"),
        axis_labels=("c", "y", "x"),
        contrast_limits=(0, 1),
    )
    assert sr.upscale(layer, **FAST).shape == (2, 192, 224)


def test_xarray_comes_back_on_the_finer_grid(stack):
    image = xr.DataArray(
        stack[:, 0],
        dims=("channel", "y", "x"),
        coords={
            "channel": ["DAPI", "GFP"],
            "y": ("y", 3 + 0.1 * np.arange(96), {"units": "um"}),
            "x": 0.2 * np.arange(112),
            "exposure": ("channel", [1.0, 2.0]),
            "mask": (("y", "x"), np.ones((96, 112))),
        },
        attrs={"specimen": "cell"},
        name="cells",
    )
    found = sr.upscale(image, **FAST)
    assert isinstance(found, xr.DataArray)
    assert (found.dims, found.name) == (image.dims, "cells")
    assert found.attrs == image.attrs
    assert found.y.attrs == {"units": "um"}
    assert "mask" not in found.coords  # it has no place on the finer grid
    np.testing.assert_array_equal(found, sr.upscale(stack[:, 0], axes="cyx", **FAST))
    # xarray itself says where pixels of twice the size lie
    again = found.coarsen(y=2, x=2).mean()
    for name in ("channel", "exposure"):
        assert again[name].equals(image[name])
    for name in ("y", "x"):
        np.testing.assert_allclose(again[name], image[name])
    axes = sr.open_source(image).spec.axes
    assert (axes["y"].scale, axes["y"].unit) == (pytest.approx(0.1), "micrometer")
    assert [one.name for one in sr.open_source(image).spec.channels] == ["DAPI", "GFP"]
    chosen = sr.upscale(image, channels="GFP", **FAST)
    assert list(chosen.channel) == ["GFP"]
    np.testing.assert_array_equal(chosen[0], found[1])
    single = sr.upscale(image, channel="GFP", **FAST)
    assert single.dims == ("y", "x")
    np.testing.assert_array_equal(single, found[1])


def test_xarray_that_is_not_loaded_is_read_in_chunks(stack):
    lazy = xr.DataArray(da.from_array(stack[0], chunks=48), dims=("z", "y", "x"))
    assert sr.open_source(lazy).chunks == (48, 48)
    np.testing.assert_array_equal(
        sr.upscale(lazy, **FAST).values, sr.upscale(stack[0], **FAST)
    )


def test_uneven_coordinates_are_refused_with_a_way_out(stack):
    uneven = xr.DataArray(
        stack[0, 0], dims=("y", "x"), coords={"y": np.arange(96.0) ** 2}
    )
    with pytest.raises(AxesError, match=r"drop_vars\('y'\)"):
        sr.upscale(uneven, **FAST)
    assert sr.upscale(uneven.drop_vars("y"), **FAST).shape == (192, 224)


# what is refused, in one sentence


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"image": 42}, SourceError, "int is no image; give a path"),
        ({"model": 3}, TypeError, "model is of the kind int; give the name"),
        ({"model": "sharpest"}, ModelError, "choose one of faithful"),
        ({"factor": "2x"}, TypeError, "factor is of the kind str; give 1, 2 or 4"),
        ({"out": 3}, TypeError, "out is of the kind int; give a path"),
        ({"out": "bicubic"}, SinkError, "name.ome.zarr"),
        ({"out": "s3://bucket/a.ome.tif"}, SinkError, "as OME-Zarr alone"),
        ({"settings": {"tile": 64}}, TypeError, r"sr\.UpscaleSettings\(...\)"),
        ({"cancel": True}, TypeError, r"sr\.Cancel\(\)"),
        ({"devcie": "cpu"}, TypeError, "no keyword devcie; did you mean device"),
        ({"tile": 3}, SettingsError, "tile should be greater than or equal to 16"),
        ({"model": lambda: sr.load_model("bicubic"), "factor": 4}, SettingsError, "2"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(stack, arguments, error, words):
    arguments = {"image": stack[0, 0], "device": "cpu", "model": "bicubic"} | arguments
    if callable(arguments["model"]):
        arguments["model"] = arguments["model"]()
    with pytest.raises(error, match=words) as caught:
        sr.upscale(**arguments)
    assert isinstance(caught.value, sr.StructsrError)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": "bicubic"}, "model is of the kind str"),
        ({"sink": "out.ome.zarr"}, r"sr\.OmeZarrSink\(path\)"),
        ({"settings": {}}, r"give sr\.UpscaleSettings"),
        ({"source": 42}, "no image"),
    ],
)
def test_the_generator_says_what_it_wants(stack, wrong, words):
    given = {
        "source": stack[0, 0],
        "model": sr.load_model("bicubic"),
        "sink": sr.MemorySink(),
    }
    with pytest.raises(sr.StructsrError, match=words):
        sr.result_of(sr.iter_upscale(**given | wrong))
    (failed,) = sr.iter_inspect(stack[0, 0], settings={})
    assert isinstance(failed.error, TypeError)
    (failed,) = sr.iter_fine_tune({}, [], None)
    assert isinstance(failed.error, TypeError)


# cancelled, and gone on with


def test_a_cancelled_call_goes_on(image, expected, tmp_path):
    cancel = sr.Cancel()
    cancel()
    with pytest.raises(sr.CancelError, match="same call goes on"):
        sr.upscale(image, tmp_path / "o.ome.zarr", cancel=cancel, **FAST)
    path = sr.upscale(image, tmp_path / "o.ome.zarr", **FAST)
    np.testing.assert_array_equal(zarr.open_array(path / "0")[:], expected)


# progress


def test_nothing_is_shown_where_nobody_looks(image, capsys):
    sr.upscale(image, **FAST)
    assert capsys.readouterr() == ("", "")
    sr.upscale(image, progress=True, **FAST)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "tile" in shown.err


def test_a_notebook_shows_one_line_that_changes(image, monkeypatch):
    lines = []

    class ZMQInteractiveShell:
        """Of IPython, in a notebook."""

    def display(data, **_):
        lines.append(data["text/plain"])
        return types.SimpleNamespace(update=display)

    shell = types.ModuleType("IPython")
    shell.get_ipython = ZMQInteractiveShell
    shown = types.ModuleType("IPython.display")
    shown.display = display
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    sr.upscale(image, **FAST)
    assert "tile" in lines[0]
    assert lines[-1] == "finished"
    lines.clear()
    sr.upscale(image, progress=False, **FAST)
    assert not lines


def test_warnings_of_a_run_are_warnings_of_python(stack, monkeypatch, tmp_path):
    def warn(*_, **__):
        yield Warned("the GPU is small")
        yield Finished(np.zeros((192, 224)))

    monkeypatch.setattr(upscale_request, "iter_upscale", warn)
    for images, out in ((stack[0, 0], None), ([stack[0, 0]], tmp_path / "out")):
        with pytest.warns(UserWarning, match="the GPU is small") as caught:
            sr.upscale(images, out, progress=False, **FAST)
        assert caught[0].filename == __file__


# many


@pytest.fixture
def folder(tmp_path, stack):
    """Return a folder of two images and a damaged one."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, pixels in (("b.tif", stack[0, 0]), ("a.tif", stack[1, 0])):
        tifffile.imwrite(folder / name, pixels)
    (folder / "notes.txt").write_text("no image")
    return folder


def test_many_images_become_many_files(folder, tmp_path):
    out = tmp_path / "out"
    paths = sr.upscale([folder / "b.tif", folder / "a.tif"], out, **FAST)
    assert paths == [out / "b-x2.ome.zarr", out / "a-x2.ome.zarr"]
    assert sorted(sr.upscale(folder, out, **FAST)) == sorted(paths)
    before = [(path / "zarr.json").stat().st_mtime_ns for path in paths]
    assert sr.upscale(folder.glob("b*"), out, **FAST) == paths[:1]
    assert sr.upscale(folder / "b.tif", f"{out}/", **FAST) == paths[0]
    assert [(path / "zarr.json").stat().st_mtime_ns for path in paths] == before
    arrays = sr.upscale([folder / "b.tif", np.ones((40, 40))], **FAST)
    assert [one.shape for one in arrays] == [(192, 224), (80, 80)]


def test_what_fails_is_told_when_the_others_are_done(folder, tmp_path):
    (folder / "aa.tif").write_bytes(b"II*\0 and no more")
    out = tmp_path / "out"
    with pytest.raises(sr.BatchError, match=r"1 of 3 images failed.*aa\.tif") as caught:
        sr.upscale(folder, out, **FAST)
    states = [one.state for one in caught.value.outcomes]
    assert states == ["written", "failed", "written"]
    assert sr.open_source(out / "b-x2.ome.zarr").spec.axes.plane == (192, 224)


def test_a_result_of_other_settings_is_not_taken_for_the_same(folder, tmp_path):
    out = tmp_path / "out"
    sr.upscale(folder / "a.tif", f"{out}/", **FAST)
    with pytest.raises(SinkError, match="overwrite"):
        sr.upscale(folder / "a.tif", f"{out}/", dtype="float32", **FAST)
    tifffile.imwrite(folder / "a.tif", np.ones((60, 60), np.uint16))
    with pytest.raises(SinkError, match="overwrite"):
        sr.upscale(folder / "a.tif", f"{out}/", **FAST)
    (path,) = sr.upscale([folder / "a.tif"], out, overwrite=True, **FAST)
    assert sr.open_source(path).spec.axes.plane == (120, 120)


# as it was called before


def test_the_old_form_returns_events_and_names_the_new_one(image, expected):
    model, sink = sr.load_model("bicubic"), sr.MemorySink()
    settings = sr.UpscaleSettings(device="cpu")
    with pytest.warns(DeprecationWarning, match="iter_upscale") as caught:
        events = sr.upscale(sr.open_source(image), model, sink, settings=settings)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(sr.result_of(events), expected)
    with pytest.warns(DeprecationWarning, match="iter_inspect"):
        assert sr.error_maps("nowhere.tif").gi_code
    with pytest.warns(DeprecationWarning, match="iter_fine_tune"):
        assert sr.fine_tune(None, [], None).gi_code


def test_nothing_of_the_new_form_is_deprecated(stack):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sr.upscale(stack[0, 0], None, **FAST)


def test_a_record_of_a_script_repeats_the_run(image, tmp_path):
    path = sr.upscale(image, tmp_path / "o.ome.zarr", channels=0, **FAST)
    record = json.loads((path / "zarr.json").read_text())["attributes"]["structsr"]
    assert record["record"]["source"]["options"] == {"channels": [0]}
    assert Path(record["record"]["source"]["origin"]) == image


def test_who_upscales_does_not_wait_for_what_others_import():
    script = """
import sys
import numpy as np
import napari_structsr as sr
sr.upscale(np.eye(8, dtype=np.float32), model="bicubic", progress=False)
late = {"napari_structsr.finetuning.fine_tune", "scipy.signal", "distributed"}
assert not late & set(sys.modules), late & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
