"""Who does it: one engine in a process, which makes a row's picture and tells what came of it."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from cyclorama import Background, BackgroundGenerator, Cutout, Photo, Picture, Result, Scene, cut_out, load_photo
from cyclorama.batch.located import content, write
from cyclorama.batch.manifest import MASKS, Row, encoding
from cyclorama.engine.arrays import Pixels
from cyclorama.engine.errors import CycloramaError
from cyclorama.engine.files import image_format
from cyclorama.engine.growth import object_extension
from cyclorama.engine.machine import use_cores
from cyclorama.engine.options import GenerationOptions, SceneOptions
from cyclorama.places.check import broken_rules
from cyclorama.places.place import place

REVIEW = ".review"
"""The folder of small pictures for the review, within the output folder."""
_KEPT_SCENES = 2
_THUMBNAIL = 200  # pixels, the sides of the squares in which photo, mask and picture lie for the review
_PARENT_LOOK = 2.0  # seconds
_SCENE = frozenset(SceneOptions.__dataclass_fields__)
_PAINTING = frozenset(GenerationOptions.__dataclass_fields__) | {"best_of", "good_enough"}
_FINISHING = ("shadow", "colour_match")


@dataclass(frozen=True)
class How:
    """What all rows of a run have in common. threads: of each worker.  seed: of the run, see `seed_of`.

    place: whose rules each picture is held against.
    """

    folder: Path
    model: str | Path
    backend: str
    device: str
    threads: int
    exact: bool
    seed: int
    only_masks: bool
    place: str | None = None


_worker: Worker | None = None


def start(how: How) -> None:
    """Makes this process a worker, once; whoever asked for it being gone, it ends."""
    global _worker  # noqa: PLW0603
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run's own process says when to stop
    prepare(how)
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_LOOK)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
    _worker = Worker(how)


def prepare(how: How) -> None:
    """What this process, as a worker, does otherwise than another: fewer threads, and notes go into the journal."""
    logging.getLogger("cyclorama").setLevel(logging.ERROR)
    use_cores(how.threads)


def work(row: Row, key: str) -> dict[str, Any]:
    """In a worker: makes a row's picture, and the record of it."""
    assert _worker is not None
    return _worker.make(row, key)


def seed_of(row: Row, run: int) -> int:
    """Its own, or one that the photo's name and the run's seed make: whatever the order, the workers, the restarts."""
    given = row.options.get("seed")
    if given is not None:
        return int(given)
    return int.from_bytes(
        hashlib.sha256(f"{run} {row.photo.name}".encode("utf-8", "surrogateescape")).digest()[:4], "big"
    )


class Worker:
    """One engine, and the scenes last used: a second prompt on a photo pays for neither mask nor encoding."""

    def __init__(self, how: How) -> None:
        self._how = how
        self._scenes: OrderedDict[Any, Cutout | Scene] = OrderedDict()
        self._generator: BackgroundGenerator | None = None

    def make(self, row: Row, key: str) -> dict[str, Any]:
        """Writes a row's picture, whole, and tells of it; what cannot be done is told as well, at no other's cost."""
        start = time.perf_counter()
        record: dict[str, Any] = {"output": row.output, "photo": str(row.photo), "key": key}
        try:
            record |= self._made(row)
        except CycloramaError as error:
            record |= {"state": "failed", "error": {"code": error.code, "message": str(error)}}
        except (OSError, MemoryError) as error:
            told = f"{type(error).__name__}: {error}"
            record |= {"state": "failed", "error": {"code": "internal_error", "message": told}}
        return record | {"seconds": round(time.perf_counter() - start, 3)}

    def _made(self, row: Row) -> dict[str, Any]:
        facts: dict[str, Any]
        target = self._how.folder / row.output
        options = row.options
        scene_options = {name: value for name, value in options.items() if name in _SCENE and name != "size"}
        cutout = self._cutout(row.photo, scene_options)
        if self._how.only_masks:
            with BytesIO() as file:
                Image.fromarray(cutout.photo_alpha).save(file, "png")
                data = file.getvalue()
            picture, found, facts = None, cutout.doubt, {"notes": list(cutout.notes)}
        else:
            picture = self._picture(row, cutout)
            kind = image_format(target)
            data = picture.encode(kind, **encoding(options))
            found, facts = picture.doubt, {"notes": list(picture.notes)}
            if self._how.place is not None:
                facts["breaks"] = broken_rules(data, place(self._how.place))
            if isinstance(picture, Result):
                facts |= {"seed": picture.seed, "growth": round(object_extension(picture), 4)}
        write(target, data)
        self._keep_thumbnails(row, cutout, picture)
        doubt = None if found is None else round(found, 3)
        return {
            "state": "done", "sha256": hashlib.sha256(data).hexdigest(), "doubt": doubt,
            "soft": round(_soft(cutout.photo_alpha), 4), **facts,
        }  # fmt: skip

    def _cutout(self, photo: Path, options: dict[str, Any]) -> Cutout:
        given: dict[str, Any] = {name: content(value) if name in MASKS else value for name, value in options.items()}
        found = self._kept(("cutout", photo, str(options)), lambda: cut_out(load_photo(content(photo)), **given))
        assert isinstance(found, Cutout)
        return found

    def _picture(self, row: Row, cutout: Cutout) -> Picture:
        options = row.options
        given = options.get("background")
        if given is not None:
            finishing = {name: bool(options.get(name, False)) for name in _FINISHING}
            return cutout.on(cutout.out_of_focus() if given == "blur" else Background.named(given), **finishing)
        if self._generator is None:
            how = self._how
            self._generator = BackgroundGenerator.load(
                how.model, backend=how.backend, device=how.device, threads=how.threads, exact=how.exact,  # type: ignore[arg-type]
            )  # fmt: skip
        generator, size = self._generator, options.get("size")
        of_scene = {name: value for name, value in options.items() if name in _SCENE}
        scene = self._kept(("scene", row.photo, str(of_scene)), lambda: generator.prepare(cutout, size=size))
        assert isinstance(scene, Scene)
        painting = {
            name: value for name, value in options.items() if name in _PAINTING and name not in ("prompt", "seed")
        }
        return generator.generate(
            scene, options["prompt"], options.get("preset"), seed=seed_of(row, self._how.seed), **painting
        )

    def _kept(self, key: Any, make: Any) -> Any:
        if key not in self._scenes:
            self._scenes[key] = make()
            while len(self._scenes) > 2 * _KEPT_SCENES:
                self._scenes.popitem(last=False)
        self._scenes.move_to_end(key)
        return self._scenes[key]

    def _keep_thumbnails(self, row: Row, cutout: Cutout, picture: Picture | None) -> None:
        """Photo, mask and picture side by side, for the review."""
        photo: Photo = cutout.photo
        images = [Image.fromarray(photo.rgb), Image.fromarray(cutout.photo_alpha)]
        if picture is not None:
            images.append(picture.image.convert("RGB"))
        sheet = Image.new("RGB", (_THUMBNAIL * len(images), _THUMBNAIL), "white")
        for number, image in enumerate(images):
            small = image.copy()
            small.thumbnail((_THUMBNAIL - 4, _THUMBNAIL), reducing_gap=2)
            sheet.paste(
                small, (number * _THUMBNAIL + (_THUMBNAIL - small.width) // 2, (_THUMBNAIL - small.height) // 2)
            )
        with BytesIO() as file:
            sheet.save(file, "jpeg", quality=75)
            write(self._how.folder / REVIEW / thumbnail_name(row.output), file.getvalue())


def _soft(alpha: Pixels) -> float:
    """The share of a subject's alpha (H, W) that is half transparent with neither edge nor inside near: 0 to 1."""
    small = Image.fromarray(alpha)
    small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    least, most = (np.asarray(small.filter(kind(5))) for kind in (ImageFilter.MinFilter, ImageFilter.MaxFilter))
    return float(((least > 12) & (most < 243)).sum() / max(1, (np.asarray(small) > 12).sum()))


def thumbnail_name(output: str) -> str:
    """Of a picture's small pictures."""
    return f"{hashlib.sha256(output.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}.jpg"
