"""One picture being painted: the networks' runs in order, each step a value that can be shown or finished."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event

import numpy as np
from PIL import Image

from cyclorama.engine.arrays import Array
from cyclorama.engine.backends import Tensor
from cyclorama.engine.compositing.composite import finish
from cyclorama.engine.diffusion.denoise import Blending, Guidance, Inpainting, denoise
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.diffusion.networks import VAE, TextEncoder, UNet, guidance_scale_embedding
from cyclorama.engine.diffusion.samplers import make_sampler
from cyclorama.engine.errors import Cancelled
from cyclorama.engine.machine import give_back_freed_memory, peak_memory
from cyclorama.engine.metadata import marked_as_painted
from cyclorama.engine.options import Backend, GenerationOptions, LoadOptions
from cyclorama.engine.picture import Result
from cyclorama.engine.scene import Scene
from cyclorama.engine.timing import timed

_logger = logging.getLogger("cyclorama")


@dataclass(frozen=True)
class Networks:
    """A loaded model: its networks, and what they were loaded from and on."""

    folder: ModelFolder
    where: str
    text_encoder: TextEncoder
    unet: UNet
    vae: VAE

    @classmethod
    def load(cls, folder: ModelFolder, backend: Backend, options: LoadOptions) -> Networks:
        """Raises BadModel and BackendUnavailable."""
        how = (backend, options.device, options.threads, options.exact)
        where = backend if options.device == "cpu" else f"{backend} ({options.device})"
        return cls(folder, where, TextEncoder(folder, *how), UNet(folder, *how), VAE(folder, *how))


@dataclass(frozen=True)
class Step:
    """One denoising step, done. `latents` are the sampler's own, `denoised` its estimate of the clean ones."""

    index: int
    total: int
    timestep: float
    latents: Array
    denoised: Array
    _painting: Painting = field(repr=False)

    def preview(self) -> Image.Image:
        """The picture as it would be if this were the last step, at the working size. Costs a VAE decode."""
        return self._painting.preview(self.denoised)

    def result(self) -> Result:
        """The finished picture from this step: decoded, and composited at full size."""
        return self._painting.result(self.denoised)


class Steps(Iterator[Step]):
    """The steps of one picture, and the options it is painted with, the seed among them."""

    def __init__(self, options: GenerationOptions, steps: Iterator[Step]) -> None:
        self.options = options
        self._steps = steps

    def __next__(self) -> Step:
        return next(self._steps)


class Painting:
    """One picture being painted."""

    def __init__(
        self,
        networks: Networks,
        scene: Scene,
        options: GenerationOptions,
        notes: tuple[str, ...] = (),
        cancelled: Event | None = None,
    ) -> None:
        self._networks, self._scene, self._options, self._notes = networks, scene, options, notes
        self._cancelled = cancelled
        self._seconds = dict.fromkeys(("text", "compile", "denoise", "decode", "composite"), 0.0)

    def _check(self) -> None:
        if self._cancelled is not None and self._cancelled.is_set():
            raise Cancelled("the painting was cancelled")

    @property
    def latents_shape(self) -> tuple[int, ...]:
        """Of what is denoised: (1, C, h, w)."""
        folder = self._networks.folder
        return (1, folder.latent_channels, *self._scene.latent_mask(folder.vae_scale_factor).shape[2:])

    def steps(self, latents: Array | None = None) -> Iterator[Step]:
        """The steps, beginning at noise drawn from the seed or at the given."""
        shape = self.latents_shape
        options, folder, unet, seconds = self._options, self._networks.folder, self._networks.unet, self._seconds
        self._check()
        rng = np.random.default_rng(options.seed)
        width = folder.time_cond_proj_dim
        with timed(seconds, "text"):
            guidance = Guidance(self._networks.text_encoder, options, is_built_in=width is not None)
        embedding = None if width is None else guidance_scale_embedding(options.guidance_scale, width)
        sampler = make_sampler(
            options.sampler, folder.noise_schedule, options.num_inference_steps, options.timestep_spacing
        )
        self._check()
        total = len(sampler.timesteps)
        first = total - int(total * options.strength)
        noise = rng.standard_normal(shape, np.float32) if latents is None else latents
        if options.strength == 1:
            x = noise * np.float32(sampler.init_noise_sigma)
        else:
            x = sampler.add_noise(self._scene.image_latents(self._networks.vae), noise, first)
        mask = self._scene.latent_mask(folder.vae_scale_factor)
        conditioning = (
            Inpainting(mask, self._scene.masked_image_latents(self._networks.vae))
            if folder.is_inpainting
            else Blending(mask, self._scene.image_latents(self._networks.vae), noise, sampler)
        )
        self._check()
        with timed(seconds, "compile"):
            sample_shape = (1, folder.unet_config["in_channels"], *shape[2:])
            _held = unet.compile(sample_shape, guidance.texts.shape, options.token_downsampling)  # until it is painted

        def predict(
            sample: Array, timestep: float, texts: Tensor, deep_features: Sequence[Tensor]
        ) -> tuple[Array, Sequence[Tensor]]:
            downsampling = options.token_downsampling
            return unet(sample, timestep, texts, embedding, deep_features, downsampling, before_run=self._check)

        loop = denoise(
            x, sampler, first, predict, conditioning, guidance, options.cache_interval,
            lambda: rng.standard_normal(shape, np.float32),
        )  # fmt: skip
        for _ in range(first, total):
            with timed(seconds, "denoise"):
                i, x, denoised = next(loop)
            _logger.debug("step %d of %d: %.3f s so far", i - first + 1, total - first, seconds["denoise"])
            yield Step(i - first, total - first, float(sampler.timesteps[i]), x, denoised, self)

    def preview(self, denoised: Array) -> Image.Image:
        """See `Step.preview`."""
        self._check()
        cutout = self._scene.cutout
        painted = self._scene.frame.cut_photo(self._networks.vae.decode(denoised))
        foreground, alpha = (
            np.asarray(Image.fromarray(pixels).resize(painted.size, Image.Resampling.LANCZOS))
            for pixels in (cutout.foreground, cutout.alpha)
        )
        wanted = cutout.light if self._options.colour_match else None
        image, _ = finish(foreground, alpha, np.asarray(painted), shadow=self._options.shadow, light=wanted)
        return Image.fromarray(image)

    def result(self, denoised: Array) -> Result:
        """See `Step.result`."""
        self._check()
        seconds, options, cutout = dict(self._seconds), self._options, self._scene.cutout
        with timed(seconds, "decode"):
            painted = self._scene.frame.cut_photo(self._networks.vae.decode(denoised))
        with timed(seconds, "composite"):
            background = np.asarray(painted.resize(cutout.size, Image.Resampling.BICUBIC))
            wanted = cutout.light if options.colour_match else None
            image, background = finish(cutout.foreground, cutout.alpha, background, shadow=options.shadow, light=wanted)
        give_back_freed_memory()
        _logger.info("painted seed %d in %.2f s", options.seed, sum(seconds.values()))
        return Result(
            image=Image.fromarray(image),
            alpha=Image.fromarray(cutout.alpha),
            background=Image.fromarray(background),
            background_name=options.prompt,
            shadow=options.shadow,
            colour_match=options.colour_match,
            options=options,
            model=self._networks.folder.name,
            backend=self._networks.where,
            working_size=(self._scene.frame.width, self._scene.frame.height),
            seconds={**self._scene.seconds, **seconds},
            peak_memory=peak_memory(),
            notes=(*cutout.notes, *self._notes),
            doubt=cutout.doubt,
            icc_profile=cutout.photo.icc_profile,
            exif=cutout.photo.exif,
            xmp=marked_as_painted(cutout.photo.xmp),
        )
