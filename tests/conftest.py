"""Images made here, small and real enough to be sharpened."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import sys
import warnings

import numpy as np
import pytest
from hypothesis import settings
from skimage.data import cell

from napari_structsr.benchmark.tracks import TRACKS, make_truth

# shared machines are slow at times: a slow example is no failure
settings.register_profile("patient", deadline=None, print_blob=True)
settings.load_profile("patient")


@pytest.fixture(autouse=True, scope="session")
def no_models_of_the_developer(tmp_path_factory):
    """Let tests see the models that ship, and none that were accepted before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTSR_MODELS", str(tmp_path_factory.mktemp("models")))
        yield


@pytest.fixture(scope="session")
def own_ports():
    """Return the ports of this machine that may be asked: of servers of a test."""
    return set()


@pytest.fixture(autouse=True, scope="session")
def no_states_of_the_developer(tmp_path_factory):
    """Keep what is noted of results at addresses out of the developer's folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTSR_STATE", str(tmp_path_factory.mktemp("states")))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_network(own_ports):
    """Let no test reach the network: nothing here asks anybody.

    Sockets of the machine itself, as windows and event loops have them, stay.
    """
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse(what):
        raise AssertionError(f"a test reached for the network: {what}")

    def guard(call):
        def connect_locally(self, address):
            own = sys.platform == "win32" and address[0] in ("127.0.0.1", "::1")
            own = own or (address[0] == "127.0.0.1" and address[1] in own_ports)
            if self.family in (socket.AF_INET, socket.AF_INET6) and not own:
                refuse(address)
            return call(self, address)

        return connect_locally

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guard(connect))
        patch.setattr(socket.socket, "connect_ex", guard(connect_ex))
        patch.setattr(socket, "getaddrinfo", lambda *words, **_: refuse(words))
        yield


@pytest.fixture(scope="session")
def truth():
    """Return a floating cell, in 0..1, shape (192, 224)."""
    return make_truth(cell()[220:412, 180:404], 4)


@pytest.fixture(scope="session")
def measured(truth):
    """Measure the cell at half the resolution; shape (96, 112)."""
    return TRACKS["x2-mild"].measure(truth)


@pytest.fixture
def sharp(tmp_path, monkeypatch):
    """Ship a model named sharp, that can be blended with faithful; return its folder.

    Its weights are those of faithful, changed a little.
    """
    import torch

    from napari_structsr.io.weights import read_card, read_weights, write_bundle
    from napari_structsr.zoo import catalogue, shipped

    folder = tmp_path / "weights"
    shutil.copytree(shipped.WEIGHTS, folder)
    torch.manual_seed(0)
    for factor in (2, 4):
        path = folder / f"faithful-x{factor}.json"
        card = read_card(path)
        weights = {
            name: value * (1 + 0.1 * torch.rand(value.shape))
            for name, value in read_weights(path, sha256=card["sha256"]).items()
        }
        named = {"name": "sharp", "blend_with": "faithful", "description": "Test."}
        write_bundle(folder / f"sharp-x{factor}", card | named, weights)
    for module in (shipped, catalogue):
        monkeypatch.setattr(module, "WEIGHTS", folder)
    shipped.list_shipped.cache_clear()
    yield folder
    shipped.list_shipped.cache_clear()


@pytest.fixture
def stack(measured):
    """Two channels of two planes in uint16, axes czyx, shape (2, 2, 96, 112)."""
    planes = [measured, measured[::-1], measured[:, ::-1], measured.T[:96, :112]]
    planes[3] = np.pad(planes[3], ((0, 0), (0, 112 - planes[3].shape[1])), mode="wrap")
    values = np.stack(planes).reshape(2, 2, 96, 112)
    return np.clip(values * 20000 + 500, 0, 65535).astype(np.uint16)


@pytest.fixture
def kill_at():
    """Return what does work in a child that is killed at a change of the file system.

    It is called with the number of the change and the work, and tells whether the
    child was killed, or had ended before.
    """
    if not hasattr(os, "fork"):
        pytest.skip("processes do not fork here")
    changes = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def kill_at(number, work):
        with warnings.catch_warnings():
            # newer Pythons warn of threads, of which the child needs none
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            left = itertools.count(number, -1)

            def watch(event, args):
                changed = event in changes or (
                    event == "open" and isinstance(args[2], int) and args[2] & writes
                )
                if changed and next(left) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(watch)
            try:
                work()
            finally:
                # no teardown of pytest in the child
                os._exit(sys.exc_info()[0] is not None)
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) or status == 0
        return os.WIFSIGNALED(status)

    return kill_at


@pytest.fixture(scope="session")
def make_told_model():
    """Return a function that makes a small model whose result follows the optics."""
    import torch

    from napari_structsr.models.build import build_network
    from napari_structsr.models.card import ModelCard
    from napari_structsr.models.model import SRModel

    def make(factor=2, *, tail=0.01, gains=0.3, **card):
        """Make one; `tail` and `gains` are how far its random weights spread."""
        torch.manual_seed(0)
        options = {"width": 8, "blocks": 1}
        network = build_network("conditional-generator", factor=factor, options=options)
        torch.nn.init.normal_(network.tail.weight, 0, tail)
        torch.nn.init.normal_(network.optics[-1].weight, 0, gains)
        entries = {
            "name": "told",
            "description": "",
            "architecture": "conditional-generator",
            "options": options,
            "factor": factor,
            "psf_sigma": 0.35,
        }
        return SRModel(ModelCard(**(entries | card)), network.state_dict())

    return make
