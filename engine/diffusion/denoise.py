"""The denoising loop: noise in, latents of a background out, a step at a time.

x: the sampler's own latents, (1, C, h, w).  denoised: its estimate of the clean ones.  Both float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cyclorama.engine.arrays import Array
from cyclorama.engine.backends import Tensor
from cyclorama.engine.diffusion.networks import TextEncoder
from cyclorama.engine.diffusion.samplers import NoiseSource, Sampler
from cyclorama.engine.options import GenerationOptions

Predict = Callable[[Array, float, Tensor, Sequence[Tensor]], tuple[Array, Sequence[Tensor]]]
"""What the UNet says: sample, timestep, texts and deep features to reuse -> its output, and its deep features."""


class Inpainting:
    """For UNets of nine channels, which are shown the mask and what lies outside it."""

    def __init__(self, mask: Array, masked_image_latents: Array) -> None:
        self._shown = np.concatenate([(mask >= 0.5).astype(np.float32), masked_image_latents], axis=1)

    def shown(self, sample: Array) -> Array:
        """What the UNet gets."""
        return np.concatenate([sample, self._shown], axis=1)

    def kept(self, x: Array, denoised: Array, i: int) -> tuple[Array, Array]:
        """After step i: nothing need be put back."""
        return x, denoised


class Blending:
    """For UNets of four channels: after each step the photo is put back where it is not painted.

    Avrahami et al., "Blended Latent Diffusion" (2023).
    """

    def __init__(self, mask: Array, image_latents: Array, noise: Array, sampler: Sampler) -> None:
        self._mask, self._photo, self._noise, self._sampler = mask, image_latents, noise, sampler

    def shown(self, sample: Array) -> Array:
        """What the UNet gets."""
        return sample

    def kept(self, x: Array, denoised: Array, i: int) -> tuple[Array, Array]:
        """After step i: the photo with as much noise as x has then, outside the mask."""
        photo = self._photo
        denoised = (1 - self._mask) * photo + self._mask * denoised
        if i + 1 < len(self._sampler.timesteps):
            photo = self._sampler.add_noise(photo, self._noise, i + 1)
        return (1 - self._mask) * photo + self._mask * x, denoised


class Guidance:
    """Classifier-free guidance (Ho and Salimans, 2022), on some of the steps from `first` to `total`."""

    def __init__(self, encoder: TextEncoder, options: GenerationOptions, is_built_in: bool) -> None:
        self._scale = np.float32(options.guidance_scale)
        self._interval = options.guidance_interval
        self._has = options.guidance_scale > 1 and not is_built_in
        prompts = (options.negative_prompt, options.prompt) if self._has else (options.prompt,)
        self._guided = encoder.encode(*prompts)
        throughout = self._has and options.guidance_interval == (0, 1)
        self.texts = self._guided if throughout else encoder.encode(options.prompt)

    def is_on(self, i: int, first: int, total: int) -> bool:
        """Whether step i is guided."""
        start, stop = (first + share * (total - first) for share in self._interval)
        return self._has and start <= i < stop

    def asked(self, sample: Array, is_on: bool) -> tuple[Array, Tensor]:
        """What the UNet is asked: with guidance twice, without the prompt and with it."""
        return (np.concatenate([sample, sample]), self._guided) if is_on else (sample, self.texts)

    def answer(self, output: Array, is_on: bool) -> Array:
        """What its answers come to."""
        if not is_on:
            return output
        unconditional, conditional = output[:1], output[1:]
        return unconditional + self._scale * (conditional - unconditional)


class CachedFeatures:
    """DeepCache (Ma et al., 2024): the UNet's inner layers run on every `interval`-th step, and are reused between."""

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._features: Sequence[Tensor] = ()

    def at(self, step: int, batch: int) -> Sequence[Tensor]:
        """What is reused at a step; nothing where the step runs in full.

        Of features with and without the prompt the latter half, where guidance has ended since. Where it has begun
        since there are too few, and the step runs in full.
        """
        kept = self._features[-batch:] if step % self._interval else ()
        return kept if len(kept) == batch else ()

    def keep(self, features: Sequence[Tensor]) -> None:
        """Those of the step that has just run."""
        self._features = features


def denoise(
    x: Array,
    sampler: Sampler,
    first: int,
    predict: Predict,
    conditioning: Inpainting | Blending,
    guidance: Guidance,
    cache_interval: int,
    fresh_noise: NoiseSource,
) -> Iterator[tuple[int, Array, Array]]:
    """From step `first` on: the step's number, x and denoised after it."""
    cached, total = CachedFeatures(cache_interval), len(sampler.timesteps)
    for i in range(first, total):
        is_guided = guidance.is_on(i, first, total)
        sample, texts = guidance.asked(conditioning.shown(sampler.scale_model_input(x, i)), is_guided)
        reused = cached.at(i - first, len(sample))
        output, features = predict(sample, float(sampler.timesteps[i]), texts, reused)
        cached.keep(features)
        x, denoised = sampler.step(guidance.answer(output, is_guided), i, x, fresh_noise)
        x, denoised = conditioning.kept(x, denoised, i)
        yield i, x, x if i + 1 == total else denoised
