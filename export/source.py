"""Reading checkpoints of every shape into one diffusers pipeline, in float32 on the CPU; complete, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from accelerate import init_empty_weights
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    LCMScheduler,
    StableDiffusionInpaintPipeline,
    TCDScheduler,
    UNet2DConditionModel,
)
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from diffusers.utils.logging import disable_progress_bar, set_verbosity_error
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel
from transformers.utils import logging as transformers_logging

from cyclorama.engine.notes import note
from cyclorama.export.errors import ExportFailed
from cyclorama.export.request import check_source
from cyclorama.models.catalogue import CATALOGUE
from cyclorama.models.errors import first_line
from cyclorama.models.hub import fetch_repository
from cyclorama.models.weights import WeightFiles, choose_weights, lfs_pointers, other_family, read_json, why_no_weights

# The caller shows the stages; and a tiny VAE in the place of a KL one, of which they would warn, is meant.
disable_progress_bar()
set_verbosity_error()
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
_DISTILLED = {"lcm": LCMScheduler, "tcd": TCDScheduler}

# Tensors that a component may bring along, for they change nothing of what is computed here.
_IDLE = re.compile(r"(.*\.)?position_ids|text_projection\.weight|logit_scale|vision_model\..*|visual_projection\..*")
_NAMED = 3  # of the tensors that are missing or unknown
_WITHOUT = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def load_pipeline(source: str | Path, revision: str | None = None) -> tuple[Any, str | None]:
    """A checkpoint as a StableDiffusionInpaintPipeline, and the hub's commit where it came from there.

    source: a diffusers folder, a `.safetensors` file in the original Stable Diffusion layout, a
    name in the catalogue, or a hub id `owner/name`.
    Raises ExportFailed for what cannot be read or is not complete, DownloadFailed for what cannot be fetched.
    """
    check_source(source)
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
    except Exception as error:
        reason = first_line(error)
        raise ExportFailed(f"{source} is no tiny VAE (AutoencoderTiny) that can be read: {reason}") from error
    if kind != "AutoencoderTiny":
        raise ExportFailed(f"{source} is no tiny VAE (AutoencoderTiny) that can be read: it is of the class {kind}")
    return _component(path, AutoencoderTiny, "tiny VAE").eval()


def use_distilled_scheduler(pipeline: Any, distilled: str) -> None:
    """Gives the pipeline the scheduler that its distilled weights are sampled with (`lcm` or `tcd`)."""
    pipeline.scheduler = _DISTILLED[distilled].from_config(pipeline.scheduler.config)


def _fetch(source: str, revision: str | None) -> tuple[Path, str]:
    entry = CATALOGUE.get(source)
    if entry and entry.repository:
        return fetch_repository(entry.repository, revision or entry.revision)
    return fetch_repository(source, revision)


def _from_folder(folder: Path) -> Any:
    try:
        index = read_json(folder / "model_index.json")
    except (OSError, ValueError) as error:
        file = folder / "model_index.json"
        raise ExportFailed(f"{file} cannot be read ({first_line(error)}); fetch it again") from None
    family = other_family(index)
    if family:
        raise ExportFailed(f"{folder} is {family}; only Stable Diffusion 1.x and 2.x can be run")
    missing = [
        part for part in ("scheduler", "text_encoder", "tokenizer", "unet", "vae") if not (folder / part).is_dir()
    ]
    if missing:
        raise ExportFailed(f"{folder} has no {', '.join(missing)}; fetch the checkpoint again, as a whole")
    _check_configs(folder)
    for pointer in lfs_pointers(folder):
        raise ExportFailed(f"{pointer} {why_no_weights(pointer)}")
    try:
        _check_unet(UNet2DConditionModel.load_config(folder / "unet"))
        vae_class = str(AutoencoderKL.load_config(folder / "vae").get("_class_name"))
        networks = {
            "text_encoder": _component(folder / "text_encoder", CLIPTextModel, "text encoder"),
            "unet": _component(folder / "unet", UNet2DConditionModel, "UNet"),
            "vae": _component(
                folder / "vae", AutoencoderTiny if vae_class == "AutoencoderTiny" else AutoencoderKL, "VAE"
            ),
        }
        pipeline = StableDiffusionInpaintPipeline.from_pretrained(
            folder, torch_dtype=torch.float32, local_files_only=True, image_encoder=None, **networks, **_WITHOUT
        )
    except ExportFailed:
        raise
    except Exception as error:  # diffusers, transformers and safetensors have no common base
        raise ExportFailed(f"{folder} cannot be read as a Stable Diffusion checkpoint: {first_line(error)}") from error
    return _ready(pipeline)


def _check_configs(folder: Path) -> None:
    """Raises ExportFailed, naming the file, where a config is missing, damaged, or says too little."""
    wanted = {
        "text_encoder/config.json": "hidden_size", "unet/config.json": "in_channels", "vae/config.json": "_class_name",
        "scheduler/scheduler_config.json": "_class_name", "tokenizer/vocab.json": None,
    }  # fmt: skip
    for name, key in wanted.items():
        try:
            config = read_json(folder / name)
        except (OSError, ValueError) as error:
            raise ExportFailed(f"{folder / name} cannot be read ({first_line(error)}); fetch it again") from None
        if not config or (key is not None and key not in config):
            raise ExportFailed(f"{folder / name} does not say {key or 'any word'}; fetch it again")
    if not (folder / "tokenizer" / "merges.txt").is_file():
        raise ExportFailed(f"{folder / 'tokenizer'} has no merges.txt; fetch the checkpoint again, as a whole")
    scheduler = str(read_json(folder / "scheduler" / "scheduler_config.json")["_class_name"])
    if not hasattr(diffusers, scheduler):
        raise ExportFailed(f"{folder / 'scheduler'} is a {scheduler}, which diffusers does not have")


def _component(folder: Path, kind: Any, name: str) -> Any:
    """A network with all its weights, from a folder in the layout of diffusers and transformers."""
    files = choose_weights(path.name for path in folder.glob("*"))
    if files is None:
        there = sorted(path.name for path in folder.glob("*") if path.suffix in (".safetensors", ".bin"))
        found = f"only {', '.join(there[:_NAMED])}; is a shard or its index missing?" if there else "there are none"
        raise ExportFailed(
            f"{folder} holds no whole set of weights of the {name} ({found}); fetch the checkpoint again"
        )
    _check_files(folder, files)
    try:
        network, info = kind.from_pretrained(
            folder,
            torch_dtype=torch.float32,
            variant=files.variant,
            use_safetensors=files.is_safetensors,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told below, by name
            low_cpu_mem_usage=False,  # else what is missing is left without memory, and may fail before it is reported
        )
    except Exception as error:
        # Of an error that announces a list, its first entry tells more.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines[:2]) if lines and lines[0].endswith(":") else first_line(error)
        raise ExportFailed(f"{folder} cannot be read as a Stable Diffusion checkpoint: {reason}") from error
    mismatched = {}
    for told in info["mismatched_keys"]:  # by diffusers with both shapes, by transformers maybe without
        key, *shapes = (told,) if isinstance(told, str) else told
        mismatched[key] = f"{key} is {tuple(shapes[0])} and should be {tuple(shapes[1])}" if shapes else key
    _check_complete(f"the {name} in {folder}", info["missing_keys"], info["unexpected_keys"], mismatched)
    return network


def _check_files(folder: Path, files: WeightFiles) -> None:
    for name in files.names:
        if name.endswith(".safetensors"):
            why = why_no_weights(folder / name)
            if why:
                raise ExportFailed(f"{folder} cannot be read as a Stable Diffusion checkpoint: {name} {why}")


def _check_complete(
    what: str, missing: Iterable[str], unexpected: Iterable[str], mismatched: Mapping[str, str] | None = None
) -> None:
    """Raises ExportFailed, in one line, unless every weight was there and every tensor was used."""
    mismatched = mismatched or {}
    faults = []
    for text, keys in (
        ("lacks", sorted(set(missing) - mismatched.keys())),
        ("has tensors of another shape,", [mismatched[key] for key in sorted(mismatched)]),
        ("has tensors that do not belong to it,", sorted(key for key in unexpected if not _IDLE.fullmatch(key))),
    ):
        if keys:
            more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
            faults.append(f"{text} {', '.join(keys[:_NAMED])}{more}")
    if faults:
        raise ExportFailed(f"{what} {' and '.join(faults)}; fetch the checkpoint again, or save it anew from its tool")


def _from_single_file(path: Path) -> Any:
    """The original layout holds weights only; its configs and tokenizer come from the hub's repository."""
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise ExportFailed(f"{path} is no .safetensors file that can be read: {first_line(error)}") from error
    _check_parts(path, shapes)
    first = shapes["model.diffusion_model.input_blocks.0.0.weight"]
    if len(first) != 4:
        raise ExportFailed(f"{path} is damaged: its first convolution has the shape {first}; fetch it again")
    channels = first[1]
    widths = {shape[1] for key, shape in shapes.items() if re.match(r"model\..*attn2\.to_k\.weight$", key)}
    config, _ = fetch_repository(_config_repository(path, channels, widths), None, weights=False)
    tensors = load_file(path)
    try:
        with init_empty_weights():
            text_encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(config / "text_encoder"))
            unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(config / "unet"))
            vae = AutoencoderKL.from_config(AutoencoderKL.load_config(config / "vae"))
        is_open_clip = any(key.startswith("cond_stage_model.model.") for key in tensors)
        converted = {
            "UNet": (unet, lambda: convert_ldm_unet_checkpoint(tensors, unet.config)),
            "VAE": (vae, lambda: convert_ldm_vae_checkpoint(tensors, vae.config)),
            "text encoder": (
                text_encoder,
                lambda: (
                    convert_open_clip_checkpoint(text_encoder, tensors, prefix="cond_stage_model.model.")
                    if is_open_clip
                    else convert_ldm_clip_checkpoint(tensors)
                ),
            ),
        }
        for name, (network, convert) in converted.items():
            _fill(network, convert, f"the {name} in {path}")
        pipeline = StableDiffusionInpaintPipeline.from_pretrained(
            config,
            local_files_only=True,
            image_encoder=None,
            text_encoder=text_encoder,
            unet=unet,
            vae=vae,
            **_WITHOUT,
        )
    except ExportFailed:
        raise
    except Exception as error:
        raise ExportFailed(
            f"{path} cannot be read as a Stable Diffusion checkpoint, with VAE and text encoder: {first_line(error)}"
        ) from error
    return _ready(pipeline)


def _fill(network: Any, convert: Any, what: str) -> None:
    """Gives a network without memory its weights, all of them."""
    try:
        weights = convert()
    except KeyError as error:  # the converters take what they want to be there
        raise ExportFailed(f"{what} lacks {error.args[0]}; save the checkpoint anew from its tool") from None
    wanted = network.state_dict()
    mismatched = {
        key: f"{key} is {tuple(weights[key].shape)} and should be {tuple(wanted[key].shape)}"
        for key in wanted.keys() & weights.keys()
        if weights[key].shape != wanted[key].shape
    }
    _check_complete(what, wanted.keys() - weights.keys(), weights.keys() - wanted.keys(), mismatched)
    network.load_state_dict({key: weights[key].float() for key in wanted}, assign=True)


def _check_parts(path: Path, keys: Iterable[str]) -> None:
    """Raises ExportFailed, with what it is instead, unless all of a checkpoint's parts are in a file."""
    parts = {key.partition(".")[0] for key in keys}
    has_unet = any(key.startswith("model.diffusion_model.") for key in keys)
    if not has_unet and "model_ema" in parts:
        raise ExportFailed(f"{path} holds EMA weights only (model_ema.*); save it with those of the model itself")
    if "conditioner" in parts or any(key.startswith("model.diffusion_model.label_emb.") for key in keys):
        raise ExportFailed(f"{path} is a Stable Diffusion XL model; only Stable Diffusion 1.x and 2.x can be run")
    if any(re.search(r"(double|joint|single)_blocks\.", key) for key in keys):
        raise ExportFailed(f"{path} is a model of another family; only Stable Diffusion 1.x and 2.x can be run")
    if "model.diffusion_model.input_blocks.0.0.weight" not in keys:
        raise ExportFailed(
            f"{path} is no checkpoint in the original Stable Diffusion layout "
            "(it has no model.diffusion_model.*); is it a LoRA? Then fuse it with --lora"
        )
    for part, name in (("first_stage_model", "VAE"), ("cond_stage_model", "text encoder")):
        if part not in parts:
            raise ExportFailed(
                f"{path} holds no {name} ({part}.*), it was pruned; take the full file, or a diffusers folder"
            )
    if "model_ema" in parts:
        note(f"{path.name} also holds EMA weights (model_ema.*), which are passed over")


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
    return pipeline


def _check_unet(config: Mapping[str, Any]) -> None:
    channels = config.get("in_channels")
    if channels not in (4, 9):
        raise ExportFailed(f"its UNet takes {channels} channels; only inpainting (9) and text-to-image (4) can be run")
    for key in ("addition_embed_type", "class_embed_type", "encoder_hid_dim", "num_class_embeds"):
        if config.get(key) is not None:
            raise ExportFailed(
                f"its UNet wants more than a prompt ({key}), as SDXL's does; only SD 1.x and 2.x can be run"
            )
