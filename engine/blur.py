"""Means over windows: square ones, and round ones as a lens has."""

from __future__ import annotations

import numpy as np

from cyclorama.engine.arrays import Array

_FEW = 2  # pixels that a window reaches: up to here adding them one by one is quicker, by three times for 1


def box_mean(planes: Array, radius: int) -> Array:
    """The mean over windows of 2 * radius + 1 pixels squared, (..., H, W); windows are clipped at the border.

    Wide windows go by running sums in float32: values should lie around 0, within some units.
    """
    for axis in (-1, -2):
        length = planes.shape[axis]
        reach = min(radius, length - 1)
        at = np.arange(length)
        counts = (np.minimum(at + reach + 1, length) - np.maximum(at - reach, 0)).astype(np.float32)
        add_up = _sums_one_by_one if reach <= _FEW else _running_sums
        planes = add_up(planes, reach, axis) / counts.reshape(-1, *[1] * (-1 - axis))
    return planes


def _sums_one_by_one(planes: Array, reach: int, axis: int) -> Array:
    sums = planes.copy()
    for away in range(1, reach + 1):
        ahead, behind = _along(planes, axis, slice(away, None)), _along(planes, axis, slice(None, -away))
        sums[behind] += planes[ahead]
        sums[ahead] += planes[behind]
    return sums


def _running_sums(planes: Array, reach: int, axis: int) -> Array:
    length = planes.shape[axis]
    before_and_after = [(0, 0)] * planes.ndim
    before_and_after[axis] = (reach + 1, reach)
    sums = np.pad(np.cumsum(planes, axis=axis, dtype=np.float32), before_and_after, "edge")
    sums[_along(planes, axis, slice(0, reach + 1))] = 0
    difference: Array = (
        sums[_along(planes, axis, slice(2 * reach + 1, None))] - sums[_along(planes, axis, slice(None, length))]
    )
    return difference


def _along(planes: Array, axis: int, part: slice) -> tuple[slice, ...]:
    index = [slice(None)] * planes.ndim
    index[axis] = part
    return tuple(index)


def disc_mean(planes: Array, radius: int) -> Array:
    """The mean over discs, (..., H, W): what a point becomes that a lens has out of focus.

    Beyond the borders the pixels at them go on.
    """
    height, width = planes.shape[-2:]
    padded = np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(radius, radius)] * 2, "edge")
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    shape = padded.shape[-2:]
    spectrum = np.fft.rfft2(padded) * np.fft.rfft2(disc / disc.sum(), shape)
    means = np.fft.irfft2(spectrum, shape)[..., 2 * radius : 2 * radius + height, 2 * radius : 2 * radius + width]
    return means.astype(np.float32)
