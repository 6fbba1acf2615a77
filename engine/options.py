"""Everything that can be asked for, each option once: its name, type, limits, default, and what it does.

Standard library only and quick to import, for whatever shows options is made from `dataclasses.fields`: click's
options, a page's sliders, an API's schema. A field's metadata has `description` and, where there are limits, `ge`, `gt`
and `le`; pydantic's `TypeAdapter` reads these as its own. Every class checks itself and raises InvalidOptions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, get_args

from cyclorama.engine.checks import checked_fields, no_others, text
from cyclorama.engine.errors import InvalidOptions

if TYPE_CHECKING:
    from cyclorama.engine.photo import Source

T = TypeVar("T")

Backend = Literal["openvino", "onnx"]
Device = Literal["cpu", "cuda", "gpu", "npu"]
MaskModel = str | PathLike[str]
"""A name of the catalogue's or of rembg's; as a Path, an ONNX file."""
ImageFormat = Literal["png", "jpeg", "webp"]
Preset = Literal["fast", "balanced", "quality"]
SamplerName = Literal["ddim", "euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_karras", "lcm", "tcd"]
SpacingName = Literal["leading", "trailing", "linspace"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)

MOST_PIXELS = 89_000_000
"""Of a photo or a canvas."""
_RATIO = re.compile(r"(\d{1,6}(?:\.\d{1,6})?):(\d{1,6}(?:\.\d{1,6})?)")
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols that show nothing


def option(description: str, default: Any, **limits: float) -> Any:
    """A field with what its faces show of it."""
    return field(default=default, metadata={"description": description, **limits})


def read(kind: type[T], given: Mapping[str, Any], **more: Any) -> T:
    """Options from names and values. Raises InvalidOptions, with the nearest name where there is no such option."""
    no_others(given, [own.name for own in fields(kind) if own.name not in more])  # type: ignore[arg-type]
    return kind(**given, **more)


@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded."""

    backend: Backend | Literal["auto"] = option(
        "What runs the networks; auto is OpenVINO where the model has IR and it runs here, else ONNX Runtime.", "auto"
    )
    device: Device = option("cuda is ONNX Runtime's provider; gpu and npu are OpenVINO's devices.", "cpu")
    threads: int | None = option("Processor threads to run on; default: all cores there are.", None, ge=1, le=1024)
    exact: bool = option("Compute in float32 throughout, where the processor could do it in bfloat16.", False)

    def __post_init__(self) -> None:
        checked_fields(self)


@dataclass(frozen=True)
class Layout:
    """The subject's place."""

    canvas: str | None = option("square, 4:5, 16:9 ... or pixels as 1080x1350; default: the photo's.", None)
    subject_scale: float | None = option(
        "1 keeps the photo's pixels, 0.5 halves the subject; default: 1, or what fits the photo onto a smaller canvas.",
        None, ge=0.01, le=10,
    )  # fmt: skip
    subject_position: tuple[float, float] | None = option(
        "Of the room around the subject, how much is left of and above it; 0.5,1 is bottom centre; default: as in the "
        "photo, with fill the middle.",
        None, ge=0, le=1,
    )  # fmt: skip
    fill: float | None = option(
        "The share of the canvas, along the side that it fills most, that the subject takes; it is enlarged at most "
        "twice for that.",
        None, ge=0.05, le=1,
    )  # fmt: skip

    def __post_init__(self) -> None:
        checked_fields(self)
        if self.fill is not None and self.subject_scale is not None:
            raise InvalidOptions("fill and subject_scale both say how large the subject is; give one", option="fill")
        self.canvas_size((1, 1))

    def canvas_size(self, photo_size: tuple[int, int], subject_size: tuple[int, int] | None = None) -> tuple[int, int]:
        """Width and height of the canvas: of a ratio, the smallest that holds a photo of this size.

        subject_size: of the box around the subject, in pixels. With `fill`, a canvas that is not given in pixels is
        as large as keeps the subject's pixels as they are. Raises InvalidOptions.
        """
        is_filled = self.fill is not None and subject_size is not None
        if self.canvas is None and not is_filled:
            return photo_size
        shape = {"square": "1:1", None: f"{photo_size[0]}:{photo_size[1]}"}.get(self.canvas, self.canvas)
        assert shape is not None
        if match := _SIZE.fullmatch(shape):
            size = int(match[1]), int(match[2])
        elif match := _RATIO.fullmatch(shape):
            width, height = float(match[1]), float(match[2])
            if not 0.05 <= width / max(height, 1e-9) <= 20:
                raise InvalidOptions(f"a canvas has a shape from 1:20 to 20:1, got {self.canvas}", option="canvas")
            scale = max(photo_size[0] / width, photo_size[1] / height)
            if self.fill is not None and subject_size is not None:
                scale = max(subject_size[0] / width, subject_size[1] / height) / self.fill
            size = max(1, round(width * scale)), max(1, round(height * scale))
        else:
            raise InvalidOptions(
                f"a canvas is `square`, a ratio like 4:5 or a size like 1080x1350, got {self.canvas!r}", option="canvas"
            )
        if not 1 <= size[0] * size[1] <= MOST_PIXELS:
            raise InvalidOptions(
                f"a canvas has 1 to {MOST_PIXELS // 1_000_000} million pixels, got {size[0]}x{size[1]}", option="canvas"
            )
        return size


@dataclass(frozen=True)
class SubjectOptions(Layout):
    """Who the subject is, and its place.

    mask, keep, drop: a file, its bytes, an image or an array, the photo's size.  box: x, y, width, height in pixels of
    the upright photo. Mask model and hints help to find a mask, so they do not go with one; a matting model does.
    """

    mask: Any = option("A mask the size of the photo: white is the subject.", None)
    mask_model: MaskModel | None = option(
        "Which network finds the subject: u2net-int8 (in the package, the default), u2netp (in the package, smaller), "
        "another of the mask models, or an ONNX file.",
        None,
    )
    matting_model: MaskModel | None = option(
        "Which network refines the edge afterwards, where it is uncertain: vitmatte-small-distinctions-646 or another "
        "of the matting models, or an ONNX file; default: none.",
        None,
    )
    box: tuple[int, int, int, int] | None = option(
        "Close around the subject, in pixels: x, y, width, height.", None, ge=-(2**31), le=2**31
    )
    keep: Any = option("Brush mask: white over what is the subject.", None)
    drop: Any = option("Brush mask: white over what is not the subject.", None)

    def __post_init__(self) -> None:
        super().__post_init__()
        hints = (self.mask_model, self.box, self.keep, self.drop)
        if self.mask is not None and any(hint is not None for hint in hints):
            raise InvalidOptions(
                "a mask was given, and a mask model or a hint for one too; leave out either", option="mask"
            )


@dataclass(frozen=True)
class SceneOptions(SubjectOptions):
    """All that a prepared photo depends on, beside photo and model."""

    size: int | None = option(
        "Side of the square whose area is painted, in pixels; default: the model's own.", None, ge=8, le=2048
    )


@dataclass(frozen=True)
class GenerationOptions:
    """All that a picture depends on, beside photo and model; the names are diffusers'.

    cache_interval: DeepCache (Ma et al., 2024); ONNX Runtime runs every step in full.  guidance_interval:
    Kynkäänniemi et al., 2024.  token_downsampling: ToDo (Smith et al., 2024), for feature maps as large as SD1.5's at
    512 pixels; not on ONNX Runtime, and not with caching.
    """

    prompt: str = field(metadata={"description": "The background in one sentence; leave the subject out of it."})
    negative_prompt: str = option('What the background should not show; default: the model\'s own, "" for none.', "")
    num_inference_steps: int = option("Denoising steps.", 20, ge=1, le=1000)
    guidance_scale: float = option("How closely to follow the prompt; 1 is not at all.", 7.0, ge=0, le=50)
    strength: float = option("Below 1 the old background shines through.", 1.0, gt=0, le=1)
    seed: int = option("The same seed makes the same picture; random if left out.", 0, ge=0, le=2**63 - 1)
    sampler: SamplerName = option("The method that turns noise into a picture.", "dpmpp_2m_karras")
    timestep_spacing: SpacingName = option("How the steps are spread over the noise levels.", "leading")
    cache_interval: int = option(
        "Runs the full UNet every n-th step, and only its outer layers between.", 1, ge=1, le=100
    )
    guidance_interval: tuple[float, float] = option(
        "From and up to which share of the steps there is guidance.", (0.0, 1.0), ge=0, le=1
    )
    token_downsampling: bool = option("Cheaper self-attention on large feature maps.", False)
    shadow: bool = option("A soft shadow where the subject stands.", False)
    colour_match: bool = option("Bring the background nearer the photo's light.", False)

    def __post_init__(self) -> None:
        check_prompt(self.prompt, self.negative_prompt)
        checked_fields(self)
        if int(self.num_inference_steps * self.strength) < 1:
            raise InvalidOptions(
                f"strength {self.strength} of {self.num_inference_steps} steps leaves no step to run; "
                f"raise one of them (at least {1 / self.num_inference_steps:.2g} for strength)",
                option="strength",
            )
        start, stop = self.guidance_interval
        if not start < stop:
            raise InvalidOptions(
                f"guidance_interval must rise within 0 to 1, got {start:g} to {stop:g}", option="guidance_interval"
            )
        if self.token_downsampling and self.cache_interval > 1:
            raise InvalidOptions(
                f"token_downsampling goes without caching, got cache_interval {self.cache_interval}",
                option="token_downsampling",
            )
        if self.negative_prompt and self.guidance_scale <= 1:
            raise InvalidOptions(
                f"a negative prompt does nothing at guidance_scale {self.guidance_scale:g}; "
                "leave it out or use a guidance_scale above 1",
                option="negative_prompt",
            )


@dataclass(frozen=True)
class CountOptions:
    """How many pictures are painted, and which are kept."""

    count: int = option("Pictures, with seeds in a row from the seed on.", 1, ge=1, le=10_000)
    best_of: int = option("Paint this many and keep the one whose subject grew least.", 1, ge=1, le=10_000)
    good_enough: float | None = option(
        "With best_of: stop once it grew no more than this share of its area.", None, ge=0
    )

    def __post_init__(self) -> None:
        checked_fields(self)
        if self.good_enough is not None and self.best_of == 1:
            raise InvalidOptions("good_enough goes with best_of; say how many to paint at most", option="good_enough")


@dataclass(frozen=True)
class EncodeOptions:
    """How a picture becomes a file."""

    format: ImageFormat = option("The kind of file.", "png")
    quality: int | None = option("Of a JPEG or WebP; default: 95.", None, ge=1, le=100)
    max_bytes: int | None = option(
        "The most that the file may have; of a JPEG or WebP the quality is lowered until it fits.", None, ge=1
    )
    srgb: bool = option("Convert a photo's own colour profile to sRGB, which changes the subject's numbers.", False)

    def __post_init__(self) -> None:
        checked_fields(self)
        if self.format == "png" and self.quality is not None:
            raise InvalidOptions(
                "a PNG loses nothing and has no quality; leave it out, or write JPEG", option="quality"
            )


@dataclass(frozen=True)
class Limits:
    """The most that a generator accepts; a server sets its own."""

    pixels: int = option("Of a photo or a canvas.", MOST_PIXELS, ge=1, le=MOST_PIXELS)
    size: int = option("Working size, in pixels.", 2048, ge=8, le=2048)
    num_inference_steps: int = option("Denoising steps.", 1000, ge=1, le=1000)
    prompt_length: int = option("Of a prompt, in characters.", 100_000, ge=1)
    count: int = option("Pictures painted for one request, those that are not kept included.", 10_000, ge=1)

    def __post_init__(self) -> None:
        checked_fields(self)


class SubjectKeywords(TypedDict, total=False):
    """The fields of `SubjectOptions`, for type checkers; a test holds both equal."""

    canvas: str | None
    subject_scale: float | None
    subject_position: tuple[float, float] | None
    fill: float | None
    mask: Source | None
    mask_model: MaskModel | None
    matting_model: MaskModel | None
    box: tuple[int, int, int, int] | None
    keep: Source | None
    drop: Source | None


class SceneKeywords(SubjectKeywords, total=False):
    """The fields of `SceneOptions`, for type checkers."""

    size: int | None


class GenerationKeywords(TypedDict, total=False):
    """The fields of `GenerationOptions` but for the prompt, for type checkers; None is the preset's or the model's."""

    negative_prompt: str | None
    num_inference_steps: int | None
    guidance_scale: float | None
    strength: float
    seed: int | None
    sampler: SamplerName | None
    timestep_spacing: SpacingName | None
    cache_interval: int | None
    guidance_interval: tuple[float, float] | None
    token_downsampling: bool | None
    shadow: bool
    colour_match: bool


_NO_TEXT = re.compile("[\ud800-\udfff]")


def check_prompt(prompt: object, negative_prompt: object = "") -> None:
    """Refuses prompts that are no text, or that say nothing. Raises InvalidOptions."""
    for name, value in (("prompt", prompt), ("negative_prompt", negative_prompt)):
        if _NO_TEXT.search(text(name, value)):
            raise InvalidOptions(f"the {name} holds bytes that are no text; is the terminal set to UTF-8?", option=name)
    # Letters, numbers and symbols say something; spaces, marks, and what has no width do not.
    if not any(unicodedata.category(one)[0] in "LNS" and one not in _BLANK for one in str(prompt)):
        raise InvalidOptions(
            "the prompt is empty; describe the background, for example 'a sandy beach at sunset'", option="prompt"
        )
