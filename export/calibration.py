"""What int8 networks are calibrated on: the inputs that they get while photos are really painted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclorama import BackgroundGenerator, BadImage, InvalidOptions, NoSubject, Result, Scene, load_photo
from cyclorama.engine.backends import Session, Shapes, Tensor
from cyclorama.engine.notes import note

Feeds = dict[str, NDArray[Any]]

_SHIPPED = Path(__file__).parent / "calibration_set"
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Calibration:
    """Photos and prompts to paint with, and how many of the UNet's inputs to keep of that. Raises InvalidOptions.

    photos: the subject of each is masked, as in any other use.  samples: 1 to 10,000, spread evenly over the photos.
    seed: of the noise, and of which steps are kept.
    """

    photos: tuple[Path, ...]
    prompts: tuple[str, ...]
    samples: int = 60
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.photos or len(self.prompts) < 2:
            raise InvalidOptions(
                f"calibration needs at least a photo and two prompts, got {len(self.photos)} and {len(self.prompts)}"
            )
        if not 1 <= self.samples <= 10_000:
            raise InvalidOptions(f"calibration takes 1 to 10,000 samples, got {self.samples}")

    @classmethod
    def load(cls, images: Path | None = None, prompts: Path | None = None) -> Calibration:
        """From a folder of photos and a text file with a prompt a line; the shipped ones where left out."""
        folder, file = images or _SHIPPED, prompts or _SHIPPED / "prompts.txt"
        try:
            photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidOptions(f"cannot read the calibration set: {error}") from error
        if not photos:
            raise InvalidOptions(f"there is no photo in {folder} to calibrate on ({', '.join(_SUFFIXES)})")
        return cls(tuple(photos), tuple(line for line in lines if line))

    def scenes(self, generator: BackgroundGenerator) -> list[Scene]:
        """The photos made ready at about the size that the model paints, so that nothing is enlarged or shrunk later.

        Those that cannot be read or show no subject are passed over. Raises InvalidOptions if all are.
        """
        ready = []
        for path in self.photos[: self.samples]:
            try:
                photo = Image.fromarray(load_photo(path).rgb)
                scale = generator.folder.native_size / (photo.width * photo.height) ** 0.5
                size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
                ready.append(generator.prepare(photo.resize(size, Image.Resampling.LANCZOS)))
            except (NoSubject, BadImage) as error:
                note(f"{path} is not calibrated on: {error}")
        if not ready:
            raise InvalidOptions("no calibration photo shows a subject; give others with --calibration-images")
        return ready

    def record(self, generator: BackgroundGenerator, scenes: list[Scene]) -> Iterator[Feeds]:
        """Paints each scene by the model's own preset, and yields some of the UNet's inputs meanwhile.

        Every step is computed in full, for what is left out is not fed. Each scene gives its share of the samples, with
        as many of the even prompts as that takes.
        """
        rng, prompts = np.random.default_rng(self.seed), cycle(self.prompts[::2])
        for i, scene in enumerate(scenes):
            wanted = self.samples // len(scenes) + (i < self.samples % len(scenes))
            while wanted:
                with recording(generator.unet, "session") as recorder:
                    generator.generate(
                        scene,
                        next(prompts),
                        seed=int(rng.integers(2**32)),
                        cache_interval=1,
                        token_downsampling=False,
                    )
                kept = sorted(rng.permutation(len(recorder.feeds))[:wanted])
                yield from (recorder.feeds[k] for k in kept)
                wanted -= len(kept)

    def results(self, generator: BackgroundGenerator, scenes: list[Scene]) -> list[Result]:
        """What the model makes of each scene with the odd prompts, on which it is not calibrated; seeds from 0 on."""
        return [
            generator.generate(scene, prompt, seed=i)
            for i, (scene, prompt) in enumerate(zip(scenes, cycle(self.prompts[1::2])))
        ]


class Recorder:
    """A session that keeps a copy of all that it is fed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.inputs, self.outputs = session.inputs, session.outputs
        self.feeds: list[Feeds] = []

    def compile(self, shapes: Shapes) -> object:
        """As the session itself."""
        return self._session.compile(shapes)

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As the session itself."""
        self.feeds.append({name: np.array(value, self.inputs[name].dtype) for name, value in feeds.items()})
        return self._session.run(feeds)

    def drop(self) -> None:
        """As the session itself."""
        self._session.drop()

    def release(self) -> None:
        """As the session itself."""
        self._session.release()


@contextmanager
def recording(owner: object, name: str) -> Iterator[Recorder]:
    """What the session that is this attribute of its owner is fed within the block."""
    session = getattr(owner, name)
    recorder = Recorder(session)
    setattr(owner, name, recorder)
    try:
        yield recorder
    finally:
        setattr(owner, name, session)
