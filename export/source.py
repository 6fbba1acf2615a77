"""Reading checkpoints of every shape into one diffusers pipeline, in float32 on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny, LCMScheduler, StableDiffusionInpaintPipeline, TCDScheduler
from diffusers.utils.logging import disable_progress_bar, set_verbosity_error
from safetensors import SafetensorError, safe_open

from export.errors import ExportFailed
from models.catalogue import CATALOGUE
from models.errors import first_line
from models.hub import fetch_repository

disable_progress_bar()  # the caller shows the stages
set_verbosity_error()  # it warns of a tiny VAE in the place of a KL one, which is meant
_DISTILLED = {"lcm": LCMScheduler, "tcd": TCDScheduler}


def load_pipeline(source: str | Path, revision: str | None = None) -> tuple[Any, str | None]:
    """A checkpoint as a StableDiffusionInpaintPipeline, and the hub's commit where it came from there.

    source: a diffusers folder, a `.safetensors` file in the original Stable Diffusion layout, a
    name in the catalogue, or a hub id `owner/name`.
    Raises ExportFailed for what cannot be read, DownloadFailed for what cannot be fetched.
    """
    entry = CATALOGUE.get(str(source))
    path = entry.shipped if entry and entry.shipped else Path(source)
    if path.is_file():
        return _from_single_file(path), None
    commit = None
    if not path.is_dir():
        path, commit = _fetch(str(source), revision)
    return _from_folder(path), commit


def load_tiny_vae(source: str | Path) -> Any:
    """An AutoencoderTiny from a folder, a name in the catalogue or a hub id."""
    path = Path(source)
    if not path.is_dir():
        path, _ = _fetch(str(source), None)
    try:
        kind = AutoencoderTiny.load_config(path, local_files_only=True).get("_class_name")
        if kind != "AutoencoderTiny":
            raise ValueError(f"it is of the class {kind}")
        return AutoencoderTiny.from_pretrained(path, torch_dtype=torch.float32, local_files_only=True).eval()
    except Exception as error:
        raise ExportFailed(
            f"{source} is no tiny VAE (AutoencoderTiny) that can be read: {first_line(error)}"
        ) from error


def use_distilled_scheduler(pipeline: Any, distilled: str) -> None:
    """Gives the pipeline the scheduler that its distilled weights are sampled with (`lcm` or `tcd`)."""
    pipeline.scheduler = _DISTILLED[distilled].from_config(pipeline.scheduler.config)


def _fetch(source: str, revision: str | None) -> tuple[Path, str]:
    entry = CATALOGUE.get(source)
    if entry and entry.repository:
        return fetch_repository(entry.repository, revision or entry.revision)
    if entry and entry.shipped:
        raise ExportFailed(
            f"the checkpoint of {source} is not installed, only its exported form; give {entry.file} of a clone instead"
        )
    if source.count("/") != 1 or source.startswith((".", "/")):
        raise ExportFailed(
            f"there is no checkpoint {source}; give a diffusers folder, a .safetensors file, "
            "a name in the catalogue or a hub id like owner/name"
        )
    return fetch_repository(source, revision)


def _from_folder(folder: Path) -> Any:
    if not (folder / "model_index.json").is_file():
        raise ExportFailed(f"{folder} is no diffusers checkpoint: it has no model_index.json")
    # A repository may hold half-precision twins of its weights only under this name.
    variant = "fp16" if _only_variant(folder / "unet", "fp16") else None
    try:
        pipeline = StableDiffusionInpaintPipeline.from_pretrained(
            folder,
            torch_dtype=torch.float32,
            variant=variant,
            local_files_only=True,
            safety_checker=None,
            feature_extractor=None,
            image_encoder=None,
            requires_safety_checker=False,
        )
    except Exception as error:  # diffusers, transformers and safetensors have no common base
        raise ExportFailed(f"{folder} cannot be read as a Stable Diffusion checkpoint: {first_line(error)}") from error
    return _ready(pipeline)


def _only_variant(folder: Path, variant: str) -> bool:
    weights = [path.name for path in folder.glob("diffusion_pytorch_model*")]
    return bool(weights) and all(f".{variant}." in name for name in weights)


def _from_single_file(path: Path) -> Any:
    """The original layout holds weights only; its configs and tokenizer come from the hub's repository."""
    try:
        with safe_open(path, framework="pt") as file:
            keys = set(file.keys())
            if "model.diffusion_model.input_blocks.0.0.weight" not in keys:
                raise ExportFailed(
                    f"{path} is no checkpoint in the original Stable Diffusion layout "
                    "(it has no model.diffusion_model.*); is it a LoRA? Then fuse it with --lora"
                )
            channels = file.get_slice("model.diffusion_model.input_blocks.0.0.weight").get_shape()[1]
            widths = {file.get_slice(key).get_shape()[1] for key in keys if key.endswith("attn2.to_k.weight")}
    except (OSError, SafetensorError) as error:
        raise ExportFailed(f"{path} is no .safetensors file that can be read: {first_line(error)}") from error
    config, _ = fetch_repository(_config_repository(path, channels, widths), None, weights=False)
    try:
        pipeline = StableDiffusionInpaintPipeline.from_single_file(
            str(path),
            config=str(config),
            torch_dtype=torch.float32,
            local_files_only=True,
            safety_checker=None,
            feature_extractor=None,
            image_encoder=None,
        )
    except Exception as error:
        raise ExportFailed(
            f"{path} cannot be read as a Stable Diffusion checkpoint, with VAE and text encoder: {first_line(error)}"
        ) from error
    return _ready(pipeline)


def _config_repository(path: Path, channels: int, widths: set[int]) -> str:
    """Where configs and tokenizer of such weights are: SD1's text encoder is 768 wide, SD2's 1024."""
    if widths == {1024} and channels == 9:
        return "sd2-community/stable-diffusion-2-inpainting"
    if widths == {1024}:
        raise ExportFailed(
            f"{path} has Stable Diffusion 2's shape, and such a file does not tell whether it predicts noise or v; "
            "save it as a diffusers folder first"
        )
    if widths == {2048} or len(widths) != 1:
        raise ExportFailed(f"{path} is of another family (text {sorted(widths)} wide); only SD 1.x and 2.x can be run")
    if channels == 9:
        return "stable-diffusion-v1-5/stable-diffusion-inpainting"
    return "stable-diffusion-v1-5/stable-diffusion-v1-5"


def _ready(pipeline: Any) -> Any:
    for part in ("text_encoder", "unet", "vae"):
        getattr(pipeline, part).eval().requires_grad_(False)
    channels = pipeline.unet.config.in_channels
    if channels not in (4, 9):
        raise ExportFailed(f"its UNet takes {channels} channels; only inpainting (9) and text-to-image (4) can be run")
    if pipeline.unet.config.addition_embed_type is not None:
        raise ExportFailed("its UNet wants more than a prompt, as SDXL's does; only SD 1.x and 2.x can be run")
    return pipeline
