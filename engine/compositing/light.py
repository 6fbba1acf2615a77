"""A background brought nearer to the light that a photo was taken in.

Shades of Grey: Finlayson and Trezzi, "Shades of Gray and Colour Constancy" (2004). The colour of the light is that of
the Minkowski norm over all pixels, which bright ones outweigh; von Kries' coefficients take one light to another.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.engine.arrays import Pixels

Light = npt.NDArray[np.float64]

_SIDE = 256  # on which light is estimated
_NORM = 6  # the paper's best
_SHARE = 0.5  # of the way from the background's light to the photo's
_MOST = 1.2  # that brightness, and a channel against the others, is raised or lowered by
_GAMMA = 2.2


def light(pixels: Pixels, weight: Pixels | None = None) -> Light:
    """The light on what is shown: (3,), red, green and blue, linear, 0 to 1.

    pixels: (H, W, 3).  weight: (H, W); what has less than half of 255 does not count.
    """
    scale = max(1, -(-max(pixels.shape[:2]) // _SIDE))
    linear = (np.asarray(Image.fromarray(pixels).reduce(scale), np.float64) / 255) ** _GAMMA
    if weight is not None:
        counts = np.asarray(Image.fromarray(weight).reduce(scale)) > 127
        linear = linear[counts] if counts.any() else linear
    return np.asarray((linear.reshape(-1, 3) ** _NORM).mean(0) ** (1 / _NORM))


def matched(background: Pixels, wanted: Light) -> Pixels:
    """The background, (H, W, 3) or 4 with alpha, with its white balance and brightness half way to the wanted light's.

    Brightness, and each channel against the others, change by no more than a fifth.
    """
    ratio = np.maximum(wanted, 1e-4) / np.maximum(_light_of(background), 1e-4)
    brighter = np.exp(np.log(ratio).mean())
    gains = _bounded((ratio / brighter) ** _SHARE)
    most = gains.max()
    exposure = float(_bounded(brighter**_SHARE) * most)
    values = (np.arange(256) / 255) ** _GAMMA
    result = background.copy()
    for channel, gain in enumerate(gains / most):
        changed = values * gain * exposure
        if exposure > 1:  # runs into white slowly, so that nothing bright is lost
            changed /= 1 + (exposure - 1) * values * gain
        table = np.round(changed ** (1 / _GAMMA) * 255).astype(np.uint8)
        result[..., channel] = table[background[..., channel]]
    return result


def _light_of(background: Pixels) -> Light:
    is_seen = np.ascontiguousarray(background[..., 3]) if background.shape[2] == 4 else None
    return light(np.ascontiguousarray(background[..., :3]), is_seen)


def _bounded(gains: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.clip(gains, 1 / _MOST, _MOST)
