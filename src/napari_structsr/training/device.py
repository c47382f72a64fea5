"""Where to train, and in which number format."""

from __future__ import annotations

from napari_structsr.engine.device import Device, Precision, choose_device
from napari_structsr.errors import TrainingError
from napari_structsr.models.model import SRModel

__all__ = ["choose_training_device"]


def choose_training_device(
    wish: str, precision: Precision, model: SRModel
) -> tuple[Device, str | None]:
    """Choose the device as `choose_device` does; float16 is no format to train in.

    Raises
    ------
    DeviceError
        If the device is missing or computes wrong numbers.
    TrainingError
        If float16 was asked for.
    """
    device, warning = choose_device(wish, precision, model)
    if device.precision == "float16":
        if precision == "float16":
            raise TrainingError(
                "float16 cannot hold the gradients of a training; choose float32, or "
                "bfloat16 where the device is made for it"
            )
        device = Device(device.kind, device.label, "float32")
    return device, warning
