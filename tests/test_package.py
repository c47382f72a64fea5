"""What importing costs, and what the package promises."""

import subprocess
import sys

import pytest

import napari_structsr


@pytest.mark.parametrize("name", napari_structsr.__all__)
def test_public_names_exist_and_are_documented(name):
    assert getattr(napari_structsr, name).__doc__


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="sharpen"):
        _ = napari_structsr.sharpen


@pytest.mark.parametrize("module", ["napari_structsr", "napari_structsr.io.open"])
def test_importing_is_cheap(module):
    code = (
        f"import sys, {module}; "
        "heavy = {'torch', 'zarr', 'dask', 'tifffile', 'skimage', 'napari', 'qtpy'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
