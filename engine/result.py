"""What a generation gives back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from engine.options import GenerationOptions
from engine.photo import save_image


@dataclass(frozen=True)
class Result:
    """The picture and how it came to be.

    image: the photo on its new background, RGB, the photo's size.  alpha: the mask it was cut out
    with, L.  background: the painted background alone, RGB, the photo's size.  options: all that
    was asked for or filled in, the seed among it.  working_size: width and height that the model
    painted at.  seconds: wall time per stage.  peak_memory: of the process so far, in bytes.
    """

    image: Image.Image
    alpha: Image.Image
    background: Image.Image
    options: GenerationOptions
    model: str
    backend: str
    working_size: tuple[int, int]
    seconds: dict[str, float]
    peak_memory: int
    icc_profile: bytes | None = dataclasses.field(default=None, repr=False)
    exif: bytes | None = dataclasses.field(default=None, repr=False)

    @property
    def seed(self) -> int:
        """The seed that makes the same picture again."""
        return self.options.seed

    @property
    def parameters(self) -> str:
        """How the picture was made, in the lines that image tools know as `parameters`."""
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
            "Version": f"cyclorama {version('cyclorama')}",
        }
        return "\n".join([*lines, ", ".join(f"{key}: {value}" for key, value in facts.items())])

    def save(self, path: str | Path) -> None:
        """Writes the image (.png, .jpg or .webp), whole or not at all.

        It carries `parameters` and keeps the photo's colour profile and EXIF, less its GPS position.
        """
        save_image(self.image, Path(path), parameters=self.parameters, icc_profile=self.icc_profile, exif=self.exif)

    def summary(self) -> dict[str, Any]:
        """The facts as plain values, fit for JSON."""
        return {
            **dataclasses.asdict(self.options),
            "model": self.model,
            "backend": self.backend,
            "size": list(self.image.size),
            "working_size": list(self.working_size),
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
            "peak_memory": self.peak_memory,
        }
