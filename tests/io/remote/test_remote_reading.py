"""What lies at an address is read as what lies in a folder, and with the same care."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import napari_structsr as sr
from conftest import read_all
from napari_structsr.cli import app
from napari_structsr.engine.provenance import take_fingerprint
from napari_structsr.errors import SinkError, SourceError
from napari_structsr.io.open import list_names, open_source
from napari_structsr.io.records import read_record
from napari_structsr.io.remote.address import hide_credentials

NAMES = ["plain.ome.tif", "tiles.ome.tif", "cells.ome.zarr", "shards.ome.zarr/0"]


def test_an_image_at_an_address_is_the_one_in_the_folder(served, images):
    for name in NAMES:
        near, far = open_source(images / name), open_source(f"{served}/{name}")
        assert far.spec == near.spec
        assert far.origin == f"{served}/{name}"
        assert take_fingerprint(far)["bytes"] > 0
        np.testing.assert_array_equal(read_all(far), read_all(near))
        assert list_names(f"{served}/{name}") == list_names(str(images / name))
        # the same image has the same fingerprint, and a run goes on with it
        again = open_source(f"{served}/{name}")
        assert take_fingerprint(again) == take_fingerprint(far)
    assert read_record(f"{served}/cells.ome.zarr") == read_record(
        images / "cells.ome.zarr"
    )


def test_commands_take_an_address(served, images, tmp_path):
    far = CliRunner().invoke(app, ["info", f"{served}/cells.ome.zarr"])
    assert far.exit_code == 0, far.output
    assert "0.05 micrometer" in far.output
    assert "DAPI" in far.output
    words = [f"{served}/plain.ome.tif", tmp_path / "far.ome.zarr"]
    options = ["--model", "bilinear", "--device", "cpu"]
    done = CliRunner().invoke(app, ["upscale", *map(str, words), *options])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(
        read_all(open_source(tmp_path / "far.ome.zarr")),
        read_all(open_source(images / "cells.ome.zarr")),
    )


def test_a_result_at_an_address_is_inspected(memory, images, tmp_path):
    fs, _ = memory
    fs.put(str(images / "cells.ome.zarr"), "/cells.ome.zarr", recursive=True)
    found = sr.inspect(
        "memory://cells.ome.zarr",
        source=str(images / "plain.ome.tif"),
        maps="residual",
        progress=False,
    )
    near = sr.inspect(
        images / "cells.ome.zarr",
        source=str(images / "plain.ome.tif"),
        maps="residual",
        progress=False,
    )
    np.testing.assert_array_equal(found.maps["residual"], near.maps["residual"])


@pytest.mark.parametrize("name", ["cells.ome.zarr", "cells.ome.zarr/0"])
def test_an_unfinished_result_is_refused(memory, images, name):
    fs, _ = memory
    fs.put(str(images / "cells.ome.zarr"), "/cells.ome.zarr", recursive=True)
    entry = json.loads(fs.cat_file("/cells.ome.zarr/zarr.json"))
    entry["attributes"] = {"structsr": {"status": "partial"}}
    fs.pipe_file("/cells.ome.zarr/zarr.json", json.dumps(entry).encode())
    with pytest.raises(SourceError, match=r"an unfinished result.*finish the run"):
        open_source(f"memory://{name}")


@pytest.mark.parametrize("name", ["plain.ome.tif", "cells.ome.zarr"])
def test_an_image_that_changes_is_refused(served, images, name, bucket, memory, web):
    source = open_source(f"{served}/{name}")
    take_fingerprint(source)
    part = name if name.endswith("tif") else f"{name}/0/c/0/0/0/0"
    data = (images / part).read_bytes() + b"more"
    if served.startswith("http"):
        (web[0] / part).write_bytes(data)
    else:
        fs, _ = bucket if served.startswith("s3") else memory
        fs.pipe_file(f"{'bucket' if fs is bucket[0] else ''}/{part}", data)
    with pytest.raises(SourceError, match="has changed since the image was opened"):
        source.read((0, 0), slice(0, 90), slice(0, 90))


def test_a_server_without_parts_of_files(web, images):
    folder, address, handler = web
    for path in [*images.iterdir()]:
        path.rename(folder / path.name)
    handler.ranges = False
    with pytest.raises(SourceError, match="the server gives whole files alone"):
        open_source(f"{address}/plain.ome.tif")
    # a shard that comes whole is cut here
    np.testing.assert_array_equal(
        read_all(open_source(f"{address}/shards.ome.zarr")),
        read_all(open_source(folder / "shards.ome.zarr")),
    )


def test_a_chunk_is_fetched_again_when_the_connection_breaks(memory, images):
    from zarr.storage import FsspecStore

    fs, _ = memory
    fs.put(str(images / "cells.ome.zarr"), "/cells.ome.zarr", recursive=True)
    source = open_source("memory://cells.ome.zarr")
    get, broken = FsspecStore.get, []

    async def get_later(self, key, *words):
        if "/c/" in key and len(broken) < 2:
            broken.append(key)
            raise ConnectionResetError("gone")
        return await get(self, key, *words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FsspecStore, "get", get_later)
        patch.setattr("napari_structsr.io.remote.object_store._PAUSE", 0)
        found = source.read((0, 0), slice(0, 90), slice(0, 90))
        assert found.any()
        broken.clear()
        patch.setattr("napari_structsr.io.remote.object_store._TRIES", 2)
        with pytest.raises(SourceError, match=r"cannot be read.*gone"):
            source.read((1, 0), slice(0, 90), slice(0, 90))


def test_fields_of_a_plate_at_an_address(memory, images, tmp_path):
    import zarr

    fs, _ = memory
    root = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=3)
    plate = {
        "columns": [{"name": "1"}],
        "rows": [{"name": "A"}],
        "wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}],
        "name": "p",
    }
    root.attrs["ome"] = {"version": "0.5", "plate": plate}
    well = root.create_group("A").create_group("1")
    well.attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}]}}
    fs.put(str(tmp_path / "p.zarr"), "/p.zarr", recursive=True)
    fs.put(str(images / "cells.ome.zarr"), "/p.zarr/A/1/0", recursive=True)
    assert list_names("memory://p.zarr") == ("A/1/0",)
    words = ["upscale", "memory://p.zarr", str(tmp_path / "out.zarr")]
    done = CliRunner().invoke(app, [*words, "--model", "bilinear", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert list_names(str(tmp_path / "out.zarr")) == ("A/1/0",)


SECRET = "hunter2"


def test_nothing_tells_a_password_or_a_signature(web, images, tmp_path, monkeypatch):
    folder, address, handler = web
    (images / "plain.ome.tif").rename(folder / "plain.ome.tif")
    handler.password = SECRET
    signed = address.replace("//", f"//me:{SECRET}@") + f"/plain.ome.tif?sig={SECRET}"
    monkeypatch.setattr(sys, "argv", ["structsr", "upscale", signed, "out.ome.zarr"])
    out = tmp_path / "out.ome.zarr"
    kept = []
    options = {"model": "bilinear", "device": "cpu", "progress": False}
    source = open_source(signed)
    assert source.origin == f"{address}/plain.ome.tif"
    model, sink = sr.load_model("bilinear", factor=2), sr.OmeZarrSink(out)
    for event in sr.iter_upscale(source, model, sink):
        kept += [repr(event)]
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        kept += [path.read_bytes().decode("latin-1") for path in files]
    told = "".join(kept)
    assert "plain.ome.tif" in told
    assert SECRET not in told
    wrong = signed.replace("?sig=", "?key=").replace(SECRET, "hunter3")
    with pytest.raises(SourceError, match="403") as caught:
        sr.upscale(wrong, **options)
    assert "hunter3" not in str(caught.value)
    shown = CliRunner().invoke(app, ["info", wrong])
    assert shown.exit_code == 1
    assert "hunter3" not in shown.output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host:8/a.tif?sig=x#y", "https://host:8/a.tif"),
        ("https://token@host/a.zarr/", "https://host/a.zarr/"),
        ("s3://bucket/a b.zarr?versionId=1", "s3://bucket/a b.zarr?versionId=1"),
        ("url='https://h/x?k=v' and more", "url='https://h/x' and more"),
        ("https://a:p@ss@host/x", "https://host/x"),
        ("/data/exp?[dapi].tif", "/data/exp?[dapi].tif"),
        (r"C:/scans/a@b.tif", r"C:/scans/a@b.tif"),
    ],
)
def test_what_is_hidden_of_an_address(text, shown):
    # in a text nobody knows where an address with blanks ends
    assert hide_credentials(text).startswith(shown.partition("?versionId")[0])
    assert "pw" not in hide_credentials(text)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("file:///a.tif", "a local file by its path"),
        ("simplecache::s3://bucket/a.zarr", "is no address that is read"),
        ("zip://a.zarr::s3://bucket/b.zip", "is no address that is read"),
        ("nothing://host/a.zarr", "nobody here knows nothing://"),
        ("memory://not-there.ome.zarr", "nothing is there"),
        ("memory://not-there.tif", "nothing is there"),
    ],
)
def test_what_is_not_read_at_an_address(address, said, memory):
    with pytest.raises(SourceError, match=said):
        open_source(address)


def test_what_is_no_image_at_an_address(memory):
    memory[0].pipe_file("/a.czi", b"ZISRAWFILE" + bytes(300))
    with pytest.raises(SourceError, match="copy the image to a local folder first"):
        open_source("memory://a.czi")


def test_what_is_missing_is_named(monkeypatch):
    registered = sys.modules["fsspec.registry"]._registry
    monkeypatch.delitem(registered, "s3", raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    words = r'needs the package s3fs.*pip install "napari-structsr\[remote\]"'
    with pytest.raises(SourceError, match=words):
        open_source("s3://bucket/a.zarr")
    image = np.zeros((64, 64), np.uint16)
    with pytest.raises(SinkError, match=words):
        sr.upscale(image, "s3://bucket/a.ome.zarr", progress=False)


def test_nobody_is_called_because_a_record_says_so(web, images):
    _, address, handler = web
    path = images / "cells.ome.zarr" / "zarr.json"
    entry = json.loads(path.read_text("utf-8"))
    source = entry["attributes"]["structsr"]["record"]["source"]
    source["origin"] = f"{address}/plain.ome.tif"
    path.write_text(json.dumps(entry), "utf-8")
    with pytest.raises(
        sr.StructsrError, match="at a remote address; give it as source"
    ):
        sr.inspect(images / "cells.ome.zarr", maps="residual", progress=False)
    assert handler.asked == []
    assert Path(images).exists()
