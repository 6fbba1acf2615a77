"""The pipeline beside diffusers' StableDiffusionInpaintPipeline: same weights, noise, prompt and options."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image

from cyclorama import BackgroundGenerator
from cyclorama.cli import main
from cyclorama.engine.options import Backend, SamplerName
from cyclorama.export import export_checkpoint, parity
from tests.checkpoints import UNETS, make_checkpoint
from tests.conftest import NANO_CHECKPOINT, PHOTOS

NEGATIVE = "grey"


def check(
    checkpoint: Path,
    model: Path,
    backend: Backend,
    size: tuple[int, int],
    sampler: SamplerName = "dpmpp_2m_karras",
    **options: Any,
) -> None:
    photo = Image.open(PHOTOS / "astronaut.jpg").resize(size)
    generator = BackgroundGenerator.load(model, backend=backend, exact=True)
    ours = parity.painted_by_us(generator, size, sampler, photo, **options)
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(checkpoint, torch_dtype=torch.float32)
    theirs = parity.painted_by_diffusers(pipeline, size, sampler, photo, **options)
    assert ours.shape == theirs.shape
    assert theirs.std() > 0.01, "a flat picture proves nothing"
    assert parity.psnr(ours, theirs) >= 55, f"{parity.psnr(ours, theirs):.1f} dB"


@pytest.fixture(params=["openvino", "onnx"])
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = request.param
    return chosen


@pytest.fixture
def nano(backend: Backend, request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(f"nano_{backend}")
    return folder


GUIDED: dict[str, Any] = {"num_inference_steps": 20, "guidance_scale": 4.0, "negative_prompt": NEGATIVE}


# The samplers are NumPy and know no backend: all of them on one, and one with and one without noise on the other.
EACH_SAMPLER = pytest.mark.parametrize(
    ("backend", "sampler"),
    [*(("onnx", sampler) for sampler in parity.SCHEDULERS), ("openvino", "dpmpp_2m_karras"), ("openvino", "lcm")],
    indirect=["backend"],
)


@EACH_SAMPLER
def test_nano(nano: Path, backend: Backend, sampler: SamplerName) -> None:
    check(NANO_CHECKPOINT, nano, backend, (128, 128), sampler, **GUIDED)


def test_nano_at_512(nano: Path, backend: Backend) -> None:
    check(NANO_CHECKPOINT, nano, backend, (512, 512), num_inference_steps=6, guidance_scale=4.0)


def test_nano_at_an_odd_aspect(nano: Path, backend: Backend) -> None:
    check(NANO_CHECKPOINT, nano, backend, (96, 224), **GUIDED)


@EACH_SAMPLER
def test_nano_with_strength(nano: Path, backend: Backend, sampler: SamplerName) -> None:
    check(NANO_CHECKPOINT, nano, backend, (128, 128), sampler, strength=0.6, **GUIDED)


def test_nano_without_guidance(nano: Path, backend: Backend) -> None:
    check(NANO_CHECKPOINT, nano, backend, (128, 128), num_inference_steps=4, guidance_scale=1.0)


CONFIGS: dict[str, dict[str, Any]] = {
    "clips by default": {"clip_sample": None},
    "clips at 3": {"clip_sample": True, "clip_sample_range": 3.0},
    "of PNDM, with little said": {
        "_class_name": "PNDMScheduler", "clip_sample": None, "set_alpha_to_one": None, "steps_offset": None,
        "timestep_spacing": None, "rescale_betas_zero_snr": None, "thresholding": None, "sample_max_value": None,
        "dynamic_thresholding_ratio": None, "clip_sample_range": None,
    },
    "betas left out": {"beta_start": None, "beta_end": None, "beta_schedule": None},
    "an old steps_offset": {"steps_offset": 0},
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_what_a_schedulers_config_leaves_out(name: str, nano_onnx: Path, tmp_path: Path) -> None:
    """Keys that are changed, or removed (None), in both."""
    checkpoint = Path(shutil.copytree(NANO_CHECKPOINT, tmp_path / "checkpoint"))
    model = Path(shutil.copytree(nano_onnx, tmp_path / "model"))
    for folder in (checkpoint, model):
        path = folder / "scheduler" / "scheduler_config.json"
        config = {**json.loads(path.read_text()), **CONFIGS[name]}
        path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers' own, of what it sets right
        check(checkpoint, model, "onnx", (128, 128), "ddim", num_inference_steps=8, guidance_scale=3.0)


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((unet, {"unet": unet}) for unet in UNETS),
    ("v-prediction", {"unet": "sd2", "prediction_type": "v_prediction"}),
    ("4-channel", {"in_channels": 4}),
    ("4-channel tiny VAE", {"in_channels": 4, "unet": "sdxs", "tiny_vae": True}),
    ("9-channel tiny VAE", {"tiny_vae": True}),
]


@pytest.mark.parametrize("variant", [variant for _, variant in VARIANTS], ids=[name for name, _ in VARIANTS])
def test_random_weights(variant: dict[str, Any], tmp_path: Path) -> None:
    """Shapes that differ from SD1.5's; 4-channel UNets go by latent blending. Both backends read the ONNX."""
    checkpoint = make_checkpoint(tmp_path / "checkpoint", **variant)
    model = export_checkpoint(checkpoint, tmp_path / "model", format="onnx", precision="fp32")
    runs: list[tuple[Backend, float]] = [("onnx", 1.0), ("openvino", 0.6)]
    for backend, strength in runs:
        options: dict[str, Any] = {"num_inference_steps": 6, "guidance_scale": 3.0, "strength": strength}
        check(checkpoint, model, backend, (96, 64), "ddim", **options)


@pytest.mark.parametrize(
    "variant",
    [{"unet": "sd2", "prediction_type": "v_prediction"}, {"unet": "lcm"}, {"in_channels": 4, "tiny_vae": True}],
    ids=["sd2 v-prediction", "lcm", "4-channel tiny VAE"],
)
def test_random_weights_as_ir(variant: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "checkpoint", **variant)
    model = export_checkpoint(checkpoint, tmp_path / "model", format="openvino", precision="fp32")
    check(checkpoint, model, "openvino", (96, 64), "ddim", num_inference_steps=6, guidance_scale=3.0)


def test_a_folder_against_its_checkpoint_by_the_command(nano_onnx: Path, tmp_path: Path) -> None:
    """The same numbers as above for one's own checkpoint; another's, and less precise weights, are told apart."""

    def decibels(model: Path, checkpoint: Path) -> dict[str, float]:
        words = ["models", "verify", str(model), "--against", str(checkpoint), "--json"]
        outcome = CliRunner().invoke(main, words, catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
        found: dict[str, float] = json.loads(outcome.stdout)["decibels"]
        return found

    exact = decibels(nano_onnx, NANO_CHECKPOINT)
    assert exact.keys() == {"text_encoder", "unet", "vae_encoder", "vae_decoder", "picture"}
    assert all(value > 80 for name, value in exact.items() if name != "picture")
    assert exact["picture"] >= 55
    tiny = make_checkpoint(tmp_path / "tiny")
    half = export_checkpoint(tiny, tmp_path / "half", format="onnx", precision="fp16")
    stored_as_fp16 = decibels(half, tiny)
    assert all(40 < stored_as_fp16[name] < 100 for name in exact)
    other = make_checkpoint(tmp_path / "other", seed=9)
    assert all(value < 40 for name, value in decibels(half, other).items())
    told = CliRunner().invoke(main, ["models", "verify", str(half), "--against", str(tiny)])
    assert "picture" in told.stdout
    assert " dB" in told.stdout
