"""A photo made ready for painting: what does not depend on the prompt, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import numpy.typing as npt

from cyclorama.engine.cutout import Cutout
from cyclorama.engine.diffusion.frame import Frame
from cyclorama.engine.diffusion.networks import VAE
from cyclorama.engine.timing import timed

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A photo made ready once, for any number of prompts. May be shared between threads.

    cutout: the subject.  frame: how its canvas lies on what the model paints.  image: the photo there, (1, 3, h, w)
    in [-1, 1].  mask: what to paint, (1, 1, h, w) in 0..1.  masked_image_latents: the image with the painted
    part blanked, encoded, (1, C, h/8, w/8).  seconds: what making it took, per stage.
    """

    cutout: Cutout
    frame: Frame
    image: Array
    mask: Array
    vae: VAE = field(repr=False)
    seconds: dict[str, float]
    _latents: dict[str, Array] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def masked_image_latents(self) -> Array:
        """What a 9-channel UNet is shown of the photo."""
        return self._encoded("masked", lambda: self.image * (self.mask < 0.5))

    @property
    def image_latents(self) -> Array:
        """The whole canvas, encoded; wanted by 4-channel UNets and by strength below 1."""
        return self._encoded("whole", lambda: self.image)

    def _encoded(self, name: str, image: Callable[[], Array]) -> Array:
        with self._lock:
            if name not in self._latents:
                with timed(self.seconds, "vae_encode"):
                    self._latents[name] = self.vae.encode(image())
            return self._latents[name]

    def latent_mask(self, scale: int) -> Array:
        """The mask at the latents' size, by nearest pixel, as inpainting checkpoints were trained."""
        return self.mask[:, :, ::scale, ::scale]
