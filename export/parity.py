"""How near a model folder is to diffusers on the checkpoint that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import diffusers
import numpy as np
import torch
from PIL import Image, ImageDraw

from cyclorama import BackgroundGenerator, Cutout, Photo, Scene
from cyclorama.engine.arrays import Array
from cyclorama.engine.backends import open_session
from cyclorama.engine.compositing.placement import Placement
from cyclorama.engine.diffusion.frame import Frame
from cyclorama.engine.options import SamplerName, SpacingName
from cyclorama.export.errors import ExportFailed
from cyclorama.export.source import load_pipeline
from cyclorama.export.trace import components
from cyclorama.export.verification import Reference

SPACING: SpacingName = "leading"
# diffusers' scheduler of each sampler, and its settings.
SCHEDULERS: dict[SamplerName, tuple[str, dict[str, Any]]] = {
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
_PROMPT, _SEED, _STEPS = "a sandy beach at sunset", 7, 8
_MOST = 200.0  # decibels reported; equal arrays would give infinity


def compare(
    folder: Path, checkpoint: str | Path, progress: Callable[[str], None] = lambda stage: None
) -> dict[str, float]:
    """PSNR in decibels of each component on random inputs, and of a decoded picture from the same noise (`picture`).

    Of a component the peak is the largest value that PyTorch gives; of the picture, which is in [-1, 1], 2. All is
    computed in float32, with every step in full. A folder with a LoRA, another VAE or int8 differs by what they do.
    Raises ExportFailed and DownloadFailed for the checkpoint, BadModel for the folder.
    """
    progress("loading the checkpoint")
    pipeline, _ = load_pipeline(checkpoint)
    generator = BackgroundGenerator.load(folder, exact=True)
    decibels = {}
    latent_size = 2 ** len(pipeline.unet.config.down_block_types)
    for name, (network, _) in components(pipeline, generator.backend).items():
        progress(f"comparing {name}")
        session = open_session(generator.folder.component(name, generator.backend), generator.backend)
        reference = Reference.of(network, session, 8 * latent_size if name == "vae_encoder" else latent_size)
        if session.inputs.keys() != reference.feeds.keys():
            raise ExportFailed(f"the {name} of {folder} takes other inputs than that of {checkpoint}")
        decibels[name] = reference.psnr(session)
    progress("painting with diffusers")
    pipeline, _ = load_pipeline(checkpoint)  # optimum has changed the networks of the first
    size = (generator.folder.native_size,) * 2
    options: dict[str, Any] = {"num_inference_steps": _STEPS, "guidance_scale": 7.0, "strength": 1.0}
    theirs = painted_by_diffusers(pipeline, size, "dpmpp_2m_karras", **options)
    progress("painting with the folder")
    ours = painted_by_us(generator, size, "dpmpp_2m_karras", **options)
    decibels["picture"] = psnr(ours, theirs)
    return decibels


def psnr(ours: Array, theirs: Array, peak: float = 2.0) -> float:
    """Peak signal-to-noise ratio in decibels, 200 at most."""
    error = float(np.mean((ours.astype(np.float64) - theirs) ** 2))
    return min(_MOST, 10 * float(np.log10(peak**2 / max(error, 1e-30))))


def example(size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
    """A photo of coloured noise, drawn large, and what to paint of it, white."""
    rng = np.random.default_rng(_SEED)
    photo = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    paint = Image.new("L", size, 255)
    box = (size[0] * 0.21, size[1] * 0.17, size[0] * 0.73, size[1] * 0.89)
    ImageDraw.Draw(paint).ellipse(box, fill=0)
    return photo, paint


def painted_by_us(
    generator: BackgroundGenerator,
    size: tuple[int, int],
    sampler: SamplerName,
    photo: Image.Image | None = None,
    **options: Any,
) -> Array:
    """The decoded canvas, (h, w, 3) in [-1, 1], every step computed in full."""
    drawn, paint = example(size)
    rgb, mask = np.asarray(photo or drawn), (np.asarray(paint) > 127).astype(np.float32)
    frame = Frame(*size, (0, 0, *size))
    alpha = np.where(mask > 0, 0, 255).astype(np.uint8)
    cutout = Cutout(Photo(rgb), alpha, Placement(size, 1, 0, 0), alpha, rgb, {})
    scene = Scene(cutout, frame, frame.place_photo(rgb), mask[None, None], generator.folder.vae_key, {})
    plain = {"cache_interval": 1, "guidance_interval": (0.0, 1.0), "token_downsampling": False}
    asked: dict[str, Any] = {"negative_prompt": "", "timestep_spacing": SPACING, **plain, **options}
    for step in generator.steps(scene, _PROMPT, **asked, seed=_SEED, sampler=sampler):
        last = step
    painted: Array = generator.vae.decode(last.denoised)[0].transpose(1, 2, 0)
    return painted


def painted_by_diffusers(
    pipeline: Any, size: tuple[int, int], sampler: SamplerName, photo: Image.Image | None = None, **options: Any
) -> Array:
    """What a StableDiffusionInpaintPipeline in float32 makes of the same noise: (h, w, 3) in [-1, 1]."""
    pipeline.set_progress_bar_config(disable=True)
    name, extra = SCHEDULERS[sampler]
    pipeline.scheduler = getattr(diffusers, name).from_config(
        pipeline.scheduler.config, timestep_spacing=SPACING, **extra
    )
    drawn, paint = example(size)
    with _our_noise(pipeline), torch.no_grad():
        images = pipeline(
            _PROMPT, image=photo or drawn, mask_image=paint, width=size[0], height=size[1], output_type="np", **options
        ).images
    return np.asarray(images[0], np.float32) * 2 - 1


@contextmanager
def _our_noise(pipeline: Any) -> Iterator[None]:
    """diffusers draws from NumPy's generator as we do, and takes the mean of the masked image's latents, not a draw."""
    rng = np.random.default_rng(_SEED)

    def noise(shape: tuple[int, ...], *_: Any, **__: Any) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(tuple(shape), np.float32))

    distribution = "diffusers.models.autoencoders.vae.DiagonalGaussianDistribution.sample"
    with ExitStack() as stack:
        for module in {type(pipeline).__module__, type(pipeline.scheduler).__module__}:
            if hasattr(__import__(module, fromlist=["x"]), "randn_tensor"):
                stack.enter_context(patch(f"{module}.randn_tensor", noise))
        stack.enter_context(patch(distribution, lambda self, generator=None: self.mean))
        yield
