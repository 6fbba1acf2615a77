"""A soft shadow where a subject stands on the ground, as under an overcast sky or a studio's soft light."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from cyclorama.engine.arrays import Array, Pixels, reduced_size
from cyclorama.engine.matting.regions import substance
from cyclorama.engine.notes import note

_SIDE = 512  # of the longer side: a shadow is soft
_FORESHORTENED = 0.4  # a step away on the ground, as a share of a step to the side: seen from 24 degrees above
_TILT, _SLOPES = 0.2, 17  # of the line that a subject stands on, at most, either way (wheels seen from an angle)
# Shares of the subject's mean side. What is farther above its lowest point than the first stands on nothing. Then, for
# the close shadow and the wide one: the height above the ground at which it has faded to a third, how far it reaches
# away and nearer, sigma of its blur, and, of the light, the most that it takes.
_REACH = 0.3
_CLOSE, _WIDE = (0.015, 0.05, 0.01, 0.55), (0.12, 0.2, 0.045, 0.45)


def contact_shadow(alpha: Pixels) -> Pixels:
    """How much darker the ground is for a subject's alpha (H, W): 0 not at all, 255 black; (H, W) uint8.

    Two soft shadows along the line that the subject stands on (`_ground`), one close and dark, one wide: darkest where
    wheels, feet or a bag's lower edge touch it, and the weaker the higher the subject is above it. None where the
    subject reaches the picture's lower edge, for no ground is to be seen; a note says so.
    """
    solid = substance(alpha)
    if solid[-1].any():
        note("the subject reaches the picture's lower edge, so there is no ground for a shadow")
        return np.zeros_like(alpha)
    counted = np.where(solid, alpha, np.uint8(0)) if solid.any() else alpha
    size = reduced_size(alpha.shape[1], alpha.shape[0], _SIDE)
    share = np.asarray(Image.fromarray(counted).resize(size, Image.Resampling.BOX))
    if not share.any():
        return np.zeros_like(alpha)
    subject = share > share.max() / 2  # of its own most: what is thinner than a cell is nowhere whole here
    rows, columns = (np.flatnonzero(subject.any(axis)) for axis in (1, 0))
    side = float((np.ptp(rows) + 1) * (np.ptp(columns) + 1)) ** 0.5
    lower_edge = (size[1] - subject[::-1].argmax(0)[columns]).astype(np.float32)
    ground = _ground(columns, lower_edge)
    stands = 1 - np.clip((lower_edge.max() - lower_edge) / (_REACH * side), 0, 1) ** 4
    away = np.abs(np.arange(0.5, size[1], dtype=np.float32)[:, None] - ground)
    light = np.ones(subject.shape, np.float32)
    for fades, depth, sigma, most in (_CLOSE, _WIDE):
        strength = stands * np.exp(-(((ground - lower_edge) / (fades * side)) ** 2))
        shadow = np.zeros_like(light)
        shadow[:, columns] = strength * np.clip(depth * side * _FORESHORTENED + 0.5 - away, 0, 1)
        light *= 1 - np.float32(most) * _soft(shadow, sigma * side)
    darkness = Image.fromarray(np.round((1 - light) * 255).astype(np.uint8))
    return np.asarray(darkness.resize(alpha.shape[::-1], Image.Resampling.BICUBIC))


def _ground(columns: npt.NDArray[np.intp], lower_edge: Array) -> Array:
    """The row of the ground under each column of a subject whose lower edge is given: (N,), (N,) -> (N,).

    No part of the subject lies under it, and it is nowhere steeper than `_TILT`; beside that it is as high as a line
    that bends to one side only can be: the lower convex hull, made of the lowest supporting line of each slope.
    """
    slopes = np.linspace(-_TILT, _TILT, _SLOPES, dtype=np.float32)[:, None]
    at = (columns - columns.mean()).astype(np.float32)
    supports = (lower_edge - slopes * at).max(1, keepdims=True)
    return np.asarray((supports + slopes * at).min(0))


def _soft(shares: Array, sigma: float) -> Array:
    """Blurred on the ground; what lies beyond the picture goes on as at its border."""
    blur = ImageFilter.GaussianBlur((sigma, sigma * _FORESHORTENED))
    return np.asarray(Image.fromarray(np.round(shares * 255).astype(np.uint8)).filter(blur)) * np.float32(1 / 255)
