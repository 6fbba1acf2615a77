"""Upsampling as sub-pixel convolutions: the same numbers with less than half of the work.

Stable Diffusion's networks enlarge a feature map twofold by repeating its values, and convolve the result with 3x3
weights. Each pixel of that sees only 2x2 different values, so that four convolutions of the small map, one for each
place within a pair of rows and columns, with weights that are sums of the original ones, give the same: 16
multiplications instead of 36 (Shi et al., 2016, arXiv 1609.07009). A KL decoder does a quarter of its work there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeGuard
from unittest.mock import patch

import torch
from diffusers.models.upsampling import Upsample2D
from torch import nn
from torch.nn import functional

# Which of three weights fall on the first, and which on the second, of the two values that a pixel sees: in a pair's
# first row (or column) and in its second.
_SUMS = (((1.0, 0.0, 0.0), (0.0, 1.0, 1.0)), ((1.0, 1.0, 0.0), (0.0, 0.0, 1.0)))


class SubpixelUpsampling(nn.Module):
    """Twofold enlarging by nearest neighbours and a 3x3 convolution of it. (B, I, h, w) -> (B, O, 2h, 2w).

    other: what to leave other sizes to than the double, which a UNet asks for where its input cannot be halved evenly.
    """

    def __init__(self, convolution: nn.Conv2d, other: nn.Module) -> None:
        super().__init__()
        self.other = other
        self.places = nn.ModuleList()
        for row in _SUMS:
            for column in _SUMS:
                inputs, outputs = int(convolution.in_channels), int(convolution.out_channels)
                place = nn.Conv2d(inputs, outputs, 2, bias=convolution.bias is not None)
                weight = convolution.weight.detach()
                rows, columns = (torch.tensor(sums, dtype=weight.dtype) for sums in (row, column))
                place.weight = nn.Parameter(torch.einsum("yh,xw,oihw->oiyx", rows, columns, weight))
                if convolution.bias is not None:
                    place.register_parameter("bias", nn.Parameter(convolution.bias.detach()))
                self.places.append(place)

    def forward(self, hidden_states: torch.Tensor, output_size: Any = None) -> torch.Tensor:
        """As diffusers' Upsample2D."""
        if output_size is not None:
            enlarged: torch.Tensor = self.other(hidden_states, output_size)
            return enlarged
        batch, _, height, width = hidden_states.size()
        # Of the four 2x2 windows around a value the first begins one to the left and one above.
        windows = [(1 - x, x, 1 - y, y) for y in (0, 1) for x in (0, 1)]
        places = torch.cat(
            [place(functional.pad(hidden_states, window)) for place, window in zip(self.places, windows, strict=True)],
            1,
        )
        # OpenVINO makes one DepthToSpace of this.
        pairs = places.reshape([batch, 2, 2, -1, height, width]).permute(0, 3, 4, 1, 5, 2)
        return pairs.reshape([batch, -1, 2 * height, 2 * width])


@contextmanager
def subpixel_upsampling(network: nn.Module) -> Iterator[None]:
    """Within the block every upsampling of a diffusers network that can be is computed so."""
    with ExitStack() as stack:
        for module in list(network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, Upsample2D) and (convolution := _convolution(child)):
                    stack.enter_context(patch.dict(module._modules, {name: SubpixelUpsampling(convolution, child)}))
            if isinstance(module, nn.Sequential):  # AutoencoderTiny's
                for i, (first, second) in enumerate(zip(module, list(module)[1:], strict=False)):
                    if _repeats(first) and _fits(second):
                        swapped = {str(i): nn.Identity(), str(i + 1): SubpixelUpsampling(second, second)}
                        stack.enter_context(patch.dict(module._modules, swapped))
        yield


def _convolution(upsample: Upsample2D) -> nn.Conv2d | None:
    """What follows the enlarging, where nothing else does."""
    is_plain = upsample.interpolate and not upsample.use_conv_transpose and upsample.norm is None
    convolution = getattr(upsample, "conv" if upsample.name == "conv" else "Conv2d_0", None)
    return convolution if is_plain and _fits(convolution) else None


def _repeats(module: nn.Module) -> bool:
    return isinstance(module, nn.Upsample) and module.mode == "nearest" and module.scale_factor in (2, (2, 2))


def _fits(module: nn.Module | None) -> TypeGuard[nn.Conv2d]:
    if not isinstance(module, nn.Conv2d):
        return False
    shape = (module.kernel_size, module.stride, module.padding, module.dilation, module.groups, module.padding_mode)
    return shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")
