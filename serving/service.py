"""The engine at a server's service: loaded models, scenes kept for the photos last used, and orders carried out."""

from __future__ import annotations

import hashlib
import io
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from cyclorama import (
    Background,
    BackgroundGenerator,
    Cutout,
    Photo,
    Picture,
    Progress,
    Result,
    Scene,
    cut_out,
    load_photo,
)
from cyclorama.engine.arrays import Pixels
from cyclorama.engine.cancelling import cancelled_by, stop_if_cancelled
from cyclorama.engine.diffusion.tokenizer import ClipTokenizer
from cyclorama.engine.errors import BadImage, CycloramaError
from cyclorama.engine.growth import object_extension
from cyclorama.engine.machine import peak_memory
from cyclorama.engine.options import GenerationKeywords, Limits
from cyclorama.engine.photo import load_mask
from cyclorama.serving.jobs import Job
from cyclorama.serving.requests import LIMITS, MaskOrder, Order, Refused, in_own_words

_KEPT_BYTES = 256 * 1024 * 1024
_OF_SCENES = frozenset({"photo", "mask", "edges", "vae_encode"})  # stages
_OWN_SPACING = ("dpmpp_2m_karras", "lcm", "tcd")
_ALPHA_KINDS = ("LA", "RGBA", "PA", "La", "RGBa")


@dataclass(frozen=True)
class Answer:
    """What came of an order. pictures: the files' bytes.  facts: for the extra field `cyclorama` of the answer.

    about: of the request.  size: WIDTHxHEIGHT.  text_tokens: of the prompt.
    image_tokens: positions that the UNet worked at, of all pictures.
    """

    pictures: list[bytes] = field(repr=False)
    facts: dict[str, Any]
    about: dict[str, Any]
    size: str
    text_tokens: int = 0
    image_tokens: int = 0

    @property
    def nbytes(self) -> int:
        """Of the pictures."""
        return sum(len(picture) for picture in self.pictures)


@dataclass(frozen=True)
class Model:
    """A started model."""

    name: str
    generator: BackgroundGenerator

    @cached_property
    def tokenizer(self) -> ClipTokenizer:
        """The prompts' own, for counting."""
        return ClipTokenizer(self.generator.folder.path / "tokenizer")


class Service:
    """Carries out orders, one at a time or several. May be shared between threads.

    models: the generators that requests may choose from, by name; the first is the default.  limits: as the generators
    have them.  kept_bytes: of photos, cut-outs and scenes that are kept, so that a second prompt on a photo costs
    neither mask nor encoding.
    """

    def __init__(
        self, models: Mapping[str, BackgroundGenerator], limits: Limits = LIMITS, kept_bytes: int = _KEPT_BYTES
    ) -> None:
        self.models = {name: Model(name, generator) for name, generator in models.items()}
        self.limits = limits
        self._kept = _Kept(kept_bytes)

    @property
    def kept_bytes(self) -> int:
        """What is kept now."""
        return self._kept.nbytes

    def check(self, order: Order) -> Model:
        """The model of an order. Raises Refused, before anything is put in line."""
        name = order.model or next(iter(self.models))
        if name not in self.models:
            raise Refused(
                f"there is no model {name[:50]!r} here; choose one of {', '.join(self.models)}", option="model"
            )
        generator = self.models[name].generator
        if order.backdrop is None:
            given = order.painting
            with in_own_words():
                resolved = generator.resolve(order.prompt, order.preset, **given)
            if "timestep_spacing" in given and resolved.sampler in _OWN_SPACING:
                raise Refused(
                    f"timestep_spacing: {resolved.sampler} has its own; name another sampler", option="timestep_spacing"
                )
            if "guidance_interval" in given and resolved.guidance_scale <= 1:
                raise Refused(
                    "guidance_interval: there is no guidance at a guidance_scale of 1 or less",
                    option="guidance_interval",
                )
            if generator.backend == "onnx":
                for own, full in (("cache_interval", 1), ("token_downsampling", False)):
                    if order.painting.get(own, full) != full:
                        raise Refused(f"{own}: ONNX Runtime runs every step in full; leave it out", option=own)
            wanted = order.counting.get("count", 1) * order.counting.get("best_of", 1)
            if wanted > self.limits.count:
                raise Refused(f"n x best_of is at most {self.limits.count} here, got {wanted}", option="n")
        return self.models[name]

    def paint(self, order: Order, job: Job, part: tuple[float, float] = (0.0, 1.0)) -> Answer:
        """Carries out an edit: in the thread of a worker. Raises CycloramaError.

        part: of the job's progress that this is, from and to.
        """
        with in_own_words(order.has_size), cancelled_by(job.cancelled):
            return self._paint(order, self.check(order), job, part)

    def _paint(self, order: Order, model: Model, job: Job, part: tuple[float, float]) -> Answer:
        photo = self.photo(order.photo, job.owner)
        subject = _loaded_hints(order.subject, photo)
        size = subject.pop("size", None)
        if order.mask is not None:
            with _blamed_on("mask"):
                subject["mask"] = _mask(order.mask, order.mask_kind, photo)
                if (subject["mask"] == 255).all() and subject.keys() == {"mask"}:
                    same = [_untouched(photo)] * order.counting.get("count", 1)
                    return _answer(order, same, {"notes": ["the mask leaves nothing to repaint"]})
        cutout = self.cutout(order.photo, subject, job.owner)
        if order.backdrop is not None:
            return _answer(order, [self._on_given(order, cutout)], {})
        key = _key(job.owner, _digest(order.photo), subject)
        scene_key = (job.owner, "scene", *key, model.generator.folder.vae_key, size)
        known = _OF_SCENES if self._kept.has(scene_key) else frozenset()
        scene: Scene = self._kept.get(
            scene_key, lambda: model.generator.prepare(cutout, size=size), lambda one: one.nbytes
        )
        results: list[Result] = []
        painting: GenerationKeywords = dict(order.painting)  # type: ignore[assignment]
        shown, last = 0, time.monotonic()
        for progress in model.generator.paint(
            scene, order.prompt, order.preset, **order.counting, cancelled=job.cancelled, **painting
        ):
            done = _share_done(progress)
            job.progress = part[0] + done * (part[1] - part[0])
            if shown < order.partial_images and _is_time_for(shown, order.partial_images, done):
                job.partials.append(_encoded(progress.preview(), order))
                shown += 1
            every = order.preview_seconds
            if every is not None and time.monotonic() - last >= every:
                job.partials[:] = [_encoded(progress.preview(), order)]
                last = time.monotonic()
            job.changed()
            if progress.result is not None:
                results.append(progress.result)
        extra: dict[str, Any] = {"seed": results[0].seed, "model": model.name}
        if order.counting.get("best_of", 1) > 1:
            extra["growth"] = [round(object_extension(result), 4) for result in results]
        if len(results) > 1:
            extra["seeds"] = [result.seed for result in results]
        width, height = results[0].working_size
        return _answer(
            order, results, extra, len(model.tokenizer.encode(order.prompt)), width * height // 64 * len(results), known
        )

    def mask(self, order: MaskOrder, job: Job) -> Answer:
        """Finds a subject: in the thread of a worker. Raises CycloramaError."""
        with cancelled_by(job.cancelled):
            cutout = self.cutout(order.photo, order.subject, job.owner)
        if order.kind == "cutout":
            picture = cutout.on(Background.transparent())
            data, seconds = picture.encode("png"), picture.seconds
        else:
            with io.BytesIO() as file:
                Image.fromarray(cutout.photo_alpha).save(file, "png")
                data, seconds = file.getvalue(), cutout.seconds
        width, height = cutout.photo.size
        facts = {"notes": list(cutout.notes), "doubt": _doubt(cutout), "seconds": _rounded(seconds)}
        return Answer([data], facts, {"output_format": "png"}, f"{width}x{height}")

    def photo(self, data: bytes, owner: str) -> Photo:
        """A photo from a file's bytes, kept for this owner. Raises BadImage."""

        def loaded() -> Photo:
            with _blamed_on("image"):
                return load_photo(data, self.limits.pixels)

        photo: Photo = self._kept.get((owner, "photo", _digest(data)), loaded, lambda one: one.rgb.nbytes)
        return photo

    def cutout(self, data: bytes, subject: Mapping[str, Any], owner: str) -> Cutout:
        """The subject of a photo, from the file's bytes, kept for this owner.

        subject: the fields of `SubjectOptions`; `keep` and `drop` may be files' bytes. What the mask network saw of the
        photo before is not looked at again. Raises BadImage, NoSubject, InvalidOptions, and Cancelled within
        `cancelled_by`.
        """
        photo, digest = self.photo(data, owner), _digest(data)
        asked = _loaded_hints(subject, photo)
        stop_if_cancelled()

        def found() -> Cutout:
            before = self._kept.last((owner, "cutout", digest))
            with _blamed_on(next((name for name in ("mask", "box", "keep", "drop") if name in asked), "image")):
                if isinstance(before, Cutout):
                    return before.revised(**asked)
                return cut_out(photo, most_pixels=self.limits.pixels, **asked)

        cutout: Cutout = self._kept.get(_key(owner, digest, asked), found, _cutout_bytes)
        stop_if_cancelled()
        return cutout

    def _on_given(self, order: Order, cutout: Cutout) -> Picture:
        assert order.backdrop is not None
        with _blamed_on("backdrop"):
            if order.backdrop == "transparent":
                background = Background.transparent()
            elif order.backdrop == "blur":
                background = cutout.out_of_focus()
            elif isinstance(order.backdrop, str):
                background = Background.colour(order.backdrop)
            else:
                background = Background.image(order.backdrop, self.limits.pixels)
        return cutout.on(background, **order.painting)


class _Kept:
    """The values last used, up to a number of bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[tuple[Any, ...], tuple[Any, Callable[[Any], int]]] = OrderedDict()
        self._lock = Lock()

    @property
    def nbytes(self) -> int:
        """Of all of them, by their own measure."""
        with self._lock:
            return sum(measure(value) for value, measure in self._values.values())

    def has(self, key: tuple[Any, ...]) -> bool:
        """Whether that key's value is kept."""
        with self._lock:
            return key in self._values

    def get(self, key: tuple[Any, ...], make: Callable[[], Any], measure: Callable[[Any], int]) -> Any:
        """The value of that key, made where there is none."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value = make()
        with self._lock:
            self._values[key] = (value, measure)
            total = sum(size(one) for one, size in self._values.values())
            while total > self._most and len(self._values) > 1:
                _, (dropped, size) = self._values.popitem(last=False)
                total -= size(dropped)
        return value

    def last(self, beginning: tuple[Any, ...]) -> Any:
        """The value last used of those whose key begins so."""
        with self._lock:
            for key in reversed(self._values):
                if key[: len(beginning)] == beginning:
                    return self._values[key][0]
        return None


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _loaded_hints(subject: Mapping[str, Any], photo: Photo) -> dict[str, Any]:
    asked = dict(subject)
    for name in ("keep", "drop"):
        if name in asked:
            with _blamed_on(name):
                asked[name] = load_mask(asked[name], photo.size, name)
    return asked


def _key(owner: str, digest: bytes, subject: Mapping[str, Any]) -> tuple[Any, ...]:
    parts = [
        (name, hashlib.sha256(value.tobytes()).digest() if isinstance(value, np.ndarray) else value)
        for name, value in sorted(subject.items())
    ]
    return (owner, "cutout", digest, *parts)


def _cutout_bytes(cutout: Cutout) -> int:
    """Beside its photo, which is kept as well."""
    arrays = (cutout.foreground, cutout.alpha, cutout.photo_alpha)
    return sum(array.nbytes for array in arrays) + cutout.looks.nbytes


@contextmanager
def _blamed_on(field_name: str) -> Iterator[None]:
    """An image that cannot be used is that field's."""
    try:
        yield
    except CycloramaError as error:
        if isinstance(error, BadImage) or error.option in ("colour", "background"):
            error.option = field_name
        raise


def _mask(data: bytes, kind: str, photo: Photo) -> Pixels:
    """The subject's alpha, of a mask that is OpenAI's (transparent where to repaint) or white over the subject."""
    if kind == "subject":
        return load_mask(data, photo.size)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "PNG":
                raise BadImage(f"a mask is a PNG, got {image.format}; or say mask_kind=subject", option="mask")
            has_alpha = image.mode in _ALPHA_KINDS or "transparency" in image.info
            # Its size is looked at before its pixels, which may be many.
            alpha = (
                np.asarray(image.convert("RGBA").getchannel("A")) if has_alpha and image.size == photo.size else None
            )
            size = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise BadImage("the mask cannot be read; send a PNG", option="mask") from None
    if not has_alpha:
        raise BadImage(
            "the mask has no transparency; make it transparent where the picture is to be repainted, or say "
            "mask_kind=subject if it is white over the subject",
            option="mask",
        )
    if alpha is not None and not alpha.any():
        raise BadImage(
            "the mask is transparent all over, so nothing would be kept; make it opaque over the subject", option="mask"
        )
    if alpha is None:
        raise BadImage(
            f"the mask is {size[0]}x{size[1]} but the photo is {photo.size[0]}x{photo.size[1]}; make it the size of "
            "the photo",
            option="mask",
        )
    return alpha


def _untouched(photo: Photo) -> Picture:
    """The photo itself, as a picture."""
    image = Image.fromarray(photo.rgb)
    full = Image.new("L", photo.size, 255)
    return Picture(
        image=image, alpha=full, background=image, background_name="the photo's own", seconds={},
        peak_memory=peak_memory(), notes=photo.notes,
        icc_profile=photo.icc_profile, exif=photo.exif, xmp=photo.xmp,
    )  # fmt: skip


def _share_done(progress: Progress) -> float:
    done = (progress.picture * progress.attempts + progress.attempt) * progress.step.total + progress.step.index + 1
    return done / (progress.pictures * progress.attempts * progress.step.total)


def _is_time_for(shown: int, wanted: int, done: float) -> bool:
    """Previews are spread over the painting, none of them at its end."""
    return (shown + 1) / (wanted + 1) <= done < 1


def _encoded(image: Image.Image, order: Order) -> bytes:
    with io.BytesIO() as file:
        options = {} if order.encoding.format == "png" else {"quality": order.encoding.quality or 80}
        image.convert("RGB").save(file, order.encoding.format, **options)
        return file.getvalue()


def _answer(
    order: Order,
    pictures: list[Any],
    extra: dict[str, Any],
    text_tokens: int = 0,
    image_tokens: int = 0,
    known: frozenset[str] = frozenset(),
) -> Answer:
    """known: stages whose work was done for an earlier request."""
    how = order.encoding
    start = time.perf_counter()
    files = [
        picture.encode(how.format, quality=how.quality, max_bytes=how.max_bytes, srgb=how.srgb) for picture in pictures
    ]
    seconds = {stage: value for stage, value in pictures[0].seconds.items() if stage not in known}
    for picture in pictures[1:]:
        for stage, value in picture.seconds.items():
            if stage not in _OF_SCENES:  # which were made once
                seconds[stage] = seconds.get(stage, 0.0) + value
    seconds["encode"] = time.perf_counter() - start
    notes = list(dict.fromkeys(note for picture in pictures for note in picture.notes)) + extra.pop("notes", [])
    width, height = pictures[0].image.size
    facts = {
        **extra, "notes": notes, "doubt": _doubt(pictures[0]), "seconds": _rounded(seconds), "preset": order.preset,
    }  # fmt: skip
    return Answer(files, facts, order.about, f"{width}x{height}", text_tokens, image_tokens)


def _doubt(found: Cutout | Picture) -> float | None:
    return None if found.doubt is None else round(found.doubt, 3)


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(value, 4) for stage, value in seconds.items()}
