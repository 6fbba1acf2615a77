"""A photo made ready for painting: what does not depend on the prompt, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy.typing as npt

from cyclorama.engine.arrays import Array
from cyclorama.engine.cutout import Cutout
from cyclorama.engine.diffusion.frame import Frame
from cyclorama.engine.diffusion.networks import VAE
from cyclorama.engine.timing import timed


@dataclass(frozen=True)
class Scene:
    """A photo made ready once, for any number of prompts. May be shared between threads, and pickled.

    cutout: the subject.  frame: how its canvas lies on what the model paints.  image: the photo there, (1, 3, h, w)
    in [-1, 1].  mask: what to paint, (1, 1, h, w) in 0..1.  vae_key: of the model that it was made for, see
    `ModelFolder.vae_key`.  seconds: what making it took, per stage.
    """

    cutout: Cutout
    frame: Frame
    image: Array
    mask: Array
    vae_key: str
    seconds: dict[str, float]
    _latents: dict[str, Array] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def nbytes(self) -> int:
        """What its arrays take, in bytes; what the VAE encoder makes of it is counted once it is there."""
        cutout = self.cutout
        arrays: list[npt.NDArray[Any]] = [
            self.image,
            self.mask,
            cutout.foreground,
            cutout.alpha,
            cutout.photo_alpha,
            cutout.photo.rgb,
        ]
        arrays += [*self._latents.values(), *([] if cutout.photo.alpha is None else [cutout.photo.alpha])]
        return sum({id(array): array.nbytes for array in arrays}.values()) + cutout.looks.nbytes

    def masked_image_latents(self, vae: VAE) -> Array:
        """What a 9-channel UNet is shown of the photo: the image with the painted part blanked, (1, C, h/8, w/8)."""
        return self._encoded("masked", vae, lambda: self.image * (self.mask < 0.5))

    def image_latents(self, vae: VAE) -> Array:
        """The whole canvas, encoded; wanted by 4-channel UNets and by strength below 1."""
        return self._encoded("whole", vae, lambda: self.image)

    def _encoded(self, name: str, vae: VAE, image: Callable[[], Array]) -> Array:
        with self._lock:
            if name not in self._latents:
                with timed(self.seconds, "vae_encode"):
                    self._latents[name] = vae.encode(image())
            return self._latents[name]

    def latent_mask(self, scale: int) -> Array:
        """The mask at the latents' size, by nearest pixel, as inpainting checkpoints were trained."""
        return self.mask[:, :, ::scale, ::scale]

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {**self.__dict__, "_latents": dict(self._latents), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "_lock": Lock()})
