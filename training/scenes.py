"""Every scene: its name, and a captioned picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import grading, landscapes, photos, places, surfaces
from training.canvas import Canvas, Picture, blur
from training.captions import caption

_DRAWN = {name: (draw, weight) for name, draw, weight in (*landscapes.SCENES, *surfaces.SCENES, *places.SCENES)}

SCENES: tuple[str, ...] = tuple(sorted(_DRAWN))

# Share of the pictures that are crops of photographs, where there are photographs.
PHOTO_SHARE = 0.12

# A colour named over these would be mistaken for their own.
_COLOURED = {
    "studio", "gradient", "fabric", "bokeh", "neon", "brick", "woodwall", "woodtable", "marble", "concrete"
}  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A picture (H, W, 3), float32 in [0, 1], and what is said of it.

    scene: one of SCENES, or a photograph's own.
    """

    picture: Picture
    caption: str
    scene: str


def example(
    rng: np.random.Generator, height: int, width: int, *, photo_cache: Path | None = None, scene: str | None = None
) -> Example:
    """A random scene of that size; with a photo cache, sometimes a crop of a photograph."""
    canvas = Canvas(rng, height, width)
    if scene is None and photo_cache is not None and canvas.chance(PHOTO_SHARE):
        photo = canvas.pick(photos.PHOTOS)
        picture, said = photos.crop(photo, photo_cache, rng, height, width)
        return Example(picture, said, photo.scene)
    if scene is None:
        names = list(_DRAWN)
        weights = np.array([_DRAWN[name][1] for name in names])
        scene = str(rng.choice(names, p=weights / weights.sum()))
    drawn = _DRAWN[scene][0](canvas)
    picture = blur(drawn.picture.astype(np.float32), canvas.between(*drawn.defocus))
    picture = picture * np.float32(canvas.between(0.93, 1.07))
    if canvas.chance(0.5):
        picture = picture[:, ::-1]
    said = caption(canvas, drawn)
    if canvas.chance(0.2 if scene not in _COLOURED else 0.1):
        grade = grading.tint if scene not in _COLOURED and canvas.chance(0.45) else grading.light
        picture, phrase = grade(canvas, np.clip(picture, 0, 1))
        said = f"{said} {phrase}" if canvas.chance(0.7) else f"{phrase} {said}"
    return Example(np.clip(picture, 0, 1).astype(np.float32), said, scene)


def to_bytes(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Values of [0, 1] as bytes, dithered so that smooth gradients do not band."""
    return np.asarray(np.clip(picture * 255 + rng.random(picture.shape, dtype=np.float32), 0, 255), np.uint8)
