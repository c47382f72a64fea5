"""Models from other programs: read safely, and run through the engine in tiles."""

import inspect
import shutil
import sys
import warnings
import zipfile

import numpy as np
import onnx
import pytest
import torch
import yaml
from torch import nn

from napari_structsr import (
    MemorySink,
    UpscaleSettings,
    iter_upscale,
    load_model,
    open_source,
    result_of,
)
from napari_structsr.engine.device import Device, choose_device
from napari_structsr.errors import ModelError
from napari_structsr.models.onnx_network import FixedSizeNetwork
from napari_structsr.zoo.catalogue import find_card
from napari_structsr.zoo.exchange.export_network import export_network
from napari_structsr.zoo.exchange.wish import ExportWish

WISH = ExportWish(psf_sigma=0.8, noise=0.03)


def run(pixels, model, **values):
    values = {"device": "cpu", "precision": "float32", "dtype": "float32"} | values
    source = open_source(pixels, axes="zyx"[-pixels.ndim :])
    settings = UpscaleSettings(**values)
    return result_of(iter_upscale(source, model, MemorySink(), settings=settings))


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(500, 40000, (2, 10, 9)), np.ones((1, 8, 8)))
    return (coarse + rng.integers(0, 9000, coarse.shape))[:, :77, :70].astype(np.uint16)


@pytest.fixture(scope="module")
def told(make_told_model):
    return make_told_model(tail=0.1).with_optics(psf_sigma=0.8, noise=0.03)


@pytest.fixture(scope="module")
def package(tmp_path_factory, make_told_model):
    path = tmp_path_factory.mktemp("package") / "told.zip"
    return export_network(make_told_model(tail=0.1), path, to="bioimageio", wish=WISH)


class Tiny(nn.Module):
    """A network as others make them, with biases."""

    def __init__(self, channels=1, factor=2):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(channels, 8, 5, padding=2)
        self.last = nn.Conv2d(8, channels * factor**2, 3, padding=1)
        self.rise = nn.PixelShuffle(factor)

    def forward(self, image):
        return self.rise(self.last(torch.relu(self.first(image))))


class Windowed(nn.Module):
    """A network whose windows of 4 pixels lie on a grid."""

    def forward(self, image):
        mean = nn.functional.avg_pool2d(image, 4)
        return nn.functional.interpolate(mean, scale_factor=8, mode="nearest")


def write_onnx(path, module, *, channels=1, side=None, **more):
    """Write a network as other people do; `side` fixes the size of its images."""
    options = {"input_names": ["image"], "output_names": ["fine"], "opset_version": 17}
    if side is None:
        options["dynamic_axes"] = {
            name: {0: "n", 2: f"{name}_h", 3: f"{name}_w"} for name in ("image", "fine")
        }
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    image = torch.rand(1, channels, *(side or (32, 48)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (image,), str(path), **options | more)
    return path


def test_a_package_comes_back_with_the_same_pixels(package, pixels, told, monkeypatch):
    expected = run(pixels, told)
    back = load_model(str(package))
    np.testing.assert_array_equal(run(pixels, back), expected)
    assert back.forward_model == told.forward_model
    assert "noise of 0.03" in find_card(str(package), factor=None).description
    monkeypatch.setattr(Device, "block", 24)
    np.testing.assert_allclose(run(pixels, back), expected, rtol=0, atol=1)


def test_an_onnx_file_comes_back_with_the_same_pixels(
    tmp_path, pixels, make_told_model, told, monkeypatch
):
    path = tmp_path / "told.onnx"
    export_network(make_told_model(tail=0.1), path, to="onnx", wish=WISH)
    back = load_model(str(path))
    assert back.card.psf_sigma == 0.8
    assert back.card.licence == "BSD-3-Clause"
    assert back.radius == told.radius
    assert back.packages == ("onnxruntime",)
    expected = run(pixels, told)
    limit = 1e-4 * np.ptp(pixels)
    np.testing.assert_allclose(run(pixels, back), expected, rtol=0, atol=limit)
    monkeypatch.setattr(Device, "block", 24)
    np.testing.assert_allclose(run(pixels, back), expected, rtol=0, atol=limit)
    exact = {"agreement": "exact"}
    expected = run(pixels, told, **exact)
    limit = 1e-4 * np.ptp(expected)
    np.testing.assert_allclose(run(pixels, back, **exact), expected, 0, limit)


@pytest.fixture
def foreign(tmp_path, package):
    """Return a folder as a stranger would pack it: without weights of ours."""
    folder = tmp_path / "stranger"
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    for name in ("structsr.json", "structsr.safetensors", "weights.pt"):
        (folder / name).unlink()
    return folder


def change(folder, edit):
    path = folder / "rdf.yaml"
    entries = yaml.safe_load(path.read_text())
    edit(entries)
    path.write_text(yaml.safe_dump(entries))
    return folder


def test_a_package_of_others_runs_by_its_onnx_network(foreign, pixels, told):
    model = load_model(str(foreign), factor=2)
    assert model.card.architecture == "onnx"
    found, expected = run(pixels, model), run(pixels, told)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.ptp(pixels))
    shutil.make_archive(str(foreign), "zip", foreign)
    again = load_model(f"{foreign}.zip")
    np.testing.assert_array_equal(run(pixels, again), found)


def test_a_halo_that_is_asked_for_is_kept(foreign, told):
    def edit(entries):
        for axis in entries["outputs"][0]["axes"][2:]:
            axis["halo"] = 30

    assert load_model(str(foreign)).radius == told.radius
    assert load_model(str(change(foreign, edit))).radius == 15


@pytest.mark.parametrize(
    ("given", "made"),
    [
        # pixels of a camera of 8 bit in, and out
        ({"data": {"type": "uint8"}}, {"data": {"type": "uint8"}}),
        (
            {
                "data": {"type": "uint8"},
                "preprocessing": [
                    {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": -0.5}}
                ],
            },
            {
                "postprocessing": [{"id": "scale_linear", "kwargs": {"offset": 0.5}}],
                "data": {"type": "float32", "range": [0, 1]},
            },
        ),
        (
            {
                "preprocessing": [
                    {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                    {"id": "scale_range", "kwargs": {"min_percentile": 1.0}},
                    {
                        "id": "fixed_zero_mean_unit_variance",
                        "kwargs": {"mean": 0.5, "std": 0.25},
                    },
                ]
            },
            {
                "postprocessing": [
                    {"id": "scale_linear", "kwargs": {"gain": 0.25, "offset": 0.5}}
                ]
            },
        ),
    ],
)
def test_values_are_given_as_a_description_says(foreign, pixels, told, given, made):
    """The network passes gain and offset through, so that all come to the same."""

    def edit(entries):
        entries["inputs"][0] |= given
        entries["outputs"][0] |= made

    model = load_model(str(change(foreign, edit)))
    limit = 1e-4 * np.ptp(pixels)
    np.testing.assert_allclose(run(pixels, model), run(pixels, told), 0, limit)


def test_the_older_description_is_read_too(foreign, pixels, told):
    def edit(entries):
        entries["format_version"] = "0.4.10"
        entries["inputs"] = [
            {
                "name": "input",
                "axes": "bcyx",
                "data_type": "float32",
                "data_range": [float("-inf"), float("inf")],
                "shape": {"min": [1, 1, 16, 16], "step": [0, 0, 4, 4]},
            }
        ]
        entries["outputs"] = [
            {
                "name": "output",
                "axes": "bcyx",
                "halo": [0, 0, 24, 24],
                "shape": {
                    "reference_tensor": "input",
                    "scale": [1, 1, 2, 2],
                    "offset": [0, 0, 0, 0],
                },
            }
        ]

    model = load_model(str(change(foreign, edit)))
    assert (model.radius, model.align) == (12, 4)
    # of a size that is no multiple the rest is mirrored
    part = np.ascontiguousarray(pixels[:, :76, :68])
    limit = 1e-4 * np.ptp(pixels)
    np.testing.assert_allclose(run(part, model), run(part, told), rtol=0, atol=limit)


@pytest.mark.parametrize(("channels", "factor"), [(1, 3), (3, 2)])
def test_an_onnx_file_of_others_runs_in_tiles(
    tmp_path, pixels, channels, factor, monkeypatch
):
    module = Tiny(channels, factor)
    path = write_onnx(tmp_path / "other.onnx", module, channels=channels)
    model = load_model(str(path), factor=None)
    assert model.factor == find_card(str(path), factor=None).factor == factor
    assert (model.radius, model.align, model.seam) == (3, 1, 0)
    assert model.card.licence == "unknown"
    image = torch.rand(1, 1, 33, 41)
    with torch.no_grad():
        expected = module(image.expand(-1, channels, -1, -1)).mean(1, keepdim=True)
    torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-5)
    whole = run(pixels, model)
    monkeypatch.setattr(Device, "block", 24)
    np.testing.assert_allclose(run(pixels, model), whole, 0, 1e-5 * np.ptp(whole))


def test_a_network_of_one_size_is_laid_over_images_of_every_size(
    tmp_path, pixels, monkeypatch
):
    free = load_model(str(write_onnx(tmp_path / "free.onnx", Tiny())))
    path = write_onnx(tmp_path / "fixed.onnx", Tiny(), side=(32, 40))
    fixed = load_model(str(path))
    assert isinstance(fixed.network.module, FixedSizeNetwork)
    expected = run(pixels, free)
    limit = 1e-5 * np.ptp(expected)
    np.testing.assert_allclose(run(pixels, fixed), expected, rtol=0, atol=limit)
    # smaller than the network wants it
    assert run(pixels[0, :20, :30], fixed).shape == (40, 60)


def test_windows_of_a_network_lie_where_they_lie_in_the_whole(
    tmp_path, pixels, monkeypatch
):
    model = load_model(str(write_onnx(tmp_path / "windows.onnx", Windowed())))
    assert (model.align, model.radius) == (4, 3)
    part = np.ascontiguousarray(pixels[:, :76, :68])
    whole = run(part, model)
    means = part.reshape(2, 19, 4, 17, 4).mean((2, 4))
    np.testing.assert_allclose(whole, means.repeat(8, 1).repeat(8, 2), rtol=1e-5)
    monkeypatch.setattr(Device, "block", 24)
    np.testing.assert_array_equal(run(part, model), whole)


def test_without_a_provider_for_the_gpu_the_next_device_is_taken(tmp_path):
    model = load_model(str(write_onnx(tmp_path / "a.onnx", Tiny())))
    device, _ = choose_device("cpu", "auto", model)
    assert device.precision == "float32"
    with pytest.raises(RuntimeError, match="onnxruntime-gpu"):
        model.network.module._open("cuda:0")


def external(path):
    model = onnx.load(write_onnx(path, Tiny()))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    path.write_bytes(model.SerializeToString())


def endless(path):
    model = onnx.load(write_onnx(path, Tiny()))
    node = model.graph.node.add()
    node.op_type = "Loop"
    path.write_bytes(model.SerializeToString())


def hidden(path):
    """Put the loop in a branch."""
    model = onnx.load(write_onnx(path, Tiny()))
    node = model.graph.node.add()
    node.op_type = "If"
    branch = node.attribute.add()
    branch.name, branch.type = "then_branch", onnx.AttributeProto.GRAPH
    branch.g.node.add().op_type = "Loop"
    path.write_bytes(model.SerializeToString())


def flat(path):
    write_onnx(path, nn.Conv2d(1, 1, 3, padding=1))


def two_inputs(path):
    model = onnx.load(write_onnx(path, Tiny()))
    more = model.graph.input.add()
    more.CopyFrom(model.graph.input[0])
    more.name = "other"
    path.write_bytes(model.SerializeToString())


def bytes_in(path):
    model = onnx.load(write_onnx(path, Tiny()))
    kind = model.graph.input[0].type.tensor_type
    kind.elem_type = onnx.TensorProto.UINT8
    path.write_bytes(model.SerializeToString())


def five_channels(path):
    write_onnx(path, Tiny(5), channels=5)


def unknown_layer(path):
    model = onnx.load(write_onnx(path, Tiny()))
    model.graph.node[0].op_type = "Wonder"
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (external, "could be any of yours"),
        (endless, "may never end"),
        (hidden, "may never end"),
        (flat, "upscales by 2 to 8"),
        (two_inputs, "2 inputs"),
        (bytes_in, "takes float32"),
        (five_channels, "grey or RGB"),
        (unknown_layer, "does not take"),
        (lambda path: path.write_bytes(b""), "inputs|cannot be read"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(90)), "cannot be read"),
        (lambda path: None, "check its path"),
    ],
)
def test_onnx_files_that_cannot_be_run_are_refused(tmp_path, make, words):
    path = tmp_path / "model.onnx"
    make(path)
    with pytest.raises(ModelError, match=words):
        load_model(str(path))


def point_to(name):
    def edit(entries):
        entries["weights"]["onnx"] = {"source": name}

    return edit


def only_torchscript(entries):
    entries["weights"]["torchscript"] = entries["weights"].pop("onnx")


def by_tile(entries):
    entries["inputs"][0]["preprocessing"] = [{"id": "zero_mean_unit_variance"}]


def in_depth(entries):
    entries["inputs"][0]["axes"].append({"type": "space", "id": "z", "size": 8})


def other_file(entries):
    entries["weights"]["onnx"]["sha256"] = "0" * 64


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (point_to("../weights.onnx"), "outside"),
        (point_to("/etc/passwd"), "outside"),
        (point_to("..\\weights.onnx"), "outside"),
        (point_to("https://example.com/weights.onnx"), "outside"),
        (point_to("gone.onnx"), "lacks its file"),
        (only_torchscript, "ask for a package with ONNX"),
        (by_tile, "tile to tile"),
        (in_depth, "single planes"),
        (other_file, "not the file"),
        (lambda entries: entries.pop("inputs"), "cannot be read"),
        (lambda entries: entries.update(type="dataset"), "no package of a model"),
    ],
)
def test_packages_that_cannot_be_run_are_refused(foreign, edit, words):
    with pytest.raises(ModelError, match=words):
        load_model(str(change(foreign, edit)))


def test_a_description_runs_no_program(foreign, tmp_path):
    mark = tmp_path / "mark"
    text = f"weights: !!python/object/apply:os.mkdir ['{mark}']\n"
    (foreign / "rdf.yaml").write_text(text)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(str(foreign))
    assert not mark.exists()


def test_a_zip_that_unpacks_without_end_is_refused(foreign, tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(foreign / "rdf.yaml", "rdf.yaml")
        archive.writestr("weights.onnx", bytes(1 << 25))
    with pytest.raises(ModelError, match="too large for a model"):
        load_model(str(path))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + bytes(90)])
def test_what_is_no_zip_is_refused(tmp_path, content):
    path = tmp_path / "model.zip"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="get the package again"):
        load_model(str(path))


def test_a_zip_of_something_else_is_refused(tmp_path):
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cells.txt", "hello")
    with pytest.raises(ModelError, match=r"neither rdf\.yaml"):
        load_model(str(path))


def test_weights_that_are_not_those_of_their_card_are_refused(tmp_path, package):
    path = tmp_path / "torn.zip"
    with zipfile.ZipFile(package) as archive, zipfile.ZipFile(path, "w") as torn:
        for name in archive.namelist():
            data = bytearray(archive.read(name))
            data[-1] ^= name.endswith(".safetensors")
            torn.writestr(name, bytes(data))
    with pytest.raises(ModelError, match="damaged"):
        load_model(str(path))


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_what_is_not_installed_is_named(tmp_path, monkeypatch, missing):
    path = write_onnx(tmp_path / "a.onnx", Tiny())
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModelError, match=r"napari-structsr\[zoo\]"):
        load_model(str(path))


def test_what_onnxruntime_does_not_take_is_not_printed(tmp_path, capfd):
    path = write_onnx(tmp_path / "a.onnx", Tiny())
    # a name of a layer that is no text
    path.write_bytes(path.read_bytes().replace(b"Relu", b"\x1b[3\xa0"))
    with pytest.raises(ModelError):
        load_model(str(path))
    assert capfd.readouterr() == ("", "")
