"""Nothing unpickles, nothing calls out: by the source, and by what a process does."""

import ast
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_structsr.errors import ModelError, SourceError, StructsrError
from napari_structsr.io import limits
from napari_structsr.io.foreign_weights import read_foreign
from napari_structsr.io.open import open_source
from napari_structsr.io.weights import read_card
from napari_structsr.zoo.shipped import WEIGHTS

PACKAGE = Path(str(resources.files("napari_structsr")))
# reading with any of them can run what a file holds, or asks somebody else
UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "socket",
    "urllib",
    "http",
    "ftplib",
    "requests",
    "httpx",
    "aiohttp",
    "fsspec",
    "pooch",
    "xmlrpc",
    "webbrowser",
    "distributed",
}
KNOWN = {
    # who holds a lock is told by the name of the machine
    ("io/locks.py", "socket"),
    # by `safe_load` alone, see below
    ("zoo/exchange/description.py", "yaml"),
    # opens what the user names by its address, and nothing that a file names
    ("io/remote/place.py", "fsspec"),
    # pickles our own jobs between processes, once the user names a cluster
    ("engine/cluster.py", "distributed"),
    ("engine/batches.py", "distributed"),
    ("engine/connection.py", "distributed"),
    ("engine/connection.py", "distributed.comm.core"),
    # for the checker of types alone
    ("cli/opening.py", "distributed"),
    ("cli/upscale.py", "distributed"),
    ("gui/upscale/run.py", "distributed"),
    ("gui/upscale/running/folder_run.py", "distributed"),
    ("gui/inspect/run.py", "distributed"),
    ("gui/viewer/cluster_run.py", "distributed"),
    ("inspection/error_maps.py", "distributed"),
    ("inspection/scoring/plane_scoring.py", "distributed"),
    ("upscaling/upscale.py", "distributed"),
}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "zipfile.extractall",
    "archive.extractall",
    "file.extractall",
    "tempfile.mktemp",
    "np.fromregex",
    "torch.hub.load",
    "torch.jit.load",
    "yaml.load",
    "yaml.load_all",
    "yaml.full_load",
    "yaml.unsafe_load",
}


def list_nodes():
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield path.relative_to(PACKAGE), node


def find_faults(path, node):
    """Yield what is unsafe in a node of a syntax tree."""
    place = f"{path}:{getattr(node, 'lineno', 0)}"
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    else:
        names = []
    for name in names:
        if name.split(".")[0] in UNSAFE_MODULES and (str(path), name) not in KNOWN:
            yield f"{place} imports {name}"
    if not isinstance(node, ast.Call):
        return
    called = ast.unparse(node.func)
    options = {word.arg: ast.unparse(word.value) for word in node.keywords}
    if called in UNSAFE_CALLS:
        yield f"{place} calls {called}"
    if called in ("torch.load", "torch.serialization.load") and (
        options.get("weights_only") != "True"
    ):
        yield f"{place} calls {called} without weights_only=True"
    if options.get("allow_pickle", "False") != "False":
        yield f"{place} allows pickles"
    if options.get("shell", "False") != "False":
        yield f"{place} starts a shell"
    if called.endswith("Environment") and options.get("autoescape") != "True":
        yield f"{place} writes HTML without escapes"


def test_the_source_neither_unpickles_nor_calls_out():
    assert [one for found in list_nodes() for one in find_faults(*found)] == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from distributed import Client",
        "from urllib.request import urlopen",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "subprocess.run(line, shell=True)",
        "jinja2.Environment()",
    ],
)
def test_the_audit_of_the_source_finds_what_it_looks_for(line):
    found = [
        one for node in ast.walk(ast.parse(line)) for one in find_faults("a", node)
    ]
    assert len(found) == 1


class Evil:
    """A pickle of it makes a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def evil(tmp_path):
    """Return bytes that make a file if anybody unpickles them, and that file."""
    made = tmp_path / "made by a pickle"
    data = pickle.dumps(Evil(made))
    pickle.loads(data)
    assert made.exists()
    made.unlink()
    return data, made


@pytest.mark.parametrize("ending", [".pth", ".pt", ".ckpt", ".safetensors"])
def test_weights_that_are_programs_are_not_run(tmp_path, evil, ending):
    data, made = evil
    path = tmp_path / f"evil{ending}"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="damaged or holds more than weights"):
        read_foreign(path)
    assert not made.exists()


def make_zarr(path, data, *, version, **changes):
    meta = {
        "zarr_format": 2,
        "shape": [64, 64],
        "chunks": [64, 64],
        "dtype": "|u1",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
    }
    if version == 3:
        grid = {"name": "regular", "configuration": {"chunk_shape": [64, 64]}}
        meta = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [64, 64],
            "data_type": "uint8",
            "chunk_grid": grid,
            "chunk_key_encoding": {"name": "default"},
            "fill_value": 0,
            "codecs": [{"name": "bytes"}],
            "attributes": {},
        }
    (path / "c" / "0").mkdir(parents=True)
    name = "zarr.json" if version == 3 else ".zarray"
    (path / name).write_text(json.dumps(meta | changes))
    for chunk in ("0.0", "c/0/0"):
        (path / chunk).write_bytes(data)
    return path


PICKLE = {"id": "pickle"}
V3 = [{"name": "bytes"}]


@pytest.mark.parametrize(
    ("version", "changes"),
    [
        (2, {"compressor": PICKLE}),
        (2, {"filters": [PICKLE]}),
        (2, {"dtype": "|O", "filters": [PICKLE]}),
        (2, {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, PICKLE]}),
        (2, {"filters": [{"id": "vlen-bytes"}, PICKLE]}),
        (3, {"codecs": [*V3, {"name": "pickle", "configuration": {}}]}),
        (3, {"codecs": [*V3, {"name": "numcodecs.pickle", "configuration": {}}]}),
        (3, {"data_type": "object"}),
    ],
)
def test_chunks_that_are_programs_are_not_run(tmp_path, evil, version, changes):
    data, made = evil
    path = make_zarr(tmp_path / "a.zarr", data, version=version, **changes)
    with pytest.raises(StructsrError):
        open_source(str(path)).read((), slice(0, 64), slice(0, 64))
    assert not made.exists()


def test_commands_unpickle_nothing_and_open_no_socket(tmp_path, evil):
    data, made = evil
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 64, 64)).astype("u2")
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression="zlib")
    (tmp_path / "evil.pth").write_bytes(data)
    make_zarr(tmp_path / "evil.zarr", data, version=2, compressor=PICKLE)
    shutil.copy(WEIGHTS / "faithful-x2.safetensors", tmp_path / "mine-x2.safetensors")
    card = read_card(WEIGHTS / "faithful-x2") | {"name": "mine"}
    (tmp_path / "mine-x2.json").write_text(json.dumps(card))
    script = Path(__file__).with_name("audit_run.py")
    out = tmp_path / "deeds.json"
    environment = os.environ | {"STRUCTSR_MODELS": str(tmp_path / "models")}
    words = [sys.executable, str(script), str(out), str(tmp_path)]
    subprocess.run(words, check=True, env=environment, capture_output=True)
    found = json.loads(out.read_text())
    exits = {
        words.replace(str(tmp_path), "."): n for words, n in found["exits"].items()
    }
    refused = [words for words, code in exits.items() if code]
    assert set(exits.values()) == {0, 1}
    assert all("evil" in words for words in refused), refused
    assert len(refused) == 2
    # of numpy before 2.2, which looks at the processor when numpy.testing is imported
    harmless = "subprocess.Popen ('lscpu', ['lscpu'], None, None)"
    assert [deed for deed in found["noted"] if deed != harmless] == []
    # nor do they load what would: that waits for --workers, --scheduler or an address
    assert found["loaded"] == []
    assert not made.exists()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_no_test_reaches_the_network(family):
    with (
        socket.socket(family, socket.SOCK_STREAM) as one,
        pytest.raises(AssertionError, match="network"),
    ):
        one.connect(("localhost", 9))
    with pytest.raises(AssertionError, match="network"):
        socket.getaddrinfo("example.org", 80)


@pytest.mark.parametrize(
    "path",
    ["file:///a.zarr", "reference://a.json", "simplecache::https://a.org/b.zarr"],
)
def test_addresses_that_lead_elsewhere_are_refused_without_being_asked(path):
    with pytest.raises(SourceError, match="is no address that is read"):
        open_source(path)


def test_the_page_names_the_limits_that_hold():
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8")
    for words in (
        f"{limits.TEXT_BYTES >> 20} MiB",
        f"{limits.WEIGHTS_BYTES >> 30} GiB",
        f"{limits.PIECE_BYTES >> 30} GiB unpacked",
        f"beyond {limits.FREE_PIECE_BYTES >> 20} MiB",
        f"{limits.UNPACKED_RATIO} times",
        f"{limits.CACHE_BYTES >> 20} MiB |",
        f"{limits.DECODE_SECONDS:.0f} seconds",
        f"{limits.OPTION}, {limits.PARAMETERS / 1e6:.0f} million",
        f"{limits.BATCH} patches, {limits.PATCH} pixels",
        f"{limits.NAME_LENGTH} letters",
        f"{limits.IMAGES:,} |",
    ):
        assert words in text, words
    assert limits.MINUTES == 4 * 7 * 24 * 60
    assert "four weeks" in text
