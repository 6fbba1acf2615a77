"""Presets: what an option is where it was left open, by preset and by the model's distillation."""

from __future__ import annotations

import secrets
from dataclasses import fields
from typing import Any, Unpack

from cyclorama.engine.checks import checked_values, no_others, one_of
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.diffusion.samplers import default_spacing, make_sampler, not_followed
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.notes import note
from cyclorama.engine.options import PRESETS, GenerationKeywords, GenerationOptions, Preset, check_prompt

NEGATIVE_PROMPT = "duplicate, extra limbs, deformed, text, watermark, logo, frame, collage"
"""What no background should show; taken where there is guidance and none was given."""

RECIPES: dict[tuple[str | None, Preset], GenerationKeywords] = {
    (None, "balanced"): {
        "sampler": "dpmpp_2m_karras", "num_inference_steps": 8, "guidance_scale": 7.0, "guidance_interval": (0.0, 0.75),
    },
    (None, "quality"): {
        "sampler": "dpmpp_2m_karras", "num_inference_steps": 20, "guidance_scale": 7.0,
        "cache_interval": 3, "guidance_interval": (0.0, 0.75),
    },
    ("lcm", "fast"): {
        "sampler": "lcm", "num_inference_steps": 4, "guidance_scale": 1.0, "token_downsampling": True,
    },
    ("lcm", "balanced"): {"sampler": "lcm", "num_inference_steps": 6, "guidance_scale": 1.5},
    ("lcm", "quality"): {"sampler": "lcm", "num_inference_steps": 8, "guidance_scale": 1.5},
    ("tcd", "fast"): {
        "sampler": "tcd", "num_inference_steps": 4, "guidance_scale": 1.0, "token_downsampling": True,
    },
    ("tcd", "balanced"): {"sampler": "tcd", "num_inference_steps": 6, "guidance_scale": 1.0},
    ("tcd", "quality"): {"sampler": "tcd", "num_inference_steps": 8, "guidance_scale": 1.0},
}  # fmt: skip
"""Options by distillation (None: none) and preset; a model's manifest may say otherwise."""
_GUIDANCE_OF_EMBEDDED = 8.0  # what LCM checkpoints with a guidance embedding were shown most
_KEYWORDS = [own.name for own in fields(GenerationOptions) if own.name != "prompt"]


def resolve_options(
    model: ModelFolder, prompt: str, preset: Preset | None = None, **given: Unpack[GenerationKeywords]
) -> GenerationOptions:
    """Fills in what was left open (None) from the preset, or from the one that fits the model.

    A model's manifest may name the preset that fits it and change what a preset means for it; without a word of its own
    the preset is `quality`. `fast` needs a distilled model; for others a note says so and `balanced` is taken. An open
    seed is drawn at random. An open negative prompt is the manifest's, or else NEGATIVE_PROMPT, wherever there is
    guidance; an empty one stays empty.
    """
    no_others(given, _KEYWORDS)
    preset = model.manifest.get("preset") or "quality" if preset is None else preset
    one_of("preset", preset, PRESETS)
    asked = {name: value for name, value in given.items() if value is not None}
    check_prompt(prompt, asked.get("negative_prompt", ""))
    asked = checked_values(GenerationOptions, asked)
    values: dict[str, Any] = {"prompt": prompt, **_recipe(model, preset, asked), **asked}
    if model.time_cond_proj_dim is not None and values.get("negative_prompt"):
        raise InvalidOptions(
            f"{model.name} has guidance built in and takes no negative prompt; leave it out", option="negative_prompt"
        )
    has_guidance = values["guidance_scale"] > 1 and model.time_cond_proj_dim is None
    if has_guidance:
        values.setdefault("negative_prompt", model.manifest.get("negative_prompt", NEGATIVE_PROMPT))
    values.setdefault("seed", secrets.randbits(32))
    values.setdefault("timestep_spacing", model.timestep_spacing or default_spacing(values["sampler"]))
    options = GenerationOptions(**values)
    # Made once more for the picture; here it refuses what the sampler cannot do before any work is done.
    make_sampler(options.sampler, model.noise_schedule, options.num_inference_steps, options.timestep_spacing)
    for key, value in not_followed(options.sampler, model.scheduler_config).items():
        note(f"scheduler_config.json sets {key} to {value!r}, which {options.sampler} does not follow here")
    return options


def _recipe(model: ModelFolder, preset: Preset, asked: dict[str, Any]) -> dict[str, Any]:
    """What a preset means for a model, less what explicit options rule out."""
    own = model.manifest.get("presets", {})
    if preset == "fast" and model.distillation is None and preset not in own:
        note(f"{model.name} was not distilled for few steps, so the preset `balanced` is taken instead of `fast`")
        preset = "balanced"
    recipe: dict[str, Any] = {**RECIPES.get((model.distillation, preset), RECIPES[None, "quality"])}
    if model.time_cond_proj_dim is not None:
        recipe["guidance_scale"] = _GUIDANCE_OF_EMBEDDED
    recipe.update(own.get(preset, {}))
    if asked.get("token_downsampling"):
        recipe.pop("cache_interval", None)
    if asked.get("cache_interval", 1) > 1:
        recipe.pop("token_downsampling", None)
    return recipe
