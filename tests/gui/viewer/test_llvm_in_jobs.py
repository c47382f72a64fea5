"""Jobs of the viewer leave triton out; see tests/core/test_llvm_clash.py."""

from __future__ import annotations

import sys

from napari_structsr.core import llvm_clash
from napari_structsr.engine.events import Cancel, Finished
from napari_structsr.gui.viewer.jobs import Job


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
