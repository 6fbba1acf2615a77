"""The kinds of array that photos and masks are, and sizes to look at them in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def reduced_size(width: int, height: int, side: float, least: int = 1) -> tuple[int, int]:
    """Width and height with the longer side at `side`, the shape kept; never enlarged, each side at least `least`."""
    scale = min(1.0, side / max(height, width))
    return max(least, round(width * scale)), max(least, round(height * scale))
