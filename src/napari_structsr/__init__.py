"""Structure-informed super-resolution for microscopy, in napari and in scripts.

Everything public is imported on first use, so that importing the package is cheap.

>>> import napari_structsr as sr
>>> pixels = sr.upscale("in.tif", factor=2)
>>> path = sr.upscale("in.tif", "out.ome.zarr", model="sharp")
>>> found = sr.inspect(path)
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

try:
    __version__ = version("napari-structsr")
except PackageNotFoundError:
    __version__ = "uninstalled"

# the names and where they live stand in __init__.pyi, which mypy reads as well
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
