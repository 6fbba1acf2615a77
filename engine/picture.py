"""What a generation gives back."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from cyclorama.engine.checks import shown
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.files import check_output, encode_image, fitting, image_format, write_whole
from cyclorama.engine.options import EncodeOptions, GenerationOptions
from cyclorama.engine.provenance import signer
from cyclorama.engine.tones import in_srgb


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The subject on a background, and how that came to be.

    image: RGB, the canvas's size; RGBA where the background is transparent.  alpha: what the subject was put there
    by, L.  background: what lies behind it, as image.  background_name: the given one's name, or the prompt.
    shadow, colour_match: whether the background was to get a shadow and the photo's light.
    seconds: wall time per stage.  peak_memory: of the process so far, whatever else it did, in bytes.
    notes: what a person should hear of this picture.  doubt: of its mask, see `Cutout`.
    """

    image: Image.Image
    alpha: Image.Image
    background: Image.Image
    background_name: str
    shadow: bool = False
    colour_match: bool = False
    seconds: dict[str, float]
    peak_memory: int
    notes: tuple[str, ...] = ()
    doubt: float | None = None
    icc_profile: bytes | None = dataclasses.field(default=None, repr=False)
    exif: bytes | None = dataclasses.field(default=None, repr=False)
    xmp: bytes | None = dataclasses.field(default=None, repr=False)

    @property
    def parameters(self) -> str:
        """How the picture was made, in the lines that image tools know as `parameters`."""
        facts = {"Background": self.background_name, **self._extras, **_version()}
        return ", ".join(f"{key}: {value}" for key, value in facts.items())

    @property
    def _painted_by(self) -> str | None:
        return None

    @property
    def _extras(self) -> dict[str, str]:
        wanted = {"Contact shadow": self.shadow, "Colour match": self.colour_match}
        return {name: "yes" for name, is_wanted in wanted.items() if is_wanted}

    def encode(
        self, format: str = "png", *, quality: int | None = None, max_bytes: int | None = None, srgb: bool = False
    ) -> bytes:
        """The image as the bytes of a file: `png`, `jpeg` or `webp`, in letters of either case.

        It carries `parameters`, and keeps the photo's colour profile and what `engine.metadata` keeps of its metadata.
        Signed where the environment says with what (`engine.provenance`).
        quality: of a JPEG or WebP, 1 to 100; 95 by default.  max_bytes: of the file; the highest quality up to
        `quality` is taken that fits.  srgb: converts from the photo's colour profile instead of keeping it.
        Raises InvalidOptions for another format, for what the format cannot hold, and where nothing fits.
        """
        options = EncodeOptions(format.lower() if isinstance(format, str) else format, quality, max_bytes, srgb)  # type: ignore[arg-type]
        image, profile = (in_srgb(self.image, self.icc_profile), None) if srgb else (self.image, self.icc_profile)
        about: dict[str, Any] = {
            "parameters": self.parameters, "icc_profile": profile, "exif": self.exif, "xmp": self.xmp,
        }  # fmt: skip
        signs = signer()

        def encoded(quality: int | None) -> bytes:
            data = encode_image(image, options.format.upper(), quality=quality, **about)
            return data if signs is None else signs.sign(data, options.format, self._painted_by)

        return fitting(encoded, options)

    def save(
        self, path: str | Path, *, quality: int | None = None, max_bytes: int | None = None, srgb: bool = False
    ) -> None:
        """Writes the image (.png, .jpg or .webp) by an atomic write; see `encode`.

        Raises InvalidOptions and CannotWrite.
        """
        if not isinstance(path, str | os.PathLike):
            raise InvalidOptions(f"a picture is saved to a path, got {shown(path)}")
        check_output(Path(path))
        data = self.encode(image_format(Path(path)), quality=quality, max_bytes=max_bytes, srgb=srgb)
        write_whole(Path(path), data)

    def summary(self) -> dict[str, Any]:
        """The facts as plain values, fit for JSON."""
        return {
            "background": self.background_name,
            "shadow": self.shadow,
            "colour_match": self.colour_match,
            "size": list(self.image.size),
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
            "peak_memory": self.peak_memory,
            "notes": list(self.notes),
            "doubt": None if self.doubt is None else round(self.doubt, 3),
        }


def _version() -> dict[str, str]:
    return {"Version": f"cyclorama {version('cyclorama')}"}


@dataclass(frozen=True, kw_only=True)
class Result(Picture):
    """A picture whose background was painted.

    options: all that was asked for or filled in, the seed among it.  working_size: width and height that the model
    painted at.
    """

    options: GenerationOptions
    model: str
    backend: str
    working_size: tuple[int, int]

    @property
    def seed(self) -> int:
        """The seed that makes the same picture again."""
        return self.options.seed

    @property
    def _painted_by(self) -> str:
        return self.model

    @property
    def parameters(self) -> str:
        """As for any picture; the first line is the prompt."""
        options = self.options
        lines = [options.prompt]
        if options.negative_prompt:
            lines.append(f"Negative prompt: {options.negative_prompt}")
        cheaper = {
            "Cache interval": (options.cache_interval, 1),
            "Guidance interval": ("{:g}-{:g}".format(*options.guidance_interval), "0-1"),
            "Token downsampling": (options.token_downsampling, False),
        }
        facts = {
            "Steps": options.num_inference_steps,
            "Sampler": options.sampler,
            "CFG scale": f"{options.guidance_scale:g}",
            "Seed": options.seed,
            "Size": f"{self.working_size[0]}x{self.working_size[1]}",
            "Model": self.model,
            "Denoising strength": f"{options.strength:g}",
            **{name: value for name, (value, plain) in cheaper.items() if value != plain},
            **self._extras,
            **_version(),
        }
        return "\n".join([*lines, ", ".join(f"{key}: {value}" for key, value in facts.items())])

    def summary(self) -> dict[str, Any]:
        """As for any picture, with all options."""
        return {
            **super().summary(),
            **dataclasses.asdict(self.options),
            "model": self.model,
            "backend": self.backend,
            "working_size": list(self.working_size),
        }
