"""Means over square windows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def box_mean(planes: Array, radius: int) -> Array:
    """The mean over windows of 2 * radius + 1 pixels squared, (..., H, W); what of them lies beyond is left out.

    By running sums in float32: values should lie around 0, within some units.
    """
    for axis in (-1, -2):
        length = planes.shape[axis]
        reach = min(radius, length - 1)
        before_and_after = [(0, 0)] * planes.ndim
        before_and_after[axis] = (reach + 1, reach)
        sums = np.pad(np.cumsum(planes, axis=axis, dtype=np.float32), before_and_after, "edge")
        ahead, behind = [slice(None)] * planes.ndim, [slice(None)] * planes.ndim
        ahead[axis], behind[axis] = slice(2 * reach + 1, None), slice(None, length)
        first = [slice(None)] * planes.ndim
        first[axis] = slice(0, reach + 1)
        sums[tuple(first)] = 0
        last = np.minimum(np.arange(length) + reach + 1, length)
        counts = (last - np.maximum(np.arange(length) - reach, 0)).astype(np.float32)
        planes = (sums[tuple(ahead)] - sums[tuple(behind)]) / counts.reshape(-1, *[1] * (-1 - axis))
    return planes
