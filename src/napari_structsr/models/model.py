"""A network and its card: the only form in which models are handed around.

It owns what the engine must know to tile, and nothing of files, axes or devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from napari_structsr.errors import ModelError
from napari_structsr.imaging.forward import ForwardModel
from napari_structsr.models.build import (
    build_network,
    can_be_told,
    count_activations,
    fix_optics,
)
from napari_structsr.models.card import ModelCard
from napari_structsr.models.conditional_generator import (
    SIGMA_RANGE,
    ConditionalGenerator,
)
from napari_structsr.models.fused_generator import FusedGenerator, fuse


class SRModel:
    """A super-resolution model.

    Parameters
    ----------
    card
        What the model is.
    weights
        Parameters by name; none for interpolation.
    origin
        Name or path under which the model can be loaded again.
    network
        The network, where the card alone cannot say how to build it.
    low_precision
        Whether it may compute in half precision where the device is made for that.

    Raises
    ------
    ModelError
        If the weights do not fit the architecture of the card, or hold NaN.
    """

    def __init__(
        self,
        card: ModelCard,
        weights: Mapping[str, Tensor] | None = None,
        *,
        origin: str | None = None,
        network: nn.Module | None = None,
        low_precision: bool = True,
    ) -> None:
        self.card = card
        self.origin = origin or card.name
        self.low_precision = low_precision
        if network is None:
            network = build_network(
                card.architecture, factor=card.factor, options=card.options
            )
        self.network = network.eval().requires_grad_(False)
        try:
            self.network.load_state_dict(dict(weights or {}))
        except RuntimeError as error:
            raise ModelError(
                f"the weights of {card.name} x{card.factor} do not fit its card "
                f"({error}); restore both files from where they came"
            ) from error
        # NaN would spread over whole tiles, and only where it is met
        for name, value in self.network.state_dict().items():
            if not torch.isfinite(value).all():
                raise ModelError(
                    f"the weights of {card.name} x{card.factor} hold NaN in {name}; "
                    "restore the file from where it came"
                )
        self.network.to(memory_format=torch.channels_last)
        self._fused: dict[torch.dtype, FusedGenerator | None] = {}
        self.was_told = False
        """Whether it was told the optics and the noise, by `with_optics`."""

    def __call__(self, image: Tensor) -> Tensor:
        """Upscale planes.

        Parameters
        ----------
        image
            Shape (N, 1, h, w), float32, finite; usual values lie near 0..1.

        Returns
        -------
        Tensor
            Shape (N, 1, factor h, factor w), float32, in the same unit. A pixel
            depends on measured pixels up to `radius` away, but for `seam`.
        """
        with torch.inference_mode():
            result: Tensor = self.network(image)
            return result.float()

    @property
    def factor(self) -> int:
        """Output pixels along the side of an input pixel."""
        return self.card.factor

    @property
    def radius(self) -> int:
        """Input pixels to each side that a tile must read around an output pixel.

        The exact receptive field, unless the card names a shorter one, which leaves
        the difference `seam`.
        """
        # measured for deep networks, whose exact field would be wasteful
        if self.card.radius is not None:
            return self.card.radius
        exact: int = self.network.receptive_radius  # type: ignore[assignment]
        return exact

    @property
    def seam(self) -> float:
        """Largest difference of tiles from the whole image, relative to its range."""
        # an exact radius leaves none
        return self.card.seam or 0.0

    @property
    def align(self) -> int:
        """Input pixels of whose multiples tiles begin, where windows are."""
        return int(getattr(self.network, "align", 1))

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages that hold the code of the network, besides this one and torch."""
        # their version decides the numbers too, so that the record names it
        if self.card.architecture == "onnx":
            return ("onnxruntime",)
        foreign = self.card.architecture in ("spandrel", "swinir")
        return ("spandrel",) if foreign else ()

    # one for all blocks: it keeps the inverse that it has computed
    @cached_property
    def forward_model(self) -> ForwardModel:
        """What the model was trained to undo."""
        return ForwardModel(self.factor, self.card.psf_sigma)

    @cached_property
    def values_per_pixel(self) -> int:
        """Numbers held at once for each input pixel, for estimates of memory."""
        # where torch does not compute, the network itself must say
        held = getattr(self.network, "activations", None)
        if held is None:
            held = count_activations(self.network)
        return int(held) + 4 * self.factor**2

    @property
    def conditional(self) -> bool:
        """Whether it can be told the optics, see `with_optics`."""
        return can_be_told(self.network)

    @property
    def psf_range(self) -> tuple[float, float]:
        """Widths of the point-spread function that a conditional model was trained for.

        In measured pixels.
        """
        return self.card.psf_range or SIGMA_RANGE

    def nearest_width(self, psf_sigma: float) -> float:
        """Return the nearest width that it can be told, in measured pixels."""
        low, high = self.psf_range
        return min(max(psf_sigma, low), high)

    def with_optics(self, *, psf_sigma: float, noise: float) -> SRModel:
        """Return the model for one kind of image.

        Parameters
        ----------
        psf_sigma
            Width of the point-spread function that is undone, in measured pixels.
        noise
            Noise relative to the range, see
            `napari_structsr.models.conditional_generator.noise_level`.

        Returns
        -------
        SRModel
            Its forward model has the width; on the device of this model.

        Raises
        ------
        ModelError
            If it is no conditional model, or was trained for other widths.
        """
        if not self.conditional:
            raise ModelError(
                f"{self.card.name} x{self.factor} cannot be told the optics; choose a "
                "conditional model, or leave the width of the point-spread function out"
            )
        low, high = self.psf_range
        if not low <= psf_sigma <= high:
            remedy = f"give {low:g}"
            if psf_sigma > high:
                remedy = "bin the image, or take a coarser level of its pyramid"
            raise ModelError(
                f"the point-spread function is {psf_sigma:.3g} measured pixels wide, "
                f"and {self.card.name} was trained for {low:g} to {high:g}; {remedy}"
            )
        network = fix_optics(self.network, sigma=psf_sigma, noise=noise)
        changes: dict[str, object] = {"psf_sigma": psf_sigma}
        if isinstance(self.network, ConditionalGenerator):
            # folded weights are those of the generator that is told nothing
            changes["architecture"] = "residual-generator"
        told = SRModel(
            self.card.model_copy(update=changes),
            network.state_dict(),
            origin=self.origin,
            network=network,
            low_precision=self.low_precision,
        )
        told.was_told = True
        return told.to(str(next(self.network.parameters()).device))

    def to(self, device: str) -> SRModel:
        """Move the network; returns the model itself."""
        self.network.to(device)
        self._fused.clear()
        return self

    def run_on_cpu(self, image: Tensor, dtype: torch.dtype) -> Tensor:
        """Upscale planes on the CPU, in the number format of a processor made for it.

        Parameters
        ----------
        image
            As in a call.
        dtype
            Of the features.

        Returns
        -------
        Tensor
            As of a call.
        """
        if dtype == torch.float32:
            # there a pass over the result costs a tenth of the convolution
            return self(image)
        if dtype not in self._fused:
            self._fused[dtype] = fuse(self.network, dtype)
        if (fused := self._fused[dtype]) is not None:
            # through the network, where a cancel is heard
            result: Tensor = self.network(image, fused)
            return result
        with torch.autocast("cpu", dtype=dtype):
            return self(image)
