"""Structure-informed super-resolution for microscopy, in napari and in scripts.

Everything public is imported on first use, so that importing the package is cheap.

>>> import napari_structsr as sr
>>> model = sr.load_model("faithful", factor=2)
>>> events = sr.upscale(sr.open_source("in.tif"), model, sr.OmeZarrSink("out.ome.zarr"))
>>> path = sr.result_of(events)
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_structsr.core.error_map import MAPS
    from napari_structsr.engine.events import Cancel, result_of
    from napari_structsr.errors import StructsrError
    from napari_structsr.finetuning.config import FineTuneConfig
    from napari_structsr.finetuning.fine_tune import fine_tune
    from napari_structsr.imaging.forward import ForwardModel
    from napari_structsr.imaging.refinement import refine
    from napari_structsr.inspection.error_maps import error_maps
    from napari_structsr.inspection.results import Inspection
    from napari_structsr.inspection.settings import InspectSettings
    from napari_structsr.io.ome_zarr.writer import OmeZarrSink
    from napari_structsr.io.open import open_source
    from napari_structsr.io.sink import MemorySink
    from napari_structsr.io.tiff.writer import TiffSink
    from napari_structsr.models.calibration import read_calibration
    from napari_structsr.models.model import SRModel
    from napari_structsr.pairs.register_pair import field_pair, high_only_pair
    from napari_structsr.training.recipe import read_recipe
    from napari_structsr.training.settings import TrainingSettings
    from napari_structsr.training.train import train
    from napari_structsr.upscaling.settings import UpscaleSettings
    from napari_structsr.upscaling.upscale import plan, upscale
    from napari_structsr.zoo.catalogue import list_models, load_model

try:
    __version__ = version("napari-structsr")
except PackageNotFoundError:
    __version__ = "uninstalled"

_HOMES = {
    "Cancel": "engine.events",
    "FineTuneConfig": "finetuning.config",
    "ForwardModel": "imaging.forward",
    "InspectSettings": "inspection.settings",
    "Inspection": "inspection.results",
    "MAPS": "core.error_map",
    "MemorySink": "io.sink",
    "OmeZarrSink": "io.ome_zarr.writer",
    "SRModel": "models.model",
    "StructsrError": "errors",
    "TiffSink": "io.tiff.writer",
    "TrainingSettings": "training.settings",
    "UpscaleSettings": "upscaling.settings",
    "error_maps": "inspection.error_maps",
    "field_pair": "pairs.register_pair",
    "fine_tune": "finetuning.fine_tune",
    "high_only_pair": "pairs.register_pair",
    "list_models": "zoo.catalogue",
    "load_model": "zoo.catalogue",
    "open_source": "io.open",
    "plan": "upscaling.upscale",
    "read_calibration": "models.calibration",
    "read_recipe": "training.recipe",
    "refine": "imaging.refinement",
    "result_of": "engine.events",
    "train": "training.train",
    "upscale": "upscaling.upscale",
}

__all__ = [
    "MAPS",
    "Cancel",
    "FineTuneConfig",
    "ForwardModel",
    "InspectSettings",
    "Inspection",
    "MemorySink",
    "OmeZarrSink",
    "SRModel",
    "StructsrError",
    "TiffSink",
    "TrainingSettings",
    "UpscaleSettings",
    "error_maps",
    "field_pair",
    "fine_tune",
    "high_only_pair",
    "list_models",
    "load_model",
    "open_source",
    "plan",
    "read_calibration",
    "read_recipe",
    "refine",
    "result_of",
    "train",
    "upscale",
]


def __getattr__(name: str) -> Any:
    """Import a public name from where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
