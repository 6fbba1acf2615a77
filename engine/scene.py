"""A photo made ready for painting: what does not depend on the prompt, computed once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from engine.edges import foreground_colours
from engine.frame import Frame
from engine.networks import VAE
from engine.photo import Photo, Pixels

Array = npt.NDArray[np.float32]


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Adds the wall time of the block to a stage."""
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class Scene:
    """A photo made ready once, for any number of prompts.

    alpha: the subject, (H, W) uint8.  image: the photo on the canvas, (1, 3, h, w) in [-1, 1].
    mask: what to paint, (1, 1, h, w) in 0..1.  masked_image_latents: the canvas with the painted
    part blanked, encoded, (1, C, h/8, w/8).  seconds: what making it took, per stage.
    """

    photo: Photo
    alpha: Pixels
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

    @cached_property
    def foreground(self) -> Pixels:
        """The photo (H, W, 3) with the subject's own colours where they are mixed with the old background's."""
        with timed(self.seconds, "edges"):
            if self.alpha is self.photo.alpha:
                return self.photo.rgb  # a cut-out holds its own colours already
            return foreground_colours(self.photo.rgb, self.alpha)

    def latent_mask(self, scale: int) -> Array:
        """The mask at the latents' size, by nearest pixel, as inpainting checkpoints were trained."""
        return self.mask[:, :, ::scale, ::scale]
