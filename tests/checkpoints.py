"""Diffusers checkpoints built on the spot: random weights, a few channels, every shape that matters."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tests.conftest import NANO_CHECKPOINT

# What sets each family of Stable Diffusion apart, on the smallest UNet that shows it.
UNETS: dict[str, dict[str, Any]] = {
    "sd15": {},
    "sd2": {"attention_head_dim": (2, 4), "use_linear_projection": True},
    "wide": {"block_out_channels": (16, 48), "layers_per_block": 2},
    "sdxs": {"mid_block_type": None, "layers_per_block": 1},
    "bk-sdm": {
        "block_out_channels": (16, 32, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "mid_block_type": None,
    },
    "tiny-sd": {
        "block_out_channels": (16, 32, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "mid_block_type": None,
    },
    "lcm": {"time_cond_proj_dim": 16},
}


def make_checkpoint(
    folder: Path,
    unet: str = "sd15",
    in_channels: int = 9,
    prediction_type: str = "epsilon",
    tiny_vae: bool = False,
    seed: int = 0,
) -> Path:
    """Saves a checkpoint with random weights from a seed and returns its folder."""
    torch.manual_seed(seed)
    width = 32
    config: dict[str, Any] = {
        "sample_size": 16,
        "in_channels": in_channels,
        "out_channels": 4,
        "block_out_channels": (16, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
        "cross_attention_dim": width,
        **UNETS[unet],
    }
    tokenizer = CLIPTokenizer.from_pretrained(NANO_CHECKPOINT / "tokenizer")
    text_config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        projection_dim=width,
    )
    pipeline = StableDiffusionInpaintPipeline(
        vae=make_tiny_vae() if tiny_vae else make_vae(),
        text_encoder=CLIPTextModel(text_config),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(**config),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type=prediction_type,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def make_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=128,
        scaling_factor=0.18215,
    )


def make_tiny_vae() -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )


def copy_nano(folder: Path) -> Path:
    """The embedded checkpoint, to be changed or damaged."""
    return Path(shutil.copytree(NANO_CHECKPOINT, folder))
