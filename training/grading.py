"""Light and colour laid over a whole scene, and the words for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.canvas import Canvas, Picture, mix
from training.palette import COLOURS, SYNONYMS

_LUMA = np.array([0.3, 0.59, 0.11], np.float32)


def _grey(picture: Picture) -> Picture:
    return np.asarray((picture @ _LUMA)[..., None], np.float32)


def _contrast(picture: Picture, factor: float) -> Picture:
    return np.asarray((picture - picture.mean()) * factor + picture.mean(), np.float32)


def _haze(picture: Picture, canvas: Canvas) -> Picture:
    return mix(picture, canvas.vary((0.82, 0.84, 0.86), 0.04), canvas.between(0.35, 0.6))


_LIGHTING: tuple[tuple[tuple[str, ...], Callable[[Picture, Canvas], Picture]], ...] = (
    (("bright", "brightly lit", "in bright light", "light and airy", "high key", "bright and airy"),
     lambda p, c: mix(p, 1.0, c.between(0.2, 0.35)) * 1.05),
    (("dark", "dimly lit", "in dim light", "low key", "in the shadows", "darkened"),
     lambda p, c: p * np.float32(c.between(0.35, 0.55))),
    (("moody", "dramatic", "dramatic light", "cinematic", "moody atmosphere"),
     lambda p, c: mix(_contrast(p, 1.3), _grey(p), 0.3) * np.float32(c.between(0.55, 0.75))),
    (("in warm light", "warm tones", "with warm lighting", "cosy warm light", "warm"),
     lambda p, c: p * np.array([1.12, 1.0, c.between(0.68, 0.8)], np.float32)),
    (("in cool light", "cold tones", "with cool blue tones", "cold light", "cool"),
     lambda p, c: p * np.array([c.between(0.7, 0.82), 0.98, 1.15], np.float32)),
    (("hazy", "misty", "in haze", "foggy", "with fog"), _haze),
    (("pastel", "faded", "washed out", "muted colours"),
     lambda p, c: mix(mix(p, _grey(p), 0.35), 1.0, c.between(0.2, 0.35))),
    (("black and white", "monochrome", "in black and white"), lambda p, c: np.broadcast_to(_grey(p), p.shape)),
    (("vivid", "vibrant", "saturated colours", "colorful and vivid"),
     lambda p, c: _grey(p) + (p - _grey(p)) * np.float32(c.between(1.35, 1.6))),
)  # fmt: skip

_TINTS = ("in {} light", "with {} light", "{} tint", "{} toned", "bathed in {} light", "in {} tones", "with a {} glow")


def light(canvas: Canvas, picture: Picture) -> tuple[Picture, str]:
    """The picture in some light, and how people say it."""
    phrases, change = canvas.pick(_LIGHTING)
    return np.asarray(change(picture, canvas), np.float32), canvas.pick(phrases)


def tint(canvas: Canvas, picture: Picture) -> tuple[Picture, str]:
    """The picture washed in a named colour, and how people say it."""
    name = canvas.pick(tuple(COLOURS))
    wash = _grey(picture) * np.asarray(COLOURS[name], np.float32) / max(float(np.mean(COLOURS[name])), 0.2)
    said = canvas.pick((name, *SYNONYMS[name]))
    return mix(picture, wash, canvas.between(0.6, 0.9)), canvas.pick(_TINTS).format(said)
