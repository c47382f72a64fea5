"""Models for other programs: onnxruntime, torch and bioimageio.core are the judges."""

import socket
import sys
import warnings
import zipfile

import numpy as np
import onnxruntime
import pytest
import torch
from bioimageio import core
from torch.nn import functional as F
from typer.testing import CliRunner

from napari_structsr.cli import app
from napari_structsr.errors import ModelError
from napari_structsr.zoo.catalogue import load_model
from napari_structsr.zoo.exchange.export_network import export_network
from napari_structsr.zoo.exchange.wish import ExportWish

runner = CliRunner()

# bioimageio.core leaves its files to the interpreter, and asks torch for what ends soon
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def structsr(*words):
    return runner.invoke(app, [str(word) for word in words])


def run_onnx(path, image):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    return torch.from_numpy(found)


def run_torchscript(path, image):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer torch announces its end
        network = torch.jit.load(path)
    with torch.no_grad():
        return network(image)


@pytest.mark.parametrize(
    ("name", "factor", "sharpness"),
    [("faithful", 2, 1), ("faithful", 4, 1), ("sharp", 2, 0.5), ("bicubic", 2, 1)],
)
def test_onnxruntime_gives_our_pixels_at_every_size(tmp_path, name, factor, sharpness):
    path = tmp_path / "model.onnx"
    words = ["--factor", factor, "--sharpness", sharpness]
    result = structsr("export", name, path, "--to", "onnx", *words)
    assert result.exit_code == 0, result.output
    model = load_model(name, factor=factor, sharpness=sharpness)
    for shape in ((1, 1, 33, 57), (3, 1, 8, 64), (1, 1, 101, 40)):
        image = torch.rand(shape)
        found = run_onnx(path, image)
        torch.testing.assert_close(found, model(image), rtol=0, atol=1e-4)
        # gain and offset of the camera pass through
        raw = run_onnx(path, 5000 * image + 200)
        torch.testing.assert_close(raw, 5000 * found + 200, rtol=0, atol=0.5)


def test_torchscript_gives_our_pixels(tmp_path):
    path = tmp_path / "model.pt"
    result = structsr("export", "faithful", path, "--to", "torchscript")
    assert result.exit_code == 0, result.output
    image = torch.rand(2, 1, 33, 57)
    torch.testing.assert_close(
        run_torchscript(path, image), load_model("faithful")(image)
    )


@pytest.mark.parametrize(
    ("words", "noise"),
    [(["--photons", 200], 0.05), (["--noise", 0.1], 0.1), ([], 0.01)],
)
def test_a_told_model_is_told_once_and_for_all(tmp_path, words, noise):
    path = tmp_path / "model.onnx"
    words = ["--psf-sigma", 0.9, *words]
    result = structsr(
        "export", "conditional", path, "--to", "onnx", "--factor", 2, *words
    )
    assert result.exit_code == 0, result.output
    model = load_model("conditional").with_optics(psf_sigma=0.9, noise=noise)
    image = torch.rand(1, 1, 31, 45)
    torch.testing.assert_close(run_onnx(path, image), model(image), rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def package(tmp_path_factory, make_told_model):
    """Return a package of a told model, made without asking anybody."""
    asked = []
    path = tmp_path_factory.mktemp("package") / "told.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *words, **_: asked.append(words))
        wish = ExportWish(psf_sigma=0.8, noise=0.03, authors=("Ada",), licence="MIT")
        export_network(make_told_model(tail=0.1), path, to="bioimageio", wish=wish)
    assert asked == []
    return path


@pytest.fixture
def told(make_told_model):
    return make_told_model(tail=0.1).with_optics(psf_sigma=0.8, noise=0.03)


def test_bioimageio_core_tests_a_package(package):
    summary = core.test_description(package)
    assert summary.status == "passed", summary.format()


def test_a_package_says_what_is_needed_to_run_and_to_cite_it(package, told):
    description = core.load_description(package)
    (given,), (made,) = description.inputs, description.outputs
    assert [axis.id for axis in given.axes] == ["batch", "channel", "y", "x"]
    rows = made.axes[2]
    assert rows.halo == told.radius * 2
    assert rows.scale == 0.5
    assert rows.size.offset == 0
    assert description.license == "MIT"
    assert [author.name for author in description.authors] == ["Ada"]
    assert description.cite
    assert description.covers
    assert "0.8 measured pixels and noise of 0.03" in description.description
    readme = zipfile.ZipFile(package).read("README.md").decode()
    assert "# Validation" in readme
    assert "0.8 measured pixels" in readme


def test_blocks_of_bioimageio_core_equal_the_whole(package, told):
    image = np.random.default_rng(0).random((1, 1, 150, 131), np.float32)
    description = core.load_description(package)
    result = core.predict(
        model=description,
        inputs=image,
        blocksize_parameter=40,
    )
    found = result.members["output"].data.to_numpy()
    expected = told(torch.from_numpy(image)).numpy()
    # bioimageio.core continues an image beyond its border, and a network does not
    rim = slice(2 * told.radius, -2 * told.radius)
    middle = (..., rim, rim)
    np.testing.assert_allclose(found[middle], expected[middle], rtol=0, atol=1e-4)


def test_a_package_can_be_a_folder(tmp_path, make_told_model):
    target = tmp_path / "deep" / "package"
    export_network(make_told_model(), target, to="bioimageio")
    assert {"rdf.yaml", "weights.onnx", "cover.png"} <= {
        path.name for path in target.iterdir()
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["faithful", "a.onnx", "--to", "tflite"], "choose one of"),
        (["faithful", "a.zip", "--to", "onnx"], "call it a.onnx"),
        (["faithful", "a.onnx", "--to", "onnx", "--noise", "0.1"], "leave"),
        (["conditional", "a.onnx", "--to", "onnx", "--psf-sigma", "5"], "bin"),
        (
            ["conditional", "a.onnx", "--to", "onnx", "--noise", "1", "--photons", "9"],
            "give one of them",
        ),
        (["conditional", "a.onnx", "--to", "onnx", "--photons", "0"], "above 0"),
        (
            ["faithful", "a.zip", "--to", "bioimageio", "--licence", "mine"],
            "such as BSD-3-Clause",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    result = structsr("export", *words)
    assert result.exit_code == 1
    assert says in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_replaced_only_on_request(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_text("mine")
    words = ["export", "bicubic", path, "--to", "onnx"]
    refused = structsr(*words)
    assert "--overwrite" in refused.stderr
    assert path.read_text() == "mine"
    assert structsr(*words, "--overwrite").exit_code == 0
    assert path.read_bytes() != b"mine"


def test_a_network_whose_size_is_fixed_by_the_export_is_refused(tmp_path, monkeypatch):
    model = load_model("bicubic")

    def fix(image):
        return F.interpolate(image, size=[2 * int(n) for n in image.shape[-2:]])

    monkeypatch.setattr(model.network, "forward", fix)
    with pytest.raises(ModelError, match="every size"):
        export_network(model, tmp_path / "a.pt", to="torchscript")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "name", "missing"),
    [("onnx", "a.onnx", "onnx"), ("bioimageio", "a.zip", "bioimageio.spec")],
)
def test_what_is_not_installed_is_named(tmp_path, monkeypatch, to, name, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModelError, match=r"napari-structsr\[export\]"):
        export_network(load_model("bicubic"), tmp_path / name, to=to)
