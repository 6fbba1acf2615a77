"""Stand-ins for the subject of a photo: shapes like people, animals, cars and vessels, and what fills them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from training.canvas import Canvas, Picture, mix
from training.palette import COLOURS

Shape = NDArray[np.bool_]


def _ellipse(canvas: Canvas, cx: float, cy: float, rx: float, ry: float, angle: float = 0.0) -> Shape:
    """Centre in fractions of the frame, radii in short sides."""
    along, across = canvas.along(angle, cx, cy) / rx, canvas.along(angle + np.pi / 2, cx, cy) / ry
    return np.asarray(along**2 + across**2 < 1)


def _block(canvas: Canvas, cx: float, cy: float, rx: float, ry: float, power: float) -> Shape:
    """A box with rounded corners (a superellipse)."""
    along, across = np.abs(canvas.along(0.0, cx, cy) / rx), np.abs(canvas.along(np.pi / 2, cx, cy) / ry)
    return np.asarray(along**power + across**power < 1)


def person(canvas: Canvas) -> Shape:
    """Head, neck, shoulders, cut by the lower edge; or smaller, standing whole."""
    cx = canvas.between(0.2, 0.8)
    tall = canvas.height / canvas.short
    if canvas.chance(0.6):
        head = canvas.between(0.1, 0.2)
        cy = canvas.between(0.2, 0.55)
        shoulders = cy + (head * 1.2 + 0.5) / tall
        return (
            _ellipse(canvas, cx, cy, head * 0.78, head)
            | _block(canvas, cx, shoulders, head * canvas.between(1.7, 2.5), 0.5, 2.6)
            | _block(canvas, cx, cy + head * 0.9 / tall, head * 0.35, head * 0.6, 4)
            | (canvas.chance(0.4) & _ellipse(canvas, cx, cy + 0.3 * head / tall, head * 1.1, head * 1.3))
        )
    head = canvas.between(0.05, 0.09)
    foot = canvas.between(0.75, 1.05)
    length = head * 7.2 / tall
    at = foot - length
    spread = canvas.between(0.2, 0.9) * head
    shape = _ellipse(canvas, cx, at + head / tall, head * 0.8, head)
    shape |= _block(canvas, cx, at + 3.2 * head / tall, head * 1.5, head * 1.7, 3)
    for side in (-1, 1):
        leg = cx + side * spread * canvas.short / canvas.width
        shape |= _block(canvas, leg, foot - 1.6 * head / tall, head * 0.55, head * 2.0, 6)
    return shape


def animal(canvas: Canvas) -> Shape:
    """Body, head and legs on the ground, seen from the side; or a lumpy shape lying down."""
    cx, foot = canvas.between(0.3, 0.7), canvas.between(0.7, 1.0)
    tall, wide = canvas.height / canvas.short, canvas.width / canvas.short
    size = canvas.between(0.12, 0.25)
    if canvas.chance(0.4):
        around = np.hypot(
            canvas.along(0.0, cx, foot - size * 0.7 / tall) / (size * 1.6),
            canvas.along(np.pi / 2, cx, foot - size * 0.7 / tall) / size,
        )
        return np.asarray(around + 0.2 * canvas.noise(2.2) < 1)
    side = canvas.pick((-1, 1))
    body = foot - size * 1.2 / tall
    shape = _ellipse(canvas, cx, body, size * 1.3, size * 0.6)
    shape |= _ellipse(canvas, cx + side * size * 1.4 / wide, body - size * 0.6 / tall, size * 0.5, size * 0.45)
    shape |= _block(canvas, cx + side * size * 1.1 / wide, body - size * 0.3 / tall, size * 0.3, size * 0.5, 3)
    for leg in (-0.9, -0.6, 0.6, 0.9):
        shape |= _block(canvas, cx + leg * size / wide, foot - size * 0.5 / tall, size * 0.14, size * 0.6, 6)
    return shape


def car(canvas: Canvas) -> Shape:
    """Two boxes and two wheels."""
    cx, foot, size = canvas.between(0.35, 0.65), canvas.between(0.75, 0.95), canvas.between(0.12, 0.2)
    tall, wide = canvas.height / canvas.short, canvas.width / canvas.short
    shape = _block(canvas, cx, foot - size * 0.75 / tall, size * 2.2, size * 0.5, 5)
    shape |= _block(canvas, cx, foot - size * 1.35 / tall, size * 1.25, size * 0.55, 3)
    for wheel in (-1.3, 1.3):
        shape |= _ellipse(canvas, cx + wheel * size / wide, foot - size * 0.35 / tall, size * 0.4, size * 0.4)
    return shape


def vessel(canvas: Canvas) -> Shape:
    """A bottle with a neck, or a cup with a handle that encloses a hole."""
    cx, foot = canvas.between(0.3, 0.7), canvas.between(0.7, 0.98)
    rx, ry = canvas.between(0.08, 0.24), canvas.between(0.12, 0.3)
    tall, wide = canvas.height / canvas.short, canvas.width / canvas.short
    cy = foot - ry / tall
    shape = _block(canvas, cx, cy, rx, ry, canvas.pick((3, 5, 10)))
    if canvas.chance(0.5):
        return shape | _block(canvas, cx, cy - ry * 1.1 / tall, rx * 0.35, ry * 0.7, 8)
    at = cx + canvas.pick((-1, 1)) * rx / wide
    handle = _ellipse(canvas, at, cy, ry * 0.6, ry * 0.6) & ~_ellipse(canvas, at, cy, ry * 0.38, ry * 0.38)
    return shape | handle


def box(canvas: Canvas) -> Shape:
    """Products: one to three boxes and balls of different sizes on one ground line."""
    foot = canvas.between(0.7, 0.98)
    tall = canvas.height / canvas.short
    shape = np.zeros((canvas.height, canvas.width), bool)
    for _ in range(canvas.count(1, 4)):
        rx, ry = canvas.between(0.06, 0.2), canvas.between(0.08, 0.28)
        shape |= _block(canvas, canvas.between(0.25, 0.75), foot - ry / tall, rx, ry, canvas.pick((2, 3, 12)))
    return shape


_SHAPES = (person, person, person, animal, car, vessel, vessel, box)


def subject(canvas: Canvas) -> Shape:
    """(H, W): True where the subject is."""
    return np.asarray(canvas.pick(_SHAPES)(canvas), np.bool_)


def filled(canvas: Canvas, shape: Shape, texture: Picture | None) -> Picture:
    """What the subject shows, (H, W, 3) in [0, 1]: a texture, or patches of a few colours, rounded by light.

    texture: a picture of any content, same size; None for colours by name.
    """
    if texture is None:
        texture = canvas.fill(canvas.vary(COLOURS[canvas.pick(tuple(COLOURS))]))
        for _ in range(canvas.count(1, 4)):
            where = canvas.noise(1.8) > canvas.between(-0.5, 1.0)
            texture = mix(texture, canvas.vary(COLOURS[canvas.pick(tuple(COLOURS))]), where)
    else:
        tone = canvas.vary((1.0, 1.0, 1.0), 0.15) * canvas.between(0.6, 1.2)
        texture = texture[:: canvas.pick((1, -1)), :: canvas.pick((1, -1))] * tone
    depth = gaussian_filter(shape.astype(np.float32), canvas.short / 32)[..., None]
    return np.asarray(np.clip(texture * (0.55 + 0.55 * depth), 0, 1), np.float32)
