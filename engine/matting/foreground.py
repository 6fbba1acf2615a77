"""The subject's own colours at its edge, where the photo shows them mixed with the old background's.

Blur fusion: Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021). Colours of the subject and of the
background are carried into the mixed pixels by blurs weighed with alpha, then moved so that the mixture is the photo's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.engine.arrays import Array, Pixels, reduced_size
from cyclorama.engine.blur import box_mean

_SIDE = 1024  # the most that is blurred; what comes of it is smooth
_REACH = 8  # pixels that a window reaches at most
# Of the longer side: first from far, for hair and what is out of focus, then from near. The paper has two; five halve
# the error of plain pasting on the benchmark's cut-outs (CONTRIBUTING.md).
_RADII = (0.09, 0.02, 0.005, 0.002, 0.001)
_ROWS = 256


def foreground_colours(rgb: Pixels, alpha: Pixels) -> Pixels:
    """The photo (H, W, 3) with the subject's own colours wherever alpha (H, W) is between 0 and 255.

    Where alpha is 0 or 255 the photo's pixels stay as they are, bit for bit.
    """
    is_mixed = (alpha > 0) & (alpha < 255)
    if not is_mixed.any():
        return rgb
    reach = round(_RADII[0] * max(alpha.shape))
    where = tuple(
        slice(max(0, int(index[0]) - reach), int(index[-1]) + reach + 1)
        for index in (np.flatnonzero(is_mixed.any(axis)) for axis in (1, 0))
    )
    result = rgb.copy()
    result[where] = _estimated(rgb[where], alpha[where], is_mixed[where])
    return result


def _estimated(rgb: Pixels, alpha: Pixels, is_mixed: npt.NDArray[np.bool_]) -> Pixels:
    height, width = alpha.shape
    size = reduced_size(width, height, _SIDE)
    image = _planes(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))
    weight = _planes(Image.fromarray(alpha).resize(size, Image.Resampling.BOX))
    foreground = background = image
    for share in _RADII:
        # Coarse where the blur is wide: a window is never more than some pixels.
        side = min(_SIDE, _REACH / share)
        size = reduced_size(width, height, side)
        small, thin = _resized(image, size), _resized(weight, size)[0]
        radius = max(1, round(share * max(size)))
        near, behind = _resized(foreground, size), _resized(background, size)
        foreground, background = near, behind = _carried(near, thin, radius), _carried(behind, 1 - thin, radius)
        if share != _RADII[-1]:  # the last is done at the photo's own size, below
            foreground = np.clip(_fitted(small, thin, near, behind), 0, 1)
    planes = [Image.fromarray(plane) for plane in (*foreground, *background)]
    result = rgb.copy()
    for top in range(0, height, _ROWS):
        rows = slice(top, min(top + _ROWS, height))
        mixed = is_mixed[rows]
        if not mixed.any():
            continue
        part = (0, top * size[1] / height, size[0], rows.stop * size[1] / height)
        nearby = [
            np.asarray(plane.resize((width, rows.stop - top), Image.Resampling.BILINEAR, part))[mixed]
            for plane in planes
        ]
        colours = rgb[rows][mixed].T * np.float32(1 / 255)
        share_of_subject = alpha[rows][mixed] * np.float32(1 / 255)
        own = _fitted(colours, share_of_subject, np.stack(nearby[:3]), np.stack(nearby[3:]))
        result[rows][mixed] = np.clip(np.round(own.T * 255), 0, 255).astype(np.uint8)
    return result


def _planes(image: Image.Image) -> Array:
    """An 8-bit image as (channels, H, W), 0 to 1."""
    return np.stack([np.asarray(band, np.float32) * np.float32(1 / 255) for band in image.split()])


def _resized(planes: Array, size: tuple[int, int]) -> Array:
    """(N, H, W) to (N, h, w)."""
    if planes.shape[:0:-1] == size:
        return planes
    return np.stack([np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX)) for plane in planes])


def _carried(colours: Array, weight: Array, radius: int) -> Array:
    """Colours (3, H, W) blurred, each pixel counting by its weight (H, W)."""
    carried: Array = box_mean(colours * weight, radius) / (box_mean(weight, radius) + np.float32(1e-5))
    return carried


def _fitted(image: Array, alpha: Array, foreground: Array, background: Array) -> Array:
    """The foreground moved so that mixed with the background it gives the image."""
    moved: Array = foreground + alpha * (image - alpha * foreground - (1 - alpha) * background)
    return moved
