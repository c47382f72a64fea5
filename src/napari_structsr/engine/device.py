"""Which device computes, in which number format, and whether its numbers are right.

It owns everything that differs between CUDA, Apple MPS and the CPU.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from napari_structsr.engine.memory import keep_pages
from napari_structsr.errors import DeviceError
from napari_structsr.models.model import SRModel

Precision = Literal["auto", "float32", "bfloat16", "float16"]

# largest error of the self-test, as a share of the range of the image
_TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2, "float16": 1e-2}


@dataclass(frozen=True)
class Device:
    """A device and the number format it computes in."""

    # name for torch, "cpu", "cuda:0" or "mps", and name for people
    kind: str
    label: str
    precision: str  # "float32", "bfloat16" or "float16"

    @property
    def block(self) -> int:
        """Input pixels along the side of what is computed at once, at most."""
        # where a CPU computes in half precision, memory is what it waits for
        return 512 if self.kind == "cpu" and self.precision != "float32" else 1024

    @property
    def bytes_per_value(self) -> int:
        """Bytes of one number of a feature."""
        return 4 if self.precision == "float32" else 2

    def run(self, model: SRModel, image: Tensor) -> Tensor:
        """Apply the model to float32 pixels on this device; the result stays on it."""
        dtype = getattr(torch, self.precision)
        if self.kind == "cpu":
            return model.run_on_cpu(image, dtype)
        with torch.autocast(
            torch.device(self.kind).type, dtype=dtype, enabled=dtype != torch.float32
        ):
            return model(image)

    def release(self) -> None:
        """Give cached memory back, after a shortage."""
        # torch keeps freed blocks, of which none may be as large as what is needed
        if self.kind.startswith("cuda"):
            torch.cuda.empty_cache()
        elif self.kind == "mps":
            torch.mps.empty_cache()


def choose_device(
    wish: str, precision: Precision, model: SRModel
) -> tuple[Device, str | None]:
    """Choose the device, and test it on 64 x 64 pixels against the CPU.

    The wish is "auto", "cpu", "cuda", "cuda:1" or "mps". The model is on the device
    afterwards; a sentence warns that a better device was passed over. `DeviceError`
    says that the device asked for is missing or computes wrong numbers.
    """
    keep_pages()  # before the first layer computes, in viewer, command and script alike
    warning = reason = None
    for kind in _list_kinds() if wish == "auto" else [_check_kind(wish)]:
        device = _describe(kind, precision, model)
        reason = _test(device, model)
        if reason is None:
            return device, warning
        warning = f"{reason}; the next device is used instead"
    remedy = "choose another device, for example cpu"
    raise DeviceError(f"{reason}; {'reinstall torch' if wish == 'auto' else remedy}")


def read_free_memory(kind: str = "cpu") -> int | None:
    """Return the free bytes of a device, or None where the system does not tell."""
    if kind.startswith("cuda"):
        return int(torch.cuda.mem_get_info(kind)[0])
    try:
        # MemAvailable counts caches that the kernel gives back; free memory does not
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux: the whole memory is the best that is known
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a shortage of memory from other errors of torch and numpy."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # the allocator of the CPU and older CUDA raise a plain RuntimeError
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )


def _list_kinds() -> list[str]:
    """List the devices of this machine, fastest first."""
    kinds = ["cuda:0"] if torch.cuda.device_count() else []
    if torch.backends.mps.is_available():
        kinds.append("mps")
    return [*kinds, "cpu"]


def _check_kind(wish: str) -> str:
    """Return torch's name of a device, which must be there."""
    name = wish.lower()
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise DeviceError(f"device {wish!r} is unknown; choose auto, cpu, cuda or mps")
    if name == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("this machine has no Apple GPU (mps); choose auto or cpu")
    if name.startswith("cuda"):
        name = name if ":" in name else f"{name}:0"
        count = torch.cuda.device_count()
        if int(name[5:]) >= count:
            raise DeviceError(
                f"device {wish!r} was asked for, but torch sees {count} CUDA devices; "
                "choose auto or cpu, or install a torch with CUDA"
            )
    return name


def _describe(kind: str, precision: Precision, model: SRModel) -> Device:
    """Name a device and settle the number format."""
    label = torch.cuda.get_device_name(kind) if kind.startswith("cuda") else kind
    if precision != "auto":
        return Device(kind, label, precision)
    if kind == "mps" or not model.low_precision:
        return Device(kind, label, "float32")
    if kind == "cpu":
        # without these instructions bfloat16 is emulated, and slower than float32
        abilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        fast = abilities.get("avx512_bf16") or abilities.get("amx_bf16")
        return Device(kind, label, "bfloat16" if fast else "float32")
    # bfloat16 in hardware begins with Ampere, compute capability 8
    modern = torch.cuda.get_device_capability(kind)[0] >= 8
    return Device(kind, label, "bfloat16" if modern else "float16")


def _test(device: Device, model: SRModel) -> str | None:
    """Compare a small image with the CPU; return what is wrong, or None.

    The model is on the device afterwards.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 1, 64, 64), generator=generator)
    expected = model.to("cpu")(image)  # the CPU in float32 is the measure
    try:
        found = device.run(model.to(device.kind), image.to(device.kind)).cpu()
    except (RuntimeError, NotImplementedError) as error:
        # the model must not stay on a device that is not used
        model.to("cpu")
        return f"{device.label} failed on a small test image ({error})"
    worst = float((found - expected).abs().max())
    if not worst <= _TOLERANCE[device.precision]:  # also true for NaN
        model.to("cpu")
        return (
            f"{device.label} computes wrong numbers in {device.precision} "
            f"(off by {worst:.3g} of the range on a small test image)"
        )
    return None
