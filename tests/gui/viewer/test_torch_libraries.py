"""The libraries of torch are loaded before the import that would hold up the viewer."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LOAD = """
import sys
from pathlib import Path
from napari_structsr.gui.viewer.torch_libraries import load_libraries_of_torch
assert "libtorch_python" not in Path("/proc/self/maps").read_text()
load_libraries_of_torch()
assert "libtorch_python" in Path("/proc/self/maps").read_text()
assert "torch" not in sys.modules
import torch
print(torch.eye(2).sum().item())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux loads libraries")
def test_libraries_are_loaded_before_torch_is_imported():
    run = [sys.executable, "-c", _LOAD]
    text = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert text.strip() == "2.0"
