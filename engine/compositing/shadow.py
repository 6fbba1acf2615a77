"""A soft shadow where a subject stands on the ground, as under an overcast sky or a studio's soft light."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cyclorama.engine.arrays import Array, Pixels, reduced_size
from cyclorama.engine.blur import box_mean
from cyclorama.engine.matting.regions import substance
from cyclorama.engine.notes import note

_SIDE = 512  # of the longer side: a shadow is soft
_FLAT = 0.16  # height of the subject as it lies on the ground in shadow, of the subject's own
_CLOSE, _WIDE = 0.02, 0.07  # radii: of the shadow at the contact, and of that around; of the subject's mean side
_NEAR_GROUND = 0.1  # of the subject's height: what is higher above the ground darkens nothing by contact
_DARK, _DIM = 0.6, 0.4  # the most that the two take of the light


def contact_shadow(alpha: Pixels) -> Pixels:
    """How much darker the ground is for a subject's alpha (H, W): 0 not at all, 255 black; (H, W) uint8.

    Two soft shadows: one close along the subject's outline where that is near the ground, one wide and flat around
    where it stands. None where the subject reaches the picture's lower edge, for no ground is to be seen; a note
    says so.
    """
    solid = substance(alpha)
    if solid[-1].any():
        note("the subject reaches the picture's lower edge, so there is no ground for a shadow")
        return np.zeros_like(alpha)
    height, width = alpha.shape
    size = reduced_size(width, height, _SIDE)
    subject = _as_shares(Image.fromarray(alpha).resize(size, Image.Resampling.BOX))
    if not subject.any():
        return np.zeros_like(alpha)
    # By its own most, for what is thinner than a cell is nowhere whole here.
    counted = np.where(solid, alpha, np.uint8(0)) if solid.any() else alpha
    standing = _as_shares(Image.fromarray(counted).resize(size, Image.Resampling.BOX))
    rows, columns = (np.flatnonzero((standing > standing.max() / 2).any(axis)) for axis in (1, 0))
    ground, tall = int(rows[-1]) + 1, int(rows[-1] - rows[0]) + 1
    side = (tall * (columns[-1] - columns[0] + 1)) ** 0.5
    above = np.maximum(0, ground - np.arange(size[1], dtype=np.float32))[:, None]
    near_ground = np.exp(-((above / np.float32(_NEAR_GROUND * tall)) ** 2))
    close = _soft(_lowered(subject * near_ground, max(1, round(_CLOSE * side / 2))), _CLOSE * side)
    wide = _soft(_flattened(subject, int(rows[0]), ground), _WIDE * side)
    light = (1 - _DARK * np.clip(1.6 * close, 0, 1)) * (1 - _DIM * np.clip(wide, 0, 1))
    darkness = Image.fromarray(np.round((1 - light) * 255).astype(np.uint8))
    return np.asarray(darkness.resize((width, height), Image.Resampling.BICUBIC))


def _as_shares(image: Image.Image) -> Array:
    return np.asarray(image, np.float32) * np.float32(1 / 255)


def _lowered(values: Array, rows: int) -> Array:
    lowered = np.zeros_like(values)
    lowered[rows:] = values[:-rows]
    return lowered


def _flattened(subject: Array, top: int, ground: int) -> Array:
    """The subject's outline laid down on the ground, its middle where the subject stands."""
    flat = max(2, round(_FLAT * (ground - top)))
    outline = Image.fromarray(subject[top:ground]).resize((subject.shape[1], flat), Image.Resampling.BOX)
    lying = Image.new("F", (subject.shape[1], subject.shape[0]))
    lying.paste(outline, (0, ground - flat // 2))
    return np.asarray(lying)


def _soft(values: Array, radius: float) -> Array:
    """Blurred nearly as by a Gaussian (three boxes); what lies beyond the picture goes on as at its border."""
    for _ in range(3):
        values = box_mean(values, max(1, round(radius / 2)))
    return values
