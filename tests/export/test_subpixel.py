"""Upsampling as sub-pixel convolutions: the same numbers, and in the exported graph less work."""

from __future__ import annotations

from pathlib import Path

import openvino
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from diffusers.models.upsampling import Upsample2D
from torch import nn

from cyclorama.engine.backends import OPENVINO_FILE
from cyclorama.export.subpixel import SubpixelUpsampling, subpixel_upsampling


def kl() -> nn.Module:
    network: nn.Module = AutoencoderKL(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4,
    ).decoder  # fmt: skip
    return network


@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 7), (1, 1)])
@pytest.mark.parametrize("make", [kl, lambda: AutoencoderTiny().decoder])
def test_it_is_what_diffusers_computes(make: type[nn.Module], height: int, width: int) -> None:
    torch.manual_seed(0)
    network, latents = make().eval(), torch.randn(2, 4, height, width)
    with torch.no_grad():
        expected = network(latents)
        with subpixel_upsampling(network):
            ours = network(latents)
            swapped = sum(isinstance(module, SubpixelUpsampling) for module in network.modules())
        after = network(latents)
    assert swapped == (1 if make is kl else 3)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert not torch.equal(ours, expected)
    assert torch.equal(after, expected)
    assert not any(isinstance(module, SubpixelUpsampling) for module in network.modules())


def test_another_size_than_the_double_is_left_to_diffusers() -> None:
    torch.manual_seed(0)
    network, small = nn.ModuleDict({"up": Upsample2D(8, use_conv=True)}), torch.randn(1, 8, 4, 4)
    with torch.no_grad():
        expected = network["up"](small, output_size=(7, 7))
        with subpixel_upsampling(network):
            assert torch.equal(network["up"](small, output_size=(7, 7)), expected)


@pytest.mark.parametrize(
    "upsample",
    [
        Upsample2D(8, use_conv=False),
        Upsample2D(8, use_conv_transpose=True),
        Upsample2D(8, use_conv=True, norm_type="ln_norm"),
    ],
)
def test_what_is_no_plain_upsampling_stays(upsample: Upsample2D) -> None:
    network = nn.ModuleDict({"up": upsample})
    with subpixel_upsampling(network):
        assert network["up"] is upsample


def test_an_exported_decoder_enlarges_nothing_before_it_convolves(nano_openvino: Path) -> None:
    operations = openvino.Core().read_model(nano_openvino / "vae_decoder" / OPENVINO_FILE).get_ops()
    assert not [node for node in operations if node.get_type_name() == "Interpolate"]
    windows = [tuple(node.input(1).get_shape()[2:]) for node in operations if node.get_type_name() == "Convolution"]
    assert windows.count((2, 2)) == 12
