"""Which weights of a network a fine-tuning changes: all, or a low-rank part of each.

"efficient" leaves every weight W of a convolution or a linear layer as it is and
learns ``W + B A`` with thin matrices A and B (Hu et al. 2022, "LoRA: low-rank
adaptation of large language models"). A twentieth to a seventh of the numbers is
trained: less memory for the optimiser, and less that few pairs can spoil. Biases,
normalisation and first filters that sum to zero stay what they are, so that a network
that passes gain and offset through keeps doing so.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_RANK = 4
_LARGE = 1_000_000  # weights


def make_trainable(
    network: nn.Module,
    mode: Literal["auto", "whole", "efficient"],
    *,
    device: str = "cpu",
) -> list[nn.Parameter]:
    """Prepare a network, in place; return the parameters to train.

    The mode "auto" trains large networks in part on a CPU.
    """
    if mode == "auto":
        large = sum(value.numel() for value in network.parameters()) > _LARGE
        mode = "efficient" if large and device == "cpu" else "whole"
    # In eval mode: normalisation layers keep the statistics of the parent, as a few
    # patches of one sample have others.
    network.eval().requires_grad_(mode == "whole")
    if mode == "efficient":
        for layer in list(network.modules()):
            # Only where the gain is: these hold nearly all weights.
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                change = _LowRank(layer.weight)
                parametrize.register_parametrization(layer, "weight", change)
    return [value for value in network.parameters() if value.requires_grad]


def merge_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights under the names and in the shapes of the parent."""
    whole = {
        name: value
        for name, value in network.state_dict().items()
        if "parametrizations." not in name
    }
    # A parametrized layer computes its weight from the parent's and the change.
    whole |= {
        f"{name}.weight": layer.weight
        for name, layer in network.named_modules()
        if parametrize.is_parametrized(layer, "weight")
    }
    return {name: value.detach().float().cpu().clone() for name, value in whole.items()}


class _LowRank(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        # A thin layer has no more independent rows than that.
        rank = min(_RANK, rows, columns)
        self.across = nn.Parameter(
            torch.empty(rank, columns, device=weight.device).normal_(std=columns**-0.5)
        )
        # Zero, so that the first step is taken from the parent exactly.
        self.along = nn.Parameter(torch.zeros(rows, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.along @ self.across).reshape(weight.shape)
