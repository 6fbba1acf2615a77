"""The main job: a photo and a sentence in, the photo on a new background out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from os import PathLike
from threading import Event
from typing import Literal, Self, Unpack

import numpy as np
from PIL import Image

from cyclorama.engine.arrays import Array
from cyclorama.engine.backends import choose_backend
from cyclorama.engine.checks import no_others, shown
from cyclorama.engine.cutout import Cutout, cut_out
from cyclorama.engine.diffusion.frame import Frame
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.diffusion.networks import VAE, UNet
from cyclorama.engine.errors import BadModel, InvalidOptions
from cyclorama.engine.growth import Best
from cyclorama.engine.machine import available_memory
from cyclorama.engine.notes import collected_notes, note
from cyclorama.engine.options import (
    Backend,
    CountOptions,
    Device,
    GenerationKeywords,
    GenerationOptions,
    Limits,
    LoadOptions,
    Preset,
    SceneKeywords,
    SceneOptions,
)
from cyclorama.engine.painting import Networks, Painting, Step, Steps
from cyclorama.engine.photo import Source
from cyclorama.engine.picture import Result
from cyclorama.engine.presets import resolve_options
from cyclorama.engine.scene import Scene
from cyclorama.models.store import resolve

_logger = logging.getLogger("cyclorama")
_OF_SCENES = [own.name for own in fields(SceneOptions)]


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


class BackgroundGenerator:
    """A loaded model. Make one with `load`, then `prepare` a photo and `generate` as often as liked.

    Networks are compiled for the working size when it first comes. A generator and its scenes may be shared between
    threads: each picture is the one that would be painted alone. Threads wait for each other's network runs, so two
    pictures at once take as long as one after the other; two working sizes at once hold both compiled. `close`, or the
    end of a `with` block, gives the memory back.
    """

    def __init__(self, folder: ModelFolder, backend: Backend, options: LoadOptions, limits: Limits) -> None:
        self.folder = folder
        self.backend = backend
        self.device = options.device
        self.limits = limits
        self._networks: Networks | None = Networks.load(folder, backend, options)

    @classmethod
    def load(
        cls,
        model: str | PathLike[str] = "nano",
        *,
        backend: Backend | Literal["auto"] = "auto",
        device: Device = "cpu",
        threads: int | None = None,
        exact: bool = False,
        limits: Limits | None = None,
    ) -> Self:
        """Loads a model by its name in the catalogue (a str) or by its folder (a Path).

        backend: `auto` takes OpenVINO where the folder has IR and it runs on this machine, else ONNX Runtime.
        device: `cuda` is ONNX Runtime's provider, `gpu` and `npu` are OpenVINO's.  threads: of the processor; None is
        as many as there are cores, or as the container may use.  exact: float32 throughout, where OpenVINO would
        compute in bf16 on CPUs that can.  limits: what `prepare` and `paint` refuse beyond.
        Raises ModelNotFound, BadModel, BackendUnavailable, InvalidOptions.
        """
        options = LoadOptions(backend, device, threads, exact)
        if not isinstance(limits, Limits | None):
            raise InvalidOptions(f"limits must be Limits, got {shown(limits)}", option="limits")
        limits = limits or Limits()
        folder = ModelFolder(resolve(model))
        chosen = choose_backend(folder.has_ir, folder.has_onnx, options.backend, options.device)
        if folder.manifest.get("for_cuda") and device == "cpu":
            note(f"{folder.name} was exported for CUDA, and a CPU is slower in half precision; export it without")
        needed, left = folder.memory_needed(chosen), available_memory()
        if needed > left:
            note(
                f"{folder.name} takes about {needed / 1e9:.1f} GB of memory and {left / 1e9:.1f} GB are free; "
                "the system may end this process"
            )
        try:
            generator = cls(folder, chosen, options, limits)
        except BadModel as error:
            if backend != "auto" or chosen == "onnx" or not folder.has_onnx:
                raise
            note(f"{error}; using ONNX Runtime")
            generator = cls(folder, "onnx", options, limits)
        _logger.info("loaded %s from %s on %s (%s)", folder.name, folder.path, generator.backend, device)
        return generator

    def close(self) -> None:
        """Gives the networks' memory back; what is being painted is finished. Afterwards only `close` may be called."""
        self._networks = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def unet(self) -> UNet:
        """The network that is run at every step."""
        return self._loaded.unet

    @property
    def vae(self) -> VAE:
        """The network between pixels and latents."""
        return self._loaded.vae

    @property
    def _loaded(self) -> Networks:
        if self._networks is None:
            raise InvalidOptions("this generator was closed; load the model again")
        return self._networks

    def prepare(self, photo: Source | Cutout, **options: Unpack[SceneKeywords]) -> Scene:
        """Everything about a photo that does not depend on the prompt.

        photo: or its subject, cut out already; then only `size` may be given.  options: who the subject is and where it
        goes, as in `cut_out`.  size: side of the square whose area the working canvas has, in pixels; the model's own
        by default. The VAE encodes the photo with the first picture, or when `encode` is called.
        Raises BadImage, NoSubject, InvalidOptions.
        """
        no_others(options, _OF_SCENES)
        size = options.pop("size", None)
        multiple = self.folder.size_multiple
        size = min(self.folder.native_size, self.limits.size) if size is None else size
        size = Frame.check_size(size, multiple, self.limits.size)
        if isinstance(photo, Cutout):
            no_others(options, [])
            cutout = photo
        else:
            cutout = cut_out(photo, most_pixels=self.limits.pixels, **options)  # type: ignore[misc]
        frame = Frame.fit(cutout.size, size, multiple)
        image = frame.place_photo(cutout.foreground if cutout.is_placed else cutout.photo.rgb)
        mask = frame.place_mask(cutout.alpha)
        return Scene(cutout, frame, image, mask, self.folder.vae_key, dict(cutout.seconds))

    def encode(self, scene: Scene) -> None:
        """Runs the VAE encoder now rather than with the scene's first picture."""
        self._check_scene(scene)
        if self.folder.is_inpainting:
            scene.masked_image_latents(self.vae)
        else:
            scene.image_latents(self.vae)

    def generate(
        self,
        scene: Scene,
        prompt: str,
        preset: Preset | None = None,
        *,
        best_of: int = 1,
        good_enough: float | None = None,
        cancelled: Event | None = None,
        latents: Array | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> Result:
        """Paints a background from a prompt; options as in `paint`, of which this is the end."""
        painting = self.paint(
            scene, prompt, preset,
            best_of=best_of, good_enough=good_enough, cancelled=cancelled, latents=latents, **options,
        )  # fmt: skip
        result: Result | None = None
        for progress in painting:
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
        latents: Array | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> Iterator[Progress]:
        """Paints pictures step by step: what the command line, a page and a server stand on.

        count: paint this many, with seeds in a row from `seed` on.  best_of: paint this many for each of them, with
        seeds in a row, and keep the one whose subject grew least (see `engine.growth`).  good_enough: stop once the
        growth is no more than this share of the subject's area.  cancelled: looked at before each run of a network;
        once it is set, by whatever thread, Cancelled is raised from the iteration.  latents, options: as in `steps`.
        Raises InvalidOptions at once, not at the first step.
        """
        wanted = CountOptions(count, best_of, good_enough)
        if cancelled is not None and not isinstance(cancelled, Event):
            raise InvalidOptions(f"cancelled must be a threading.Event, got {shown(cancelled)}", option="cancelled")
        if count * best_of > self.limits.count:
            raise InvalidOptions(
                f"at most {self.limits.count} pictures are painted for one request, got {count * best_of}",
                option="count",
            )
        if count * best_of > 1 and latents is not None:
            raise InvalidOptions(
                "latents make the same picture whatever the seed; leave out count and best_of", option="latents"
            )
        first = self.steps(scene, prompt, preset, latents=latents, cancelled=cancelled, **options)

        def attempt(number: int) -> Steps:
            if number == 0:
                return first
            again: GenerationKeywords = {**options, "seed": first.options.seed + number}
            return self.steps(scene, prompt, preset, cancelled=cancelled, **again)

        return _pictures(attempt, wanted)

    def resolve(
        self, prompt: str, preset: Preset | None = None, **options: Unpack[GenerationKeywords]
    ) -> GenerationOptions:
        """All options that a picture would be painted with, checked before there is a photo. Raises InvalidOptions."""
        resolved = resolve_options(self.folder, prompt, preset, **options)
        self._check_limits(resolved)
        return resolved

    def steps(
        self,
        scene: Scene,
        prompt: str,
        preset: Preset | None = None,
        *,
        latents: Array | None = None,
        cancelled: Event | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> Steps:
        """The same work for one picture: progress, previews and stopping early are the caller's.

        options: any field of `GenerationOptions`; the preset fills in the rest.  cancelled: see `paint`.
        latents: initial unit Gaussian noise, (1, C, h/8, w/8), instead of that drawn from the seed.
        Raises InvalidOptions at once, not at the first step.
        """
        self._check_scene(scene)
        networks = self._loaded
        with collected_notes() as notes:
            resolved = self.resolve(prompt, preset, **options)
            for remark in networks.text_encoder.remarks(resolved.prompt):
                note(remark)
        if resolved.strength < 1 and scene.cutout.is_placed:
            raise InvalidOptions(
                f"strength {resolved.strength:g} lets the old background through, which the subject was moved away "
                "from; leave out either strength or its place",
                option="strength",
            )
        if self.backend == "onnx":  # which computes every step in full
            resolved = replace(resolved, cache_interval=1, token_downsampling=False)
        painting = Painting(networks, scene, resolved, tuple(notes), cancelled)
        if latents is not None:
            latents = _checked_latents(latents, painting.latents_shape)
        return Steps(resolved, painting.steps(latents))

    def _check_scene(self, scene: object) -> None:
        if not isinstance(scene, Scene):
            raise InvalidOptions(f"a scene is what `prepare` gives, got {shown(scene)}", option="scene")
        if scene.vae_key != self.folder.vae_key:
            raise InvalidOptions(
                f"the scene was prepared for another model than {self.folder.name}; prepare the photo with this one",
                option="scene",
            )

    def _check_limits(self, options: GenerationOptions) -> None:
        limits = self.limits
        for name, length in (("prompt", len(options.prompt)), ("negative_prompt", len(options.negative_prompt))):
            if length > limits.prompt_length:
                raise InvalidOptions(
                    f"the {name} has at most {limits.prompt_length} characters, got {length}", option=name
                )
        if options.num_inference_steps > limits.num_inference_steps:
            raise InvalidOptions(
                f"num_inference_steps must be at most {limits.num_inference_steps} here, "
                f"got {options.num_inference_steps}",
                option="num_inference_steps",
            )


def _pictures(attempt: Callable[[int], Steps], wanted: CountOptions) -> Iterator[Progress]:
    for picture in range(wanted.count):
        chosen = Best(wanted.good_enough)
        for i in range(wanted.best_of):
            where = partial(Progress, picture, wanted.count, i, wanted.best_of)
            for step in attempt(picture * wanted.best_of + i):
                if step.index + 1 < step.total:
                    yield where(step)
            result = step.result()
            is_done = wanted.best_of == 1 or chosen.offer(result) or i + 1 == wanted.best_of
            if wanted.best_of > 1 and is_done:
                result = chosen.result
            yield where(step, result if is_done else None)
            if is_done:
                break


def _checked_latents(latents: object, shape: tuple[int, ...]) -> Array:
    if not isinstance(latents, np.ndarray) or latents.shape != shape or latents.dtype.kind != "f":
        got = f"{latents.dtype} {latents.shape}" if isinstance(latents, np.ndarray) else shown(latents)
        raise InvalidOptions(f"latents must have the shape {shape} for this scene and be floats, got {got}")
    return latents.astype(np.float32)
