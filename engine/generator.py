"""The main job: a photo and a sentence in, the photo on a new background out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from inspect import signature
from pathlib import Path
from threading import Event
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.engine.backends import Backend, Device, Tensor, choose_backend
from cyclorama.engine.checks import no_others, number, one_of, shown, whole_number, yes_or_no
from cyclorama.engine.compositing.finish import finish
from cyclorama.engine.cutout import cut_out
from cyclorama.engine.diffusion.frame import Frame
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.diffusion.networks import VAE, TextEncoder, UNet, guidance_scale_embedding
from cyclorama.engine.diffusion.samplers import make_sampler
from cyclorama.engine.errors import BadModel, Cancelled, InvalidOptions
from cyclorama.engine.growth import Best
from cyclorama.engine.machine import peak_memory
from cyclorama.engine.metadata import marked_as_painted
from cyclorama.engine.notes import collected_notes, note
from cyclorama.engine.options import GenerationOptions, Preset, resolve_options
from cyclorama.engine.photo import Source
from cyclorama.engine.picture import Result
from cyclorama.engine.scene import Scene
from cyclorama.engine.timing import timed
from cyclorama.models.store import resolve

Array = npt.NDArray[np.float32]

_CUTTING = [name for name in signature(cut_out).parameters if name != "photo"]
_PAINTING = [own.name for own in fields(GenerationOptions) if own.name != "prompt"]
_MOST_PAINTED = 10_000  # of which one is kept


@dataclass(frozen=True)
class Step:
    """One denoising step, done. `latents` are the sampler's own, `denoised` its estimate of the clean ones."""

    index: int
    total: int
    timestep: float
    latents: Array
    denoised: Array
    _finish: Any = field(repr=False)
    _preview: Any = field(repr=False)

    def preview(self) -> Image.Image:
        """The picture as it would be if this were the last step, at the working size. Costs a VAE decode."""
        image: Image.Image = self._preview(self.denoised)
        return image

    def result(self) -> Result:
        """The finished picture from this step: decoded, and composited at full size."""
        result: Result = self._finish(self.denoised)
        return result


@dataclass(frozen=True)
class Progress:
    """Where `paint` is: step `step` of attempt `attempt` (of `attempts`) at picture `picture` (of `pictures`).

    Both count from 0.  result: the picture, with the last step of its last attempt; else None.
    """

    picture: int
    pictures: int
    attempt: int
    attempts: int
    step: Step
    result: Result | None = None

    def preview(self) -> Image.Image:
        """As `Step.preview`."""
        return self.step.preview()


class Steps(Iterator[Step]):
    """The steps of one picture, and the options it is painted with, the seed among them."""

    def __init__(self, options: GenerationOptions, steps: Iterator[Step]) -> None:
        self.options = options
        self._steps = steps

    def __next__(self) -> Step:
        return next(self._steps)


class BackgroundGenerator:
    """A loaded model. Make one with `load`, then `prepare` a photo and `generate` as often as liked.

    Networks are compiled for the working size when it first comes. A generator and its scenes may be shared between
    threads: each picture is the one that would be painted alone. Threads wait for each other's network runs, so two
    pictures at once take as long as one after the other; two working sizes at once hold both compiled.
    """

    def __init__(self, folder: ModelFolder, backend: Backend, device: Device, exact: bool) -> None:
        self.folder = folder
        self.backend = backend
        self.device = device
        self._text_encoder = TextEncoder(folder, backend, device, exact)
        self.unet = UNet(folder, backend, device, exact)
        self.vae = VAE(folder, backend, device, exact)

    @classmethod
    def load(
        cls,
        model: str | Path = "nano",
        *,
        backend: Backend | Literal["auto"] = "auto",
        device: Device = "cpu",
        exact: bool = False,
    ) -> BackgroundGenerator:
        """Loads a model by its name in the catalogue or by its folder.

        backend: `auto` takes OpenVINO where the folder has IR and it runs on this machine, else
        ONNX Runtime. device: `cuda` takes ONNX Runtime's CUDA provider.  exact: float32 throughout,
        where OpenVINO would compute in bf16 on CPUs that can.
        Raises ModelNotFound, BadModel, BackendUnavailable.
        """
        one_of("backend", backend, ("auto", *get_args(Backend)))
        one_of("device", device, get_args(Device))
        yes_or_no("exact", exact)
        folder = ModelFolder(resolve(model))
        chosen = choose_backend(folder.has_ir, folder.has_onnx, backend, device)
        try:
            return cls(folder, chosen, device, exact)
        except BadModel as error:
            if backend != "auto" or chosen == "onnx" or not folder.has_onnx:
                raise
            note(f"{error}; using ONNX Runtime")
            return cls(folder, "onnx", device, exact)

    def prepare(self, photo: Source, *, size: int | None = None, **options: Any) -> Scene:
        """Everything about a photo that does not depend on the prompt.

        options: who the subject is and where it goes, as in `cut_out`.  size: side of the square whose area the
        working canvas has, in pixels; the model's own by default.
        Raises BadImage, NoSubject, InvalidOptions.
        """
        size = Frame.check_size(self.folder.native_size if size is None else size, self.folder.size_multiple)
        no_others(options, _CUTTING)
        cutout = cut_out(photo, **options)
        frame = Frame.fit(cutout.size, size, self.folder.size_multiple)
        image = frame.place_photo(cutout.foreground if cutout.is_placed else cutout.photo.rgb)
        scene = Scene(cutout, frame, image, frame.place_mask(cutout.alpha), self.vae, dict(cutout.seconds))
        if self.folder.is_inpainting:
            _ = scene.masked_image_latents
        return scene

    def generate(
        self,
        scene: Scene,
        prompt: str,
        preset: Preset | None = None,
        *,
        best_of: int = 1,
        good_enough: float | None = None,
        **options: Any,
    ) -> Result:
        """Paints a background from a prompt; options as in `paint`, of which this is the end."""
        no_others(options, [*_PAINTING, "latents", "cancelled"])
        result: Result | None = None
        for progress in self.paint(scene, prompt, preset, best_of=best_of, good_enough=good_enough, **options):
            result = progress.result
        assert result is not None
        return result

    def paint(
        self,
        scene: Scene,
        prompt: str,
        preset: Preset | None = None,
        *,
        count: int = 1,
        best_of: int = 1,
        good_enough: float | None = None,
        cancelled: Event | None = None,
        **options: Any,
    ) -> Iterator[Progress]:
        """Paints pictures, told step by step: what the command line, a page and a server stand on.

        count: so many pictures, with seeds in a row from `seed` on.  best_of: for each of them so many are painted,
        with seeds in a row, and that is kept whose subject grew least (see `engine.growth`).  good_enough: no more
        are painted for it, once the growth is no more than this share of the subject's area.  cancelled: looked at
        before each run of a network; once it is set, by whatever thread, Cancelled is raised from the iteration.
        options: as in `steps`.
        Raises InvalidOptions at once, not at the first step.
        """
        whole_number("count", count, 1, _MOST_PAINTED)
        whole_number("best_of", best_of, 1, _MOST_PAINTED)
        if good_enough is not None and best_of == 1:
            raise InvalidOptions("good_enough goes with best_of; say how many to paint at most")
        if good_enough is not None:
            number("good_enough", good_enough, 0, float("inf"))
        if cancelled is not None and not isinstance(cancelled, Event):
            raise InvalidOptions(f"cancelled must be a threading.Event, got {shown(cancelled)}")
        if count * best_of > 1 and options.get("latents") is not None:
            raise InvalidOptions("latents make the same picture whatever the seed; leave out count and best_of")
        first = self.steps(scene, prompt, preset, cancelled=cancelled, **options)
        seed = first.options.seed

        def several() -> Iterator[Progress]:
            for picture in range(count):
                chosen = Best(good_enough)
                for attempt in range(best_of):
                    at = picture * best_of + attempt
                    steps = (
                        first
                        if at == 0
                        else self.steps(scene, prompt, preset, cancelled=cancelled, **{**options, "seed": seed + at})
                    )
                    for step in steps:
                        if step.index + 1 < step.total:
                            yield Progress(picture, count, attempt, best_of, step)
                    result = step.result()
                    is_done = best_of == 1 or chosen.offer(result) or attempt + 1 == best_of
                    if best_of > 1 and is_done:
                        result = chosen.result
                    yield Progress(picture, count, attempt, best_of, step, result if is_done else None)
                    if is_done:
                        break

        return several()

    def steps(
        self,
        scene: Scene,
        prompt: str,
        preset: Preset | None = None,
        *,
        latents: Array | None = None,
        cancelled: Event | None = None,
        **options: Any,
    ) -> Steps:
        """The same work step by step: progress, previews and stopping early are the caller's.

        options: any field of `GenerationOptions` (`negative_prompt`, `num_inference_steps`,
        `guidance_scale`, `strength`, `seed`, `sampler`, `shadow`, `colour_match`); the preset fills in the rest.
        cancelled: see `paint`.  latents: initial unit Gaussian noise, (1, C, h/8, w/8), instead of that drawn from the
        seed.
        Raises InvalidOptions at once, not at the first step.
        """
        if not isinstance(scene, Scene):
            raise InvalidOptions(f"a scene is what `prepare` gives, got {shown(scene)}")
        no_others(options, _PAINTING)
        with collected_notes() as notes:
            resolved = resolve_options(self.folder, prompt, preset, **options)
            for remark in self._text_encoder.remarks(resolved.prompt):
                note(remark)
        if resolved.strength < 1 and scene.cutout.is_placed:
            raise InvalidOptions(
                f"strength {resolved.strength:g} lets the old background through, which the subject was moved away "
                "from; leave out either strength or its place"
            )
        if self.backend == "onnx":  # which computes every step in full
            resolved = replace(resolved, cache_interval=1, token_downsampling=False)
        shape = (1, self.folder.latent_channels, *scene.latent_mask(self.folder.vae_scale_factor).shape[2:])
        if latents is not None:
            latents = _checked_latents(latents, shape)
        return Steps(resolved, self._denoise(scene, resolved, shape, latents, tuple(notes), cancelled))

    def _denoise(
        self,
        scene: Scene,
        options: GenerationOptions,
        shape: tuple[int, ...],
        latents: Array | None,
        notes: tuple[str, ...],
        cancelled: Event | None,
    ) -> Iterator[Step]:
        check = partial(_stop_if, cancelled)
        check()
        seconds = dict.fromkeys(("text", "compile", "denoise", "decode", "composite"), 0.0)
        rng = np.random.default_rng(options.seed)

        def fresh_noise() -> Array:
            return rng.standard_normal(shape, np.float32)

        is_inpainting, time_cond_width = self.folder.is_inpainting, self.folder.time_cond_proj_dim
        has_guidance = options.guidance_scale > 1 and time_cond_width is None
        with timed(seconds, "text"):
            prompts = (options.negative_prompt, options.prompt) if has_guidance else (options.prompt,)
            guided_texts = self._text_encoder.encode(*prompts)
            is_guided_throughout = has_guidance and options.guidance_interval == (0, 1)
            texts = guided_texts if is_guided_throughout else self._text_encoder.encode(options.prompt)
        timestep_cond = (
            None if time_cond_width is None else guidance_scale_embedding(options.guidance_scale, time_cond_width)
        )
        sampler = make_sampler(
            options.sampler, self.folder.noise_schedule, options.num_inference_steps, options.timestep_spacing
        )
        total = len(sampler.timesteps)
        first = total - int(total * options.strength)

        noise = fresh_noise() if latents is None else latents
        if options.strength == 1:
            x = noise * np.float32(sampler.init_noise_sigma)
        else:
            x = sampler.add_noise(scene.image_latents, noise, first)
        mask = scene.latent_mask(self.folder.vae_scale_factor)
        if is_inpainting:
            condition = np.concatenate([(mask >= 0.5).astype(np.float32), scene.masked_image_latents], axis=1)

        with timed(seconds, "compile"):
            sample_shape = (1, self.folder.unet_config["in_channels"], *shape[2:])
            _held = self.unet.compile(sample_shape, texts.shape, options.token_downsampling)  # until this is painted
        start, stop = (first + share * (total - first) for share in options.guidance_interval)
        deep_features: Sequence[Tensor] = ()

        for i in range(first, total):
            with timed(seconds, "denoise"):
                sample = sampler.scale_model_input(x, i)
                if is_inpainting:
                    sample = np.concatenate([sample, condition], axis=1)
                is_guided = has_guidance and start <= i < stop
                if is_guided:
                    sample = np.concatenate([sample, sample])
                kept = deep_features[-len(sample) :] if (i - first) % options.cache_interval else ()
                output, deep_features = self.unet(
                    sample,
                    float(sampler.timesteps[i]),
                    guided_texts if is_guided else texts,
                    timestep_cond,
                    kept if len(kept) == len(sample) else (),
                    options.token_downsampling,
                    before_run=check,
                )
                if is_guided:
                    unconditional, conditional = output[:1], output[1:]
                    output = unconditional + np.float32(options.guidance_scale) * (conditional - unconditional)
                x, denoised = sampler.step(output, i, x, fresh_noise)
                if not is_inpainting:
                    photo = scene.image_latents
                    denoised = (1 - mask) * photo + mask * denoised
                    if i + 1 < total:
                        photo = sampler.add_noise(photo, noise, i + 1)
                    x = (1 - mask) * photo + mask * x
            yield Step(
                index=i - first,
                total=total - first,
                timestep=float(sampler.timesteps[i]),
                latents=x,
                denoised=x if i + 1 == total else denoised,
                _finish=lambda denoised: self._finish(scene, options, denoised, dict(seconds), notes, check),
                _preview=lambda denoised: self._preview(scene, options, denoised, check),
            )

    def _preview(
        self, scene: Scene, options: GenerationOptions, denoised: Array, check: Callable[[], None]
    ) -> Image.Image:
        check()
        painted = scene.frame.cut_photo(self.vae.decode(denoised))
        foreground, alpha = (
            np.asarray(Image.fromarray(pixels).resize(painted.size, Image.Resampling.LANCZOS))
            for pixels in (scene.cutout.foreground, scene.cutout.alpha)
        )
        wanted = scene.cutout.light if options.colour_match else None
        image, _ = finish(foreground, alpha, np.asarray(painted), shadow=options.shadow, light=wanted)
        return Image.fromarray(image)

    def _finish(
        self,
        scene: Scene,
        options: GenerationOptions,
        denoised: Array,
        seconds: dict[str, float],
        notes: tuple[str, ...],
        check: Callable[[], None],
    ) -> Result:
        check()
        with timed(seconds, "decode"):
            painted = scene.frame.cut_photo(self.vae.decode(denoised))
        cutout = scene.cutout
        with timed(seconds, "composite"):
            background = np.asarray(painted.resize(cutout.size, Image.Resampling.BICUBIC))
            wanted = cutout.light if options.colour_match else None
            image, background = finish(cutout.foreground, cutout.alpha, background, shadow=options.shadow, light=wanted)
        return Result(
            image=Image.fromarray(image),
            alpha=Image.fromarray(cutout.alpha),
            background=Image.fromarray(background),
            background_name=options.prompt,
            shadow=options.shadow,
            colour_match=options.colour_match,
            options=options,
            model=self.folder.name,
            backend=self.backend if self.device == "cpu" else f"{self.backend} ({self.device})",
            working_size=(scene.frame.width, scene.frame.height),
            seconds={**scene.seconds, **seconds},
            peak_memory=peak_memory(),
            notes=(*cutout.notes, *notes),
            icc_profile=cutout.photo.icc_profile,
            exif=cutout.photo.exif,
            xmp=marked_as_painted(cutout.photo.xmp),
        )


def _stop_if(cancelled: Event | None) -> None:
    if cancelled is not None and cancelled.is_set():
        raise Cancelled("the painting was cancelled")


def _checked_latents(latents: object, shape: tuple[int, ...]) -> Array:
    if not isinstance(latents, np.ndarray) or latents.shape != shape or latents.dtype.kind != "f":
        got = f"{latents.dtype} {latents.shape}" if isinstance(latents, np.ndarray) else shown(latents)
        raise InvalidOptions(f"latents must have the shape {shape} for this scene and be floats, got {got}")
    return latents.astype(np.float32)
