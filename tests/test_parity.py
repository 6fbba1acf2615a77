"""The pipeline beside diffusers' StableDiffusionInpaintPipeline: same weights, noise, prompt and options."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image, ImageDraw

from cyclorama import BackgroundGenerator, Cutout, Photo, Scene
from cyclorama.engine.compositing.placement import Placement
from cyclorama.engine.diffusion.frame import Frame
from cyclorama.engine.options import Backend, SpacingName
from cyclorama.export import export_checkpoint
from tests.checkpoints import NANO_CHECKPOINT, UNETS, make_checkpoint
from tests.conftest import PHOTOS

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "lcm": ("LCMScheduler", {}),
}
PLAIN: dict[str, Any] = {"cache_interval": 1, "guidance_interval": (0.0, 1.0)}  # as diffusers computes
PROMPT, NEGATIVE, SEED = "a sandy beach at sunset", "grey", 5
SPACING: SpacingName = "leading"


def picture(size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
    """A photo and what to paint of it, both of the working size; the mask keeps to no grid of latents."""
    photo = Image.open(PHOTOS / "astronaut.jpg").resize(size)
    paint = Image.new("L", size, 255)
    ImageDraw.Draw(paint).ellipse((size[0] * 0.21, size[1] * 0.17, size[0] * 0.73, size[1] * 0.89), fill=0)
    return photo, paint


def painted_by_us(model: Path, backend: Backend, size: tuple[int, int], **options: Any) -> np.ndarray[Any, Any]:
    """The decoded canvas, (h, w, 3) in [-1, 1]."""
    generator = BackgroundGenerator.load(model, backend=backend, exact=True)
    photo, paint = picture(size)
    rgb, mask = np.asarray(photo), (np.asarray(paint) > 127).astype(np.float32)
    frame = Frame(*size, (0, 0, *size))
    alpha = np.where(mask > 0, 0, 255).astype(np.uint8)
    cutout = Cutout(Photo(rgb), alpha, Placement(size, 1, 0, 0), alpha, rgb, {})
    scene = Scene(cutout, frame, frame.place_photo(rgb), mask[None, None], generator.folder.vae_key, {})
    options = {"negative_prompt": "", **options}  # none, as in diffusers
    for step in generator.steps(scene, PROMPT, seed=SEED, timestep_spacing=SPACING, **PLAIN, **options):
        last = step
    painted: np.ndarray[Any, Any] = generator.vae.decode(last.denoised)[0].transpose(1, 2, 0)
    return painted


def painted_by_diffusers(
    checkpoint: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, sampler: str, **options: Any
) -> np.ndarray[Any, Any]:
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(checkpoint, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    name, extra = SCHEDULERS[sampler]
    pipeline.scheduler = getattr(diffusers, name).from_config(
        pipeline.scheduler.config, timestep_spacing=SPACING, **extra
    )
    rng = np.random.default_rng(SEED)

    def noise(shape: tuple[int, ...], *_: Any, **__: Any) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(tuple(shape), np.float32))

    for module in (type(pipeline).__module__, type(pipeline.scheduler).__module__):
        monkeypatch.setattr(f"{module}.randn_tensor", noise, raising=False)
    # diffusers draws the masked image's latents at random around the mean that we take.
    monkeypatch.setattr(
        "diffusers.models.autoencoders.vae.DiagonalGaussianDistribution.sample", lambda self, generator=None: self.mean
    )
    photo, paint = picture(size)
    with torch.no_grad():
        images = pipeline(
            PROMPT, image=photo, mask_image=paint, width=size[0], height=size[1], output_type="np", **options
        ).images
    return np.asarray(images[0]) * 2 - 1


def check(
    checkpoint: Path,
    model: Path,
    backend: Backend,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    sampler: str = "dpmpp_2m_karras",
    **options: Any,
) -> None:
    ours = painted_by_us(model, backend, size, sampler=sampler, **options)
    theirs = painted_by_diffusers(checkpoint, size, monkeypatch, sampler, **options)
    assert ours.shape == theirs.shape
    assert theirs.std() > 0.01, "a flat picture proves nothing"
    psnr = 10 * np.log10(4 / max(float(np.mean((ours - theirs) ** 2)), 1e-20))
    assert psnr >= 55, f"{psnr:.1f} dB"


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
    [*(("onnx", sampler) for sampler in SCHEDULERS), ("openvino", "dpmpp_2m_karras"), ("openvino", "lcm")],
    indirect=["backend"],
)


@EACH_SAMPLER
def test_nano(nano: Path, backend: Backend, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(NANO_CHECKPOINT, nano, backend, (128, 128), monkeypatch, sampler, **GUIDED)


def test_nano_at_512(nano: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    check(NANO_CHECKPOINT, nano, backend, (512, 512), monkeypatch, num_inference_steps=6, guidance_scale=4.0)


def test_nano_at_an_odd_aspect(nano: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    check(NANO_CHECKPOINT, nano, backend, (96, 224), monkeypatch, **GUIDED)


@EACH_SAMPLER
def test_nano_with_strength(nano: Path, backend: Backend, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(NANO_CHECKPOINT, nano, backend, (128, 128), monkeypatch, sampler, strength=0.6, **GUIDED)


def test_nano_without_guidance(nano: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    check(NANO_CHECKPOINT, nano, backend, (128, 128), monkeypatch, num_inference_steps=4, guidance_scale=1.0)


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
def test_what_a_schedulers_config_leaves_out(
    name: str, nano_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that are changed, or removed (None), in both."""
    checkpoint = Path(shutil.copytree(NANO_CHECKPOINT, tmp_path / "checkpoint"))
    model = Path(shutil.copytree(nano_onnx, tmp_path / "model"))
    for folder in (checkpoint, model):
        path = folder / "scheduler" / "scheduler_config.json"
        config = {**json.loads(path.read_text()), **CONFIGS[name]}
        path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers' own, of what it sets right
        check(checkpoint, model, "onnx", (128, 128), monkeypatch, "ddim", num_inference_steps=8, guidance_scale=3.0)


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((unet, {"unet": unet}) for unet in UNETS),
    ("v-prediction", {"unet": "sd2", "prediction_type": "v_prediction"}),
    ("4-channel", {"in_channels": 4}),
    ("4-channel tiny VAE", {"in_channels": 4, "unet": "sdxs", "tiny_vae": True}),
    ("9-channel tiny VAE", {"tiny_vae": True}),
]


@pytest.mark.parametrize("variant", [variant for _, variant in VARIANTS], ids=[name for name, _ in VARIANTS])
def test_random_weights(variant: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes that differ from SD1.5's; 4-channel UNets go by latent blending. Both backends read the ONNX."""
    checkpoint = make_checkpoint(tmp_path / "checkpoint", **variant)
    model = export_checkpoint(checkpoint, tmp_path / "model", format="onnx", precision="fp32")
    runs: list[tuple[Backend, float]] = [("onnx", 1.0), ("openvino", 0.6)]
    for backend, strength in runs:
        options: dict[str, Any] = {"num_inference_steps": 6, "guidance_scale": 3.0, "strength": strength}
        check(checkpoint, model, backend, (96, 64), monkeypatch, "ddim", **options)


@pytest.mark.parametrize(
    "variant",
    [{"unet": "sd2", "prediction_type": "v_prediction"}, {"unet": "lcm"}, {"in_channels": 4, "tiny_vae": True}],
    ids=["sd2 v-prediction", "lcm", "4-channel tiny VAE"],
)
def test_random_weights_as_ir(variant: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = make_checkpoint(tmp_path / "checkpoint", **variant)
    model = export_checkpoint(checkpoint, tmp_path / "model", format="openvino", precision="fp32")
    check(checkpoint, model, "openvino", (96, 64), monkeypatch, "ddim", num_inference_steps=6, guidance_scale=3.0)
