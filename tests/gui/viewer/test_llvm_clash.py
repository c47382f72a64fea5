"""Triton is kept out of a program whose OpenGL driver has loaded LLVM."""

from __future__ import annotations

import sys

import pytest

from napari_structsr.engine.events import Cancel, Finished
from napari_structsr.gui.viewer import llvm_clash
from napari_structsr.gui.viewer.jobs import Job


@pytest.mark.parametrize(
    ("maps", "blocked"),
    [
        ("7f00-7f01 r-xp /usr/lib/libLLVM.so.19.1\n", True),
        ("/usr/lib/libc.so\n", False),
    ],
)
def test_triton_is_left_out_beside_the_drivers_llvm(
    monkeypatch, tmp_path, maps, blocked
):
    monkeypatch.setitem(sys.modules, "triton", None)  # put back as it was afterwards
    del sys.modules["triton"]
    monkeypatch.setattr(llvm_clash, "_MAPS", tmp_path / "maps")
    (tmp_path / "maps").write_text(maps)
    llvm_clash.keep_triton_out()
    assert ("triton" in sys.modules) == blocked
    if blocked:
        with pytest.raises(ImportError):
            import triton  # noqa: F401


def test_triton_that_is_there_already_stays(monkeypatch, tmp_path):
    loaded = object()
    monkeypatch.setitem(sys.modules, "triton", loaded)
    monkeypatch.setattr(llvm_clash, "_MAPS", tmp_path / "maps")
    (tmp_path / "maps").write_text("libLLVM")
    llvm_clash.keep_triton_out()
    assert sys.modules["triton"] is loaded


def test_every_job_leaves_triton_out_beside_the_drivers_llvm(
    monkeypatch, tmp_path, qtbot
):
    """Also one that upscales with foreign weights, and so imports torchvision."""
    monkeypatch.setitem(sys.modules, "triton", None)
    del sys.modules["triton"]
    monkeypatch.setattr(llvm_clash, "_MAPS", tmp_path / "maps")
    (tmp_path / "maps").write_text("/usr/lib/libLLVM.so.19.1")
    found = []

    def events(cancel: Cancel):
        found.append(sys.modules.get("triton", "to be imported"))
        yield Finished(None)

    job = Job("Upscaling", events)
    with qtbot.waitSignal(job.ended):
        job.start()
    assert found == [None]
