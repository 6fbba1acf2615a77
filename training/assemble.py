"""The parts put together: a diffusers checkpoint in half precision that `export` reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from training.denoiser import SCHEDULE


def assemble(work: Path, out: Path) -> None:
    """Replaces the folder `out` by the checkpoint made of what was trained in `work`."""
    half = {"torch_dtype": torch.float16}
    pipeline = StableDiffusionInpaintPipeline(
        vae=AutoencoderTiny.from_pretrained(work / "vae", **half),
        text_encoder=CLIPTextModel.from_pretrained(work / "text_encoder", **half),
        tokenizer=CLIPTokenizer.from_pretrained(work / "tokenizer"),
        unet=UNet2DConditionModel.from_pretrained(work / "unet", **half),
        scheduler=DDIMScheduler(
            **SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="trailing"
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    unfinished = out.with_name(out.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    pipeline.save_pretrained(unfinished, safe_serialization=True)
    for config in unfinished.rglob("config.json"):  # says where the part lay on this machine
        facts = json.loads(config.read_text(encoding="utf-8"))
        facts.pop("_name_or_path", None)
        config.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    unfinished.rename(out)
