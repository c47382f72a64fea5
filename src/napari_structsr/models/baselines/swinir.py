"""SwinIR: attention within shifted windows; an adapter around spandrel's module.

After Liang et al. 2021, "SwinIR: image restoration using Swin Transformer", in the
form of SwinIR-light: the last layer rises to high resolution at once. Windows lie on
a fixed grid, so that a tile must begin on it; see `SwinIRNet.align`.
"""

from __future__ import annotations

import warnings

from torch import Tensor, nn

from napari_structsr.core.llvm_clash import keep_triton_out
from napari_structsr.errors import ModelError
from napari_structsr.imaging.filters import reflect_pad


class SwinIRNet(nn.Module):
    """SwinIR-light for one channel.

    Parameters
    ----------
    factor
        Upscaling factor along y and x.
    width
        Channels of the features; a multiple of `heads`.
    depth
        Attention layers of each stage; every second one has shifted windows.
    stages
        Residual groups of attention layers.
    heads
        Attention heads.
    window
        Pixels along the side of a window.
    expansion
        Width of the hidden layer behind each attention, as a multiple of `width`.
    inputs
        Channels that are seen.

    Raises
    ------
    ModelError
        If spandrel is not installed.
    """

    def __init__(
        self,
        factor: int,
        *,
        width: int = 60,
        depth: int = 6,
        stages: int = 4,
        heads: int = 6,
        window: int = 8,
        expansion: int = 2,
        inputs: int = 1,
    ) -> None:
        super().__init__()
        keep_triton_out()
        try:
            from spandrel.architectures.SwinIR import SwinIR
        except ImportError as error:
            raise ModelError(
                f"SwinIR needs spandrel and torchvision ({error}); "
                "run: pip install 'napari-structsr[zoo]'"
            ) from error
        self.factor = factor
        self.align = window
        self._depths = [depth] * stages
        with warnings.catch_warnings():
            # spandrel leaves out its indexing; the default stays what it was
            warnings.filterwarnings("ignore", "torch.meshgrid")
            self.network = SwinIR(
                # of the masks that are kept; any size is accepted
                img_size=6 * window,
                in_chans=1,
                embed_dim=width,
                depths=self._depths,
                num_heads=[heads] * stages,
                window_size=window,
                mlp_ratio=expansion,
                upscale=factor,
                upsampler="pixelshuffledirect",
                # stochastic depth is for larger networks
                drop_path_rate=0.0,
            )
        if inputs > 1:
            # spandrel's module gives out as many channels as it takes in
            self.network.conv_first = nn.Conv2d(inputs, width, 3, padding=1)
        # masks and indices follow from the sizes: they need not travel with weights
        for module in self.network.modules():
            for name, buffer in list(module.named_buffers(recurse=False)):
                module.register_buffer(name, buffer, persistent=False)

    @property
    def receptive_radius(self) -> int:
        """LR pixels that one output pixel sees to each side."""
        return _measure_window_reach(self._depths, self.align)

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, 1, factor h, factor w); values near 0..1."""
        height, width = image.shape[-2:]
        # at the bottom and the right alone: pixels keep their place in the windows
        bottom, right = -height % self.align, -width % self.align
        image = reflect_pad(image, (0, bottom), (0, right))
        result: Tensor = self.network(image)
        return result[..., : height * self.factor, : width * self.factor]


def _measure_window_reach(depths: list[int], window: int) -> int:
    # the convolutions behind the attention see this far, with the one after the body
    before, farthest = 2, 0
    # a pixel sees farther, the nearer it lies to the border of its window
    for pixel in range(window):
        # through the layers, from the last one
        low, high = pixel - before, pixel + before
        for depth in reversed(depths):
            low, high = low - 1, high + 1
            for layer in reversed(range(depth)):
                # every second layer cuts its windows half a window farther
                shift = window // 2 if layer % 2 else 0
                low = (low - shift) // window * window + shift
                high = (high - shift) // window * window + shift + window - 1
        low, high = low - 1, high + 1
        farthest = max(farthest, pixel - low, high - pixel)
    return farthest
