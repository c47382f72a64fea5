"""Servers on this machine: one of http, and one that answers as S3 does."""

from __future__ import annotations

import http.server
import re
import shutil
import socket
import threading
from pathlib import Path

import fsspec
import numpy as np
import pytest
import tifffile

import napari_structsr as sr

pytest.importorskip("s3fs", reason="the extra remote is not installed")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and parts of files where `ranges` is set."""

    ranges = True
    password = ""
    asked: list[str] = []  # noqa: RUF012 - of the class, each test empties it

    def send_head(self):
        self.asked.append(f"{self.command} {self.path}")
        if self.password and self.password not in self.path:
            self.send_error(403, f"Forbidden: {self.path}")
            return None
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return None
        if not (self.ranges and span):
            return super().send_head()
        size = path.stat().st_size
        start = int(span[1]) if span[1] else max(size - int(span[2]), 0)
        stop = min(int(span[2]) + 1, size) if span[1] and span[2] else size
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        file = path.open("rb")
        file.seek(start)
        self.left = stop - start
        return file

    def copyfile(self, source, outputfile):
        outputfile.write(source.read(getattr(self, "left", -1)))

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def web(tmp_path, own_ports, monkeypatch):
    """Return folder, address and handler of a server of http."""
    folder = tmp_path / "web"
    folder.mkdir()
    handler = type("Own", (Handler,), {"asked": []})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *words: handler(*words, directory=str(folder))
    )
    port = server.server_address[1]
    own_ports.add(port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{port}", handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def s3_server(own_ports):
    from moto.server import ThreadedMotoServer

    def look_up(host, port, *_, **__):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, int(port or 0)))]

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        # where it listens: on this machine, which asks nobody
        patch.setattr(socket, "getaddrinfo", look_up)
        server.start()
    host, port = server.get_host_and_port()
    own_ports.add(port)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "unknown-to-all")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield
    server.stop()


@pytest.fixture
def bucket(s3_server):
    """Return an empty bucket, as a file system of fsspec and an address."""
    fs = fsspec.filesystem("s3", use_listings_cache=False)
    if fs.exists("bucket"):
        fs.rm("bucket", recursive=True)
    fs.mkdir("bucket")
    return fs, "s3://bucket"


@pytest.fixture
def memory():
    """Return the file system in memory, empty, and its address."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    return fs, "memory://"


@pytest.fixture(scope="session")
def made_images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    random = np.random.default_rng(0)
    stack = random.integers(0, 4000, (2, 2, 96, 112)).astype(np.uint16)
    named = {"axes": "CZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}
    named |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    named |= {"Channel": {"Name": ["DAPI", "Cy5"]}}
    plain = {"photometric": "minisblack", "metadata": named}
    tifffile.imwrite(folder / "plain.ome.tif", stack, **plain)
    tiles = {"compression": "zlib", "tile": (32, 48)}
    tifffile.imwrite(folder / "tiles.ome.tif", stack, **plain, **tiles)
    sr.upscale(
        folder / "plain.ome.tif",
        folder / "cells.ome.zarr",
        model="bilinear",
        device="cpu",
        progress=False,
    )
    sink = sr.OmeZarrSink(folder / "shards.ome.zarr", chunk=32, shard=64)
    image, model = folder / "tiles.ome.tif", sr.load_model("bilinear", factor=2)
    list(sr.iter_upscale(image, model, sink))
    return folder


@pytest.fixture
def images(tmp_path, made_images):
    """Return a folder with images of two channels and two slices, of each kind."""
    return shutil.copytree(made_images, tmp_path / "images")


@pytest.fixture(params=["http", "s3", "memory"])
def served(request, images):
    """Return an address below which the images lie."""
    if request.param == "http":
        folder, address, _ = request.getfixturevalue("web")
        for path in images.iterdir():
            path.rename(folder / path.name)
        images.rmdir()
        images.symlink_to(folder)
        return address
    fs, address = request.getfixturevalue(
        "bucket" if request.param == "s3" else "memory"
    )
    target = address.removeprefix("s3://").removeprefix("memory:/")
    for path in images.rglob("*"):
        if path.is_file():
            name = path.relative_to(images).as_posix()
            fs.pipe_file(f"{target}/{name}", path.read_bytes())
    return address.rstrip("/") if request.param == "s3" else "memory:/"


def read_all(source):
    """Return all pixels of a source, plane by plane."""
    rows, columns = (slice(0, size) for size in source.spec.axes.plane)
    planes = source.spec.axes.planes()
    return np.stack([source.read(plane, rows, columns) for plane in planes])
