"""Triton is kept out of a program whose OpenGL driver has loaded LLVM."""

from __future__ import annotations

import sys

import pytest

from napari_structsr.gui.viewer import llvm_clash


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
