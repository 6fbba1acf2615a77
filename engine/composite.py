"""The subject onto its new background, at the photo's own size."""

from __future__ import annotations

import numpy as np

from engine.photo import Pixels

_ROWS = 256  # worked on at a time, so that 24 megapixels need no second copy in wider integers


def composite(foreground: Pixels, alpha: Pixels, background: Pixels) -> Pixels:
    """alpha * foreground + (1 - alpha) * background, rounded; (H, W, 3), (H, W), (H, W, 3), all uint8.

    Where alpha is 255 the result is the foreground's own pixels, bit for bit.
    """
    result = np.empty_like(foreground)
    for top in range(0, len(foreground), _ROWS):
        rows = slice(top, top + _ROWS)
        a = alpha[rows, :, None].astype(np.uint16)
        # At most 255 * 255 + 127, which uint16 holds.
        result[rows] = (a * foreground[rows] + (255 - a) * background[rows] + 127) // 255
    return result
