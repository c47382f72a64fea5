"""Structure-informed super-resolution for microscopy, in napari and in scripts.

Everything public is imported on first use, so that importing the package is cheap.

>>> import napari_structsr as sr
>>> pixels = sr.upscale("in.tif", factor=2)
>>> path = sr.upscale("in.tif", "out.ome.zarr", model="sharp")
>>> found = sr.inspect(path)
"""

import os
from importlib.metadata import PackageNotFoundError, version

import lazy_loader

# Before torch is loaded, whose OpenMP reads it then: a thread that waits for another
# sleeps. By default it spins, which takes the core from the one that it waits for where
# other programs use the cores, too. Where none does, either is as quick.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("napari-structsr")
except PackageNotFoundError:
    __version__ = "uninstalled"

# the names and where they live stand in __init__.pyi, which mypy reads as well
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
