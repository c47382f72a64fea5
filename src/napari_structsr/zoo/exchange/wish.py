"""What is said of an export beside what the card of the model says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["bioimageio", "onnx", "torchscript"]
"""What a model can be exported to."""


@dataclass(frozen=True)
class ExportWish:
    """What is said of an exported model beside what its card says.

    Parameters
    ----------
    psf_sigma, noise
        What a model that can be told the optics is told: the width of the
        point-spread function in measured pixels, and the noise relative to the range;
        None takes those of an undersampled image of little noise.
    authors
        Names of those who made it, for a bioimage.io package.
    licence
        SPDX identifier, where the card does not state one.
    """

    psf_sigma: float | None = None
    noise: float | None = None
    authors: tuple[str, ...] = ()
    licence: str | None = None
