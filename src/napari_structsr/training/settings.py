"""Choices about a training that leave its result alone, its plan and its device."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from napari_structsr.engine.device import Device, Precision, choose_device
from napari_structsr.errors import TrainingError
from napari_structsr.models.model import SRModel
from napari_structsr.training.entries import Minutes, Table


class TrainingSettings(Table):
    """What a user can choose about a training that does not change its aim.

    Parameters
    ----------
    device, precision
        As in `UpscaleSettings`. "auto" trains in bfloat16 where the device is made
        for it, otherwise in float32.
    minutes
        Length of the training; phases and rates of the recipe are stretched to it.
        None makes the steps of the recipe, which can be repeated number by number.
    resume
        Go on with the training that lies in the folder.
    save_every
        Seconds between two savings, each with scores of the planes held out.
    """

    device: str = "auto"
    precision: Precision = "auto"
    minutes: Minutes | None = None
    resume: bool = False
    save_every: float = Field(default=60.0, ge=0, le=1e9)


@dataclass(frozen=True)
class TrainingPlan:
    """What a training or a fine-tuning is going to do, in words.

    Parameters
    ----------
    length, work
        How long, and what is done meanwhile.
    done
        Steps made before.
    minutes
        Length, if the clock decides.
    device
        Where, and in which number format.
    """

    length: str
    work: str
    done: int
    minutes: float | None
    device: Device

    def __str__(self) -> str:
        again = f" ({self.done} steps made before)" if self.done else ""
        where = f"{self.device.label} in {self.device.precision}"
        return f"{self.length}{again} on {self.work}, {where}"


def choose_training_device(
    wish: str, precision: Precision, model: SRModel
) -> tuple[Device, str | None]:
    """Choose the device as `choose_device` does, and a format that holds gradients.

    Raises
    ------
    DeviceError
        If the device is missing or computes wrong numbers.
    TrainingError
        If float16 was asked for.
    """
    device, warning = choose_device(wish, precision, model)
    if device.precision == "float16":
        # Gradients of this network underflow in float16; it is refused where it was
        # asked for, and replaced where "auto" chose it for upscaling.
        if precision == "float16":
            raise TrainingError(
                "float16 cannot hold the gradients of a training; choose float32, or "
                "bfloat16 where the device is made for it"
            )
        device = Device(device.kind, device.label, "float32")
    return device, warning
