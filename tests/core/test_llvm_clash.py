"""Triton is kept out of a program whose OpenGL driver has loaded LLVM."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import napari_structsr
from napari_structsr.core import llvm_clash
from napari_structsr.errors import ModelError
from napari_structsr.io.foreign_weights import read_foreign


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


def test_foreign_weights_leave_it_out_wherever_they_are_read(monkeypatch, tmp_path):
    """Also from the console of napari, where no job is asked."""
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "triton", None)
    del sys.modules["triton"]
    monkeypatch.setattr(llvm_clash, "_MAPS", tmp_path / "maps")
    (tmp_path / "maps").write_text("/usr/lib/libLLVM.so.19.1")
    torch.save({"a.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "a.pth")
    with pytest.raises(ModelError):
        read_foreign(tmp_path / "a.pth")
    assert sys.modules["triton"] is None


def test_whatever_imports_triton_by_torch_leaves_it_out_first():
    root = Path(napari_structsr.__file__).parent
    found = {
        path.name: path.read_text("utf-8")
        for path in root.rglob("*.py")
        if re.search(
            r"torch\.optim\.\w+\(|(from|import) (spandrel|torchvision)|torch\.compile",
            path.read_text("utf-8"),
        )
    }
    assert "trainer.py" in found
    assert all("keep_triton_out()" in text for text in found.values()), list(found)
