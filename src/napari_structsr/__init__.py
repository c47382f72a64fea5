"""Structure-informed super-resolution for microscopy, in napari and in scripts.

Everything public is imported on first use, so that importing the package is cheap.

>>> import napari_structsr as sr
>>> model = sr.load_model("faithful", factor=2)
>>> events = sr.upscale(sr.open_source("in.tif"), model, sr.OmeZarrSink("out.ome.zarr"))
>>> path = sr.result_of(events)
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

try:
    __version__ = version("napari-structsr")
except PackageNotFoundError:
    __version__ = "uninstalled"

# the names and where they live stand in __init__.pyi, which mypy reads as well
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
