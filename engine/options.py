"""What a person can ask of a generation, checked; and the presets that fill in the rest."""

from __future__ import annotations

import dataclasses
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Literal

from cyclorama.engine.checks import number, one_of, several, text, whole_number, yes_or_no
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.diffusion.samplers import SAMPLERS, TIMESTEP_SPACINGS, default_spacing, make_sampler, not_followed
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.notes import note

Preset = Literal["fast", "balanced", "quality"]
PRESETS: tuple[Preset, ...] = ("fast", "balanced", "quality")
NEGATIVE_PROMPT = "duplicate, extra limbs, deformed, text, watermark, logo, frame, collage"
"""What no background should show; taken where there is guidance and none was given."""


@dataclass(frozen=True)
class GenerationOptions:
    """All that a picture depends on beside photo and model; names are diffusers'.

    num_inference_steps: 1 to 1000.  guidance_scale: 0 to 50; up to 1 there is no guidance.
    strength: above 0, up to 1 (1: the old background leaves no trace).  seed: 0 to 2**63 - 1.
    cache_interval: the UNet runs in full on every so many steps, 1 to 100, and on those between only its last layers
    (DeepCache; on ONNX Runtime always in full).  guidance_interval: from and up to which share of the steps there is
    guidance (Kynkäänniemi et al., 2024), 0 to 1.  token_downsampling: cheaper self-attention on large feature maps, as
    512 pixels have with SD1.5 (ToDo; not on ONNX Runtime); goes without caching.  shadow, colour_match: of the finished
    background: a soft shadow where the subject stands, and the photo's light (see `engine.compositing.finish.finish`).
    """

    prompt: str
    negative_prompt: str = ""
    num_inference_steps: int = 20
    guidance_scale: float = 7.0
    strength: float = 1.0
    seed: int = 0
    sampler: str = "dpmpp_2m_karras"
    timestep_spacing: str = "leading"
    cache_interval: int = 1
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    token_downsampling: bool = False
    shadow: bool = False
    colour_match: bool = False

    def __post_init__(self) -> None:
        check_prompt(self.prompt, self.negative_prompt)
        checked: dict[str, object] = {
            "num_inference_steps": whole_number("num_inference_steps", self.num_inference_steps, 1, 1000),
            "guidance_scale": number("guidance_scale", self.guidance_scale, 0, 50),
            "strength": number("strength", self.strength, 0, 1, above=True),
            "seed": whole_number("seed", self.seed, 0, 2**63 - 1),
            "sampler": one_of("sampler", self.sampler, SAMPLERS),
            "timestep_spacing": one_of("timestep_spacing", self.timestep_spacing, TIMESTEP_SPACINGS),
            "cache_interval": whole_number("cache_interval", self.cache_interval, 1, 100),
            "guidance_interval": tuple(
                number("guidance_interval", share, 0, 1)
                for share in several("guidance_interval", self.guidance_interval, 2)
            ),
            "token_downsampling": yes_or_no("token_downsampling", self.token_downsampling),
            "shadow": yes_or_no("shadow", self.shadow),
            "colour_match": yes_or_no("colour_match", self.colour_match),
        }
        for name, value in checked.items():  # plain values, where NumPy's or a list came in
            object.__setattr__(self, name, value)
        if int(self.num_inference_steps * self.strength) < 1:
            raise InvalidOptions(
                f"strength {self.strength} of {self.num_inference_steps} steps leaves no step to run; "
                f"raise one of them (at least {1 / self.num_inference_steps:.2g} for strength)"
            )
        start, stop = self.guidance_interval
        if not start < stop:
            raise InvalidOptions(f"guidance_interval must rise within 0 to 1, got {start:g} to {stop:g}")
        if self.token_downsampling and self.cache_interval > 1:
            raise InvalidOptions(f"token_downsampling goes without caching, got cache_interval {self.cache_interval}")
        if self.negative_prompt and self.guidance_scale <= 1:
            raise InvalidOptions(
                f"a negative prompt does nothing at guidance_scale {self.guidance_scale:g}; "
                "leave it out or use a guidance_scale above 1"
            )


_BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols that show nothing


def check_prompt(prompt: object, negative_prompt: object = "") -> None:
    """Refuses prompts that are no text, or that say nothing. Raises InvalidOptions."""
    for name, value in (("prompt", prompt), ("negative_prompt", negative_prompt)):
        if any("\ud800" <= character <= "\udfff" for character in text(name, value)):
            raise InvalidOptions(f"the {name} holds bytes that are no text; is the terminal set to UTF-8?")
    # Letters, numbers and symbols say something; spaces, marks, and what has no width do not.
    if not any(unicodedata.category(one)[0] in "LNS" and one not in _BLANK for one in str(prompt)):
        raise InvalidOptions("the prompt is empty; describe the background, for example 'a sandy beach at sunset'")


@dataclass(frozen=True)
class _Recipe:
    sampler: str
    num_inference_steps: int
    guidance_scale: float
    timestep_spacing: str | None = None  # None: the checkpoint's own
    cache_interval: int = 1
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    token_downsampling: bool = False


_RECIPES: dict[tuple[str | None, Preset], _Recipe] = {
    (None, "balanced"): _Recipe("dpmpp_2m_karras", 8, 7.0),
    (None, "quality"): _Recipe("dpmpp_2m_karras", 20, 7.0, cache_interval=3, guidance_interval=(0.0, 0.75)),
    ("lcm", "fast"): _Recipe("lcm", 4, 1.0, token_downsampling=True),
    ("lcm", "balanced"): _Recipe("lcm", 6, 1.5),
    ("lcm", "quality"): _Recipe("lcm", 8, 1.5),
    ("tcd", "fast"): _Recipe("tcd", 4, 1.0, token_downsampling=True),
    ("tcd", "balanced"): _Recipe("tcd", 6, 1.0),
    ("tcd", "quality"): _Recipe("tcd", 8, 1.0),
}
_GUIDANCE_OF_EMBEDDED = 8.0  # what LCM checkpoints with a guidance embedding were shown most


def resolve_options(
    model: ModelFolder,
    prompt: str,
    preset: Preset | None = None,
    *,
    negative_prompt: str | None = None,
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    strength: float = 1.0,
    seed: int | None = None,
    sampler: str | None = None,
    timestep_spacing: str | None = None,
    cache_interval: int | None = None,
    guidance_interval: tuple[float, float] | None = None,
    token_downsampling: bool | None = None,
    shadow: bool = False,
    colour_match: bool = False,
) -> GenerationOptions:
    """Fills in what was left open (None) from the preset, or from the one that fits the model.

    A model's manifest may name the preset that fits it and change what a preset means for it;
    without a word of its own the preset is `quality`. `fast` needs a distilled model; for others
    a note says so and `balanced` is taken. An open seed is drawn at random. An open negative prompt is the manifest's,
    or else NEGATIVE_PROMPT, wherever there is guidance; an empty one stays empty.
    """
    preset = model.manifest.get("preset") or "quality" if preset is None else preset
    one_of("preset", preset, PRESETS)
    check_prompt(prompt, "" if negative_prompt is None else negative_prompt)
    if cache_interval is not None:
        whole_number("cache_interval", cache_interval, 1, 100)
    if token_downsampling is not None:
        yes_or_no("token_downsampling", token_downsampling)
    own = model.manifest.get("presets", {})
    if preset == "fast" and model.distillation is None and preset not in own:
        note(f"{model.name} was not distilled for few steps, so the preset `balanced` is taken instead of `fast`")
        preset = "balanced"
    recipe = _RECIPES.get((model.distillation, preset), _RECIPES[None, "quality"])
    if model.time_cond_proj_dim is not None:
        recipe = dataclasses.replace(recipe, guidance_scale=_GUIDANCE_OF_EMBEDDED)
        if negative_prompt:
            raise InvalidOptions(f"{model.name} has guidance built in and takes no negative prompt; leave it out")
    recipe = dataclasses.replace(recipe, **own.get(preset, {}))
    guidance_scale = (
        recipe.guidance_scale if guidance_scale is None else number("guidance_scale", guidance_scale, 0, 50)
    )
    if negative_prompt is None:
        has_guidance = guidance_scale > 1 and model.time_cond_proj_dim is None
        negative_prompt = model.manifest.get("negative_prompt", NEGATIVE_PROMPT) if has_guidance else ""
    sampler = one_of("sampler", recipe.sampler if sampler is None else sampler, SAMPLERS)
    options = GenerationOptions(
        prompt=prompt,
        negative_prompt=negative_prompt,
        num_inference_steps=recipe.num_inference_steps if num_inference_steps is None else num_inference_steps,
        guidance_scale=guidance_scale,
        strength=strength,
        seed=secrets.randbits(32) if seed is None else seed,
        sampler=sampler,
        timestep_spacing=(recipe.timestep_spacing or model.timestep_spacing or default_spacing(sampler))
        if timestep_spacing is None
        else timestep_spacing,
        # Of these two, that which was asked for goes before that which the preset has.
        cache_interval=(1 if token_downsampling else recipe.cache_interval)
        if cache_interval is None
        else cache_interval,
        guidance_interval=recipe.guidance_interval if guidance_interval is None else guidance_interval,
        token_downsampling=(recipe.token_downsampling and (cache_interval or 1) == 1)
        if token_downsampling is None
        else token_downsampling,
        shadow=shadow,
        colour_match=colour_match,
    )
    # Made once more for the picture; here it refuses what the sampler cannot do before any work is done.
    make_sampler(options.sampler, model.noise_schedule, options.num_inference_steps, options.timestep_spacing)
    for key, value in not_followed(options.sampler, model.scheduler_config).items():
        note(f"scheduler_config.json sets {key} to {value!r}, which {options.sampler} does not follow here")
    return options
