"""A VAE's halves in int8: as many layers as the drift allows, and no more."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from diffusers import AutoencoderKL
from openvino import convert_model

from cyclorama.engine.backends import OPENVINO_FILE, open_session
from cyclorama.export import quantisation, quantised_vae
from cyclorama.export.calibration import Feeds


@pytest.fixture(scope="module")
def float_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both halves of an AutoencoderKL with SD's layers and few channels, as IR."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4,
    ).eval()  # fmt: skip
    folder = tmp_path_factory.mktemp("vae")
    halves = {"vae_encoder": (vae.encoder, 3, 64), "vae_decoder": (vae.decoder, 4, 32)}
    for name, (half, channels, side) in halves.items():
        model = convert_model(half, example_input=torch.randn(1, channels, side, side), input=[-1, channels, -1, -1])
        model.inputs[0].set_names({"sample"})
        model.outputs[0].set_names({"output"})
        vae.save_config(folder / name)
        openvino.save_model(model, folder / name / OPENVINO_FILE)
    return folder


def feeds(half: str, seed: int) -> Feeds:
    shape = (1, 3, 64, 64) if half == "vae_encoder" else (1, 4, 32, 32)
    return {"sample": np.random.default_rng(seed).standard_normal(shape, np.float32)}


def copied(folder: Path, half: str, where: Path) -> Path:
    shutil.copytree(folder / half, where / half, dirs_exist_ok=True)
    return where / half / OPENVINO_FILE


def used(path: Path, inputs: Feeds) -> np.ndarray:
    output = np.asarray(next(iter(open_session(path, "openvino").run(inputs).values())))
    return output[:, :4] if path.parent.name == "vae_encoder" else np.clip(output, -1, 1)


def decibels(path: Path, reference: np.ndarray, inputs: Feeds) -> float:
    error = np.mean((used(path, inputs) - reference) ** 2)
    return float(10 * np.log10(np.ptp(reference) ** 2 / error))


def float_convolutions(path: Path) -> set[str]:
    return {
        node.get_friendly_name().removeprefix("__module.").partition("/")[0]
        for node in openvino.Core().read_model(path).get_ops()
        if node.get_type_name() == "Convolution" and node.input_value(0).get_node().get_type_name() != "FakeQuantize"
    }


@pytest.mark.parametrize("half", ["vae_encoder", "vae_decoder"])
def test_all_but_the_ends_is_int8_where_that_changes_little(
    half: str, float_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantised_vae, "LEAST_PSNR", 20.0)
    path, seen = copied(float_folder, half, tmp_path), feeds(half, 9)
    reference, size = used(path, seen), path.with_suffix(".bin").stat().st_size
    facts = quantisation.quantise_vae_half(path, [feeds(half, 1)], [seen])
    assert facts["share_in_int8"] == 1
    assert facts["float_layers"] == []
    assert facts["psnr"] == pytest.approx(decibels(path, reference, seen), abs=0.2)
    assert float_convolutions(path) == {"conv_in", "conv_out"}
    assert path.with_suffix(".bin").stat().st_size < 0.65 * size


@pytest.mark.parametrize("half", ["vae_encoder", "vae_decoder"])
def test_layers_that_change_too_much_stay_float(
    half: str,
    float_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen = feeds(half, 9)
    monkeypatch.setattr(quantised_vae, "LEAST_PSNR", 20.0)
    path = copied(float_folder, half, tmp_path)
    loose = quantisation.quantise_vae_half(path, [feeds(half, 1)], [seen])["psnr"]
    monkeypatch.setattr(quantised_vae, "LEAST_PSNR", loose + 2)
    path = copied(float_folder, half, tmp_path)
    reference = used(path, seen)
    facts = quantisation.quantise_vae_half(path, [feeds(half, 1)], [seen])
    assert quantised_vae.LEAST_SHARE <= facts["share_in_int8"] < 1
    convolutions = {layer for layer in facts["float_layers"] if "attentions" not in layer}
    assert float_convolutions(path) == {"conv_in", "conv_out", *convolutions}
    measured = decibels(path, reference, seen)
    assert measured >= loose + 1.9
    assert facts["psnr"] == pytest.approx(measured, abs=0.2)
    assert f"{half}: these layers stay float" in caplog.text


def test_a_half_that_cannot_be_int8_stays_as_it_is(
    float_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(quantised_vae, "LEAST_PSNR", 90.0)
    path = copied(float_folder, "vae_decoder", tmp_path)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    facts = quantisation.quantise_vae_half(path, [feeds("vae_decoder", 1)], [feeds("vae_decoder", 9)])
    assert facts["share_in_int8"] == 0
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
    assert "vae_decoder: the whole stays float" in caplog.text
