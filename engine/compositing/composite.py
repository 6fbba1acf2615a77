"""The subject onto its new background, at full size: the last step."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cyclorama.engine.arrays import Pixels
from cyclorama.engine.compositing.light import Light, matched
from cyclorama.engine.compositing.shadow import contact_shadow

_ROWS = 256  # worked on at a time, so that 24 megapixels need no second copy in wider integers
_BLACK = np.zeros(3, np.uint8)


def finish(
    foreground: Pixels, alpha: Pixels, background: Pixels, *, shadow: bool = False, light: Light | None = None
) -> tuple[Pixels, Pixels]:
    """The picture, and what lies behind the subject in it: both of the background's shape.

    light: what the background is brought nearer to (`engine.compositing.light`).  shadow: it gets a shadow where the
    subject stands (`engine.compositing.shadow`). The subject is put over both: see `composite`.
    """
    if light is not None:
        background = matched(background, light)
    if shadow:
        darkness = contact_shadow(alpha)
        background = composite(np.broadcast_to(_BLACK, foreground.shape), darkness, background)
    return composite(foreground, alpha, background), background


def composite(foreground: Pixels, alpha: Pixels, background: Pixels) -> Pixels:
    """The foreground over the background, by alpha; rounded.

    foreground (H, W, 3), alpha (H, W), background (H, W, 3), or (H, W, 4) with an alpha of its own; all uint8. The
    result has the background's shape. Where alpha is 255 it holds the foreground's own pixels, bit for bit.
    """
    result = np.empty_like(background)
    for top in range(0, len(foreground), _ROWS):
        rows = slice(top, top + _ROWS)
        over = _over_opaque if background.shape[2] == 3 else _over_transparent
        result[rows] = over(foreground[rows], alpha[rows, :, None], background[rows])
    return result


def _over_opaque(foreground: Pixels, alpha: Pixels, background: Pixels) -> Pixels:
    a = alpha.astype(np.uint16)
    # At most 255 * 255 + 127, which uint16 holds.
    return ((a * foreground + (255 - a) * background + 127) // 255).astype(np.uint8)


def _over_transparent(foreground: Pixels, alpha: Pixels, background: Pixels) -> Pixels:
    front = Image.fromarray(np.concatenate([foreground, alpha], axis=-1))
    return np.asarray(Image.alpha_composite(Image.fromarray(background), front))
