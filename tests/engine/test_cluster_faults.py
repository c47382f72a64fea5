"""Workers that die, a coordinator that dies, and the same command again.

Two worker processes stand for two machines: each has a working folder of its own, so
that only absolute paths are the same everywhere.
"""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

import napari_structsr
from napari_structsr import (
    InspectSettings,
    OmeZarrSink,
    UpscaleSettings,
    iter_inspect,
    iter_upscale,
    load_model,
    open_source,
    result_of,
)
from napari_structsr.io.ome_zarr.journal import JOURNAL

PLANES = 60
PATIENCE = 300  # seconds, of a machine that is busy
ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "1",
    # each process has another working folder, so that no relative path will do
    "PYTHONPATH": str(Path(napari_structsr.__file__).parents[1]),
}


def start(stack, folder, *words):
    """Start a Python process in a folder; its output goes to a file there."""
    folder.mkdir(exist_ok=True)
    log = stack.enter_context((folder / "log.txt").open("ab"))
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def wait_for(look, what):
    """Wait until a function returns something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


class Machines:
    """A scheduler, and workers that each have a folder of their own."""

    def __init__(self, stack, folder):
        self._stack, self._folder = stack, folder
        self._count = 0
        words = ["-m", "dask", "scheduler", "--no-dashboard", "--no-show"]
        words += ["--host", "tcp://127.0.0.1", "--port", "0"]
        start(stack, folder / "scheduler", *words)
        log = folder / "scheduler" / "log.txt"
        pattern = r"(tcp://127\.0\.0\.1:\d+)"
        found = wait_for(lambda: re.search(pattern, log.read_text()), "a scheduler")
        self.address = found[1]

    def start_worker(self):
        self._count += 1
        words = ["-m", "dask", "worker", self.address, "--nthreads", "1"]
        words += ["--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        return start(self._stack, self._folder / f"machine{self._count}", *words)

    def run(self, folder, *words):
        """Start `structsr` in a folder."""
        command = ["-m", "napari_structsr.cli", *words, "--scheduler", self.address]
        return start(self._stack, folder, *command)


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    with ExitStack() as stack:
        yield Machines(stack, tmp_path_factory.mktemp("machines"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory, measured):
    """Return a folder with an image, and what a plain run makes of it."""
    folder = tmp_path_factory.mktemp("scene")
    rolled = [np.roll(measured[:64, :64], n, axis=1) for n in range(PLANES)]
    pixels = (np.stack(rolled) * 4000 + 100).astype("u2")
    tifffile.imwrite(
        folder / "in.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"}
    )
    model = load_model("bicubic", factor=2)
    settings = UpscaleSettings(device="cpu", precision="float32")
    sink = OmeZarrSink(folder / "plain.ome.zarr")
    source = open_source(folder / "in.tif")
    result = result_of(iter_upscale(source, model, sink, settings=settings))
    options = {"maps": ("residual",), "device": "cpu"}
    events = iter_inspect(
        result, out=folder / "plain maps", settings=InspectSettings(**options)
    )
    result_of(events)
    return folder


def read_tree(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_both_and_repeat(machines, folder, journal, words):
    """Kill a worker after some tiles, the command after more, and run it again."""
    first, _ = machines.start_worker(), machines.start_worker()
    process = machines.run(folder, *words)
    wait_for(lambda: count_lines(journal) >= 8, "the first tiles")
    first.send_signal(signal.SIGKILL)
    first.wait()
    then = count_lines(journal)
    wait_for(lambda: count_lines(journal) >= then + 8, "tiles of the other worker")
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = count_lines(journal)
    assert then + 8 <= kept < PLANES, "it was killed too late"
    again = machines.run(folder, *words)
    assert again.wait(timeout=PATIENCE) == 0, (folder / "log.txt").read_text()
    assert f"({kept} finished before)" in (folder / "log.txt").read_text()


def test_upscaling_survives_a_worker_and_its_coordinator(machines, scene):
    # by a relative path, which means nothing to workers
    words = ["upscale", "in.tif", "spread.ome.zarr", "--model", "bicubic"]
    words += ["--device", "cpu", "--precision", "float32"]
    journal = scene / "spread.ome.zarr" / JOURNAL
    kill_both_and_repeat(machines, scene, journal, words)
    found = read_tree(scene / "spread.ome.zarr")
    assert found == read_tree(scene / "plain.ome.zarr")


def test_inspection_survives_a_worker_and_its_coordinator(machines, scene):
    words = ["inspect", "plain.ome.zarr", "--out", "spread maps"]
    words += ["--maps", "residual", "--device", "cpu"]
    journal = scene / "spread maps" / "residual.ome.zarr" / JOURNAL
    kill_both_and_repeat(machines, scene, journal, words)
    found, wanted = (read_tree(scene / name) for name in ("spread maps", "plain maps"))
    assert found == wanted


def find_workers(command):
    """Return the worker processes that a command has started and that live."""
    found = []
    for process in psutil.Process(command.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_workers_of_this_machine_are_replaced_when_one_dies(tmp_path, scene):
    # not below the scene, whose other results are compared as whole folders
    path = tmp_path / "spread.ome.zarr"
    words = ["upscale", "in.tif", path, "--model", "bicubic", "--workers", "2"]
    words += ["--device", "cpu", "--precision", "float32"]
    log = tmp_path / "log.txt"
    with ExitStack() as stack, log.open("ab") as lines:
        command = subprocess.Popen(
            [sys.executable, "-m", "napari_structsr.cli", *map(str, words)],
            cwd=scene,
            env=ENVIRONMENT,
            stdout=lines,
            stderr=subprocess.STDOUT,
        )
        stack.callback(command.wait)
        stack.callback(command.kill)
        wait_for(lambda: count_lines(path / JOURNAL) >= 8, "the first tiles")
        find_workers(command)[0].kill()
        assert (path / JOURNAL).exists(), "it was killed too late"
        assert command.wait(timeout=PATIENCE) == 0, log.read_text()
    # where to look at what they do
    assert "dashboard: http" in log.read_text()
    assert read_tree(path) == read_tree(scene / "plain.ome.zarr")
