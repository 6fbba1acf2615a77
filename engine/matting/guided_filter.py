"""The guided filter: an alpha of few pixels brought to a photo's size, with the photo's own edges.

He, Sun & Tang, "Guided Image Filtering" (2013), with colour as the guide; its coefficients are computed on a smaller
copy and applied to the photo itself, as in He & Sun, "Fast Guided Filter" (2015).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from cyclorama.engine.arrays import Array, Pixels, reduced_size
from cyclorama.engine.blur import box_mean

_SIDE = 384  # that coefficients are computed at, or the alpha's own: what bounds time and memory for any photo
_RADIUS = 2  # in pixels of the alpha that comes in
_EPSILON = 5e-4  # of colours in 0..1: fainter edges are no edges
_UNSURE = 0.48  # so far from a half an alpha still lies in the unknown band
_ROWS = 256
_MIDDLE = np.float32(0.5)  # colours are counted from here, so that float32 holds their products' sums


def enlarge_along_edges(alpha: Array, rgb: Pixels) -> Pixels:
    """alpha (h, w) in 0..1 over the whole of a photo (H, W, 3) uint8 -> (H, W) uint8, 255 for the subject."""
    height, width = rgb.shape[:2]
    size = reduced_size(width, height, max(_SIDE, *alpha.shape))
    guide = (
        np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX), np.float32) * np.float32(1 / 255) - _MIDDLE
    )
    coarse = np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BICUBIC))
    radius = max(1, round(_RADIUS * max(size) / max(alpha.shape)))
    slope, offset = _coefficients(guide, coarse, radius)
    # Of few pixels, where the coefficients are known; at the photo's rows they are found by interpolation.
    planes = [Image.fromarray(plane) for plane in (coarse, offset, *slope)]
    result = np.empty((height, width), np.uint8)
    for top in range(0, height, _ROWS):
        bottom = min(top + _ROWS, height)
        part = (0, top * size[1] / height, size[0], bottom * size[1] / height)
        resized = (plane.resize((width, bottom - top), Image.Resampling.BILINEAR, part) for plane in planes)
        value = np.array(next(resized))
        # Away from the edge there is nothing to find, and the filter's windows would let it bleed.
        band = np.abs(value - np.float32(0.5)) < _UNSURE
        if band.any():
            constant, *slopes = (np.asarray(plane)[band] for plane in resized)
            colours = rgb[top:bottom][band] * np.float32(1 / 255) - _MIDDLE
            value[band] = constant + sum(factor * colours[:, channel] for channel, factor in enumerate(slopes))
        result[top:bottom] = np.clip(np.round(value * 255), 0, 255)
    return result


def _coefficients(guide: Array, alpha: Array, radius: int) -> tuple[Array, Array]:
    """The linear model of each window, averaged over the windows of each pixel: slope (3, H, W), offset (H, W)."""
    channels = guide.transpose(2, 0, 1)
    mean, mean_alpha = box_mean(channels, radius), box_mean(alpha, radius)
    covariance = box_mean(channels * alpha, radius) - mean * mean_alpha
    first, second = np.triu_indices(3)
    rr, rg, rb, gg, gb, bb = box_mean(channels[first] * channels[second], radius) - mean[first] * mean[second]
    rr, gg, bb = rr + _EPSILON, gg + _EPSILON, bb + _EPSILON
    # The inverse of each pixel's symmetric 3x3 matrix, by cofactors.
    i_rr, i_rg, i_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    i_gg, i_gb, i_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = i_rr * rr + i_rg * rg + i_rb * rb
    x, y, z = covariance
    slope = np.stack([i_rr * x + i_rg * y + i_rb * z, i_rg * x + i_gg * y + i_gb * z, i_rb * x + i_gb * y + i_bb * z])
    slope /= determinant
    offset = mean_alpha - (slope * mean).sum(0)
    return box_mean(slope, radius), box_mean(offset, radius)
