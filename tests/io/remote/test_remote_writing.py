"""A result at an address: the bytes of the local one, resumed, whole or no image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import napari_structsr as sr
from conftest import read_all
from napari_structsr.cli import app
from napari_structsr.errors import SinkError, SourceError
from napari_structsr.io.open import open_source
from napari_structsr.io.remote.object_store import ChunkUploads
from napari_structsr.io.remote.remote_sink import RemoteOmeZarrSink

OPTIONS = {"model": "bilinear", "device": "cpu", "progress": False}


def list_objects(fs, address):
    """Return all objects below an address, by name."""
    start = fs._strip_protocol(address)
    return {name[len(start) + 1 :]: fs.cat_file(name) for name in fs.find(start)}


def list_states():
    return list(Path(os.environ["STRUCTSR_STATE"]).iterdir())


def read_files(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("store", ["bucket", "memory"])
@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_result_has_the_bytes_of_the_local_one(request, images, store, version):
    fs, address = request.getfixturevalue(store)
    out = (
        f"{address.rstrip('/')}/out.ome.zarr"
        if store == "bucket"
        else "memory://o.zarr"
    )
    image = str(images / "plain.ome.tif")
    words = ["--model", "bilinear", "--device", "cpu", "--ome-version", version]
    done = CliRunner().invoke(app, ["upscale", image, out, *words])
    assert done.exit_code == 0, done.output
    assert f"wrote {out}" in done.output
    near = images / "near.ome.zarr"
    done = CliRunner().invoke(app, ["upscale", image, str(near), *words])
    assert done.exit_code == 0, done.output
    assert list_objects(fs, out) == read_files(near)
    assert list_states() == []
    assert open_source(out).spec.axes == open_source(near).spec.axes
    again = CliRunner().invoke(app, ["upscale", image, out, *words])
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    over = CliRunner().invoke(app, ["upscale", image, out, *words, "--overwrite"])
    assert over.exit_code == 0, over.output
    assert list_objects(fs, out) == read_files(near)


KILLED = """
import os, signal, sys
import napari_structsr as sr
from napari_structsr.io.ome_zarr.journal import Journal

note, number = Journal.add, [0]

def add(self, *words):
    note(self, *words)
    number[0] += 1
    if number[0] == 2:
        os.kill(os.getpid(), signal.SIGKILL)

Journal.add = add
sr.upscale(*sys.argv[1:], model="bilinear", device="cpu", progress=False)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_run_that_is_killed_goes_on_where_it_was(bucket, images, monkeypatch):
    fs, address = bucket
    image, out = str(images / "plain.ome.tif"), f"{address}/out.ome.zarr"
    child = subprocess.run([sys.executable, "-c", KILLED, image, out], check=False)
    assert child.returncode == -signal.SIGKILL
    # nobody takes it for an image: neither the whole nor a level with holes
    with pytest.raises(SourceError, match="unfinished result"):
        open_source(out)
    with pytest.raises(SourceError):
        open_source(f"{out}/0")
    shown = CliRunner().invoke(app, ["info", out])
    assert "unfinished; repeat its command" in shown.output
    with pytest.raises(SinkError, match=r"differs in name"):
        sr.upscale(image, out, **OPTIONS | {"model": "bicubic"})
    there = list_objects(fs, out)
    put, again = ChunkUploads.set, []

    async def note(self, key, value):
        again.append(key)
        await put(self, key, value)

    monkeypatch.setattr(ChunkUploads, "set", note)
    assert sr.upscale(image, out, **OPTIONS) == out
    # two tiles at least were noted, whatever became of the others
    assert len(again) <= 2
    assert len(there.keys() - {"zarr.json"} - set(again)) == 4 - len(again)
    sr.upscale(image, images / "near.ome.zarr", **OPTIONS)
    assert list_objects(fs, out) == read_files(images / "near.ome.zarr")
    assert list_states() == []


def stop_after(monkeypatch, number):
    """Let the network break after so many chunks."""
    put, done = ChunkUploads.set, []

    async def set_some(self, key, value):
        done.append(key)
        if len(done) > number:
            raise ConnectionResetError("the cable was pulled")
        await put(self, key, value)

    monkeypatch.setattr(ChunkUploads, "set", set_some)
    return done


@pytest.mark.parametrize("harm", ["deleted", "cut", "changed", "all", "nothing"])
def test_what_was_harmed_meanwhile_is_computed_anew(bucket, images, harm):
    fs, address = bucket
    image, out = str(images / "plain.ome.tif"), f"{address}/out.ome.zarr"
    with pytest.MonkeyPatch.context() as patch:
        done = stop_after(patch, 3)
        with pytest.raises(SinkError, match=r"pulled.*start the same command again"):
            sr.upscale(image, out, **OPTIONS)
    victim = f"bucket/out.ome.zarr/{done[0]}"
    data = fs.cat_file(victim)
    if harm == "deleted":
        fs.rm(victim)
    elif harm == "all":
        fs.rm("bucket/out.ome.zarr", recursive=True)
    elif harm != "nothing":
        fs.pipe_file(victim, data[:-1] if harm == "cut" else data[:-1] + b"?")
    sr.upscale(image, out, **OPTIONS)
    sr.upscale(image, images / "near.ome.zarr", **OPTIONS)
    assert list_objects(fs, out) == read_files(images / "near.ome.zarr")


def test_what_vanishes_while_it_is_written_is_told(memory, images, monkeypatch):
    fs, _ = memory
    put = ChunkUploads.set
    kept = []

    async def lose_the_first(self, key, value):
        await put(self, key, value)
        kept.append(key)
        if len(kept) == 3:
            fs.rm(f"/out.ome.zarr/{kept[0]}")

    monkeypatch.setattr(ChunkUploads, "set", lose_the_first)
    image = images / "plain.ome.tif"
    with pytest.raises(SinkError, match="deleted since it was written"):
        sr.upscale(image, "memory://out.ome.zarr", **OPTIONS)
    sr.upscale(image, "memory://out.ome.zarr", **OPTIONS)
    sr.upscale(image, images / "near.ome.zarr", **OPTIONS)
    assert list_objects(fs, "memory://out.ome.zarr") == read_files(
        images / "near.ome.zarr"
    )


def test_what_is_in_the_way_stays(memory, images):
    fs, _ = memory
    image = images / "plain.ome.tif"
    fs.pipe_file("/mine.zarr/letter.txt", b"dear")
    with pytest.raises(SinkError, match=r"no zarr group.*choose another name"):
        sr.upscale(image, "memory://mine.zarr", overwrite=True, **OPTIONS)
    assert fs.cat_file("/mine.zarr/letter.txt") == b"dear"
    # the image itself, or what lies in it
    fs.put(str(images / "cells.ome.zarr"), "/cells.ome.zarr", recursive=True)
    for place in ("memory://cells.ome.zarr", "memory://cells.ome.zarr/in.zarr"):
        with pytest.raises(SinkError, match=r"would lie over the input|exists"):
            sr.upscale("memory://cells.ome.zarr", place, overwrite=True, **OPTIONS)
    assert list_states() == []


def test_a_result_that_another_machine_has_begun_stays(memory, images, tmp_path):
    image, out = images / "plain.ome.tif", "memory://out.ome.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTSR_STATE", str(tmp_path / "other"))
        stop_after(patch, 2)
        with pytest.raises(SinkError, match="pulled"):
            sr.upscale(image, out, **OPTIONS)
    with pytest.raises(SinkError, match="this machine knows nothing of"):
        sr.upscale(image, out, **OPTIONS)
    sr.upscale(image, out, overwrite=True, **OPTIONS)
    assert list_states() == []


def test_a_cancelled_run_without_a_tile_leaves_nothing(memory, images):
    fs, _ = memory
    cancel = sr.Cancel()
    model, sink = (
        sr.load_model("bilinear", factor=2),
        RemoteOmeZarrSink("memory://a.zarr"),
    )
    source = open_source(images / "plain.ome.tif")
    for event in sr.iter_upscale(source, model, sink, cancel=cancel):
        if type(event).__name__ == "Started":
            cancel.set()
    assert fs.find("/") == []
    assert list_states() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["https://host/a.ome.zarr"], "can be read and not be written"),
        (["s3://bucket/a.ome.tif"], "written as OME-Zarr alone"),
        (["memory://a.ome.zarr", "--part", "1/2"], "leave --part out"),
        (["memory://a.ome.zarr", "--workers", "1"], "leave the cluster out"),
        (["file:///tmp/a.ome.zarr"], "a local file by its path"),
    ],
)
def test_what_cannot_be_written_at_an_address(images, words, said, memory):
    image = str(images / "plain.ome.tif")
    words = ["upscale", image, *words, "--model", "bilinear"]
    if "--workers" in words:
        from napari_structsr.errors import ClusterError
        from napari_structsr.upscaling.upscale_job import check_reachable

        with pytest.raises(ClusterError, match=said):
            check_reachable(RemoteOmeZarrSink("memory://a.ome.zarr"))
        return
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert said in " ".join(done.stderr.split())
    assert memory[0].find("/") == []


def test_what_was_interrupted_is_listed_and_cleaned(memory, images):
    image, out = images / "plain.ome.tif", "memory://out.ome.zarr"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(SinkError, match="pulled"):
            sr.upscale(image, out, **OPTIONS)
    found = CliRunner().invoke(app, ["clean", "--remote"], input="n\n")
    assert out in found.output
    assert len(list_states()) == 1
    done = CliRunner().invoke(app, ["clean", "--remote", "--yes"])
    assert done.exit_code == 0, done.output
    assert list_states() == []
    sr.upscale(image, out, overwrite=True, **OPTIONS)
    assert np.isfinite(read_all(open_source(out))).all()


@pytest.mark.parametrize("number", [1, 2])
def test_maps_go_to_a_local_folder(memory, images, tmp_path, number):
    results = [images / "cells.ome.zarr", images / "shards.ome.zarr"][:number]
    words = ["inspect", *map(str, results), "--maps", "residual", "--device", "cpu"]
    done = CliRunner().invoke(app, [*words, "--out", "memory://maps"])
    assert done.exit_code == 1
    said = " ".join(done.stderr.split())
    assert "memory://maps is a remote address" in said
    assert "give one, and copy it there" in said
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "maps")])
    assert done.exit_code == 0, done.output
    memory[0].put(str(tmp_path / "maps"), "/maps", recursive=True)
    where = "memory://maps" if number == 1 else "memory://maps/cells"
    assert open_source(f"{where}/residual.ome.zarr").spec.axes
