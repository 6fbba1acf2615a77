"""A photo made ready for painting: what does not depend on the prompt, computed once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from engine.cutout import Cutout
from engine.frame import Frame
from engine.networks import VAE
from engine.timing import timed

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A photo made ready once, for any number of prompts.

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

    @cached_property
    def masked_image_latents(self) -> Array:
        """What a 9-channel UNet is shown of the photo."""
        with timed(self.seconds, "vae_encode"):
            return self.vae.encode(self.image * (self.mask < 0.5))

    @cached_property
    def image_latents(self) -> Array:
        """The whole canvas, encoded; wanted by 4-channel UNets and by strength below 1."""
        with timed(self.seconds, "vae_encode"):
            return self.vae.encode(self.image)

    def latent_mask(self, scale: int) -> Array:
        """The mask at the latents' size, by nearest pixel, as inpainting checkpoints were trained."""
        return self.mask[:, :, ::scale, ::scale]
