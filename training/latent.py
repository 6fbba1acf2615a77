"""The latent space, defined rather than learnt.

One cell is the mean colour of 8x8 pixels on opponent axes (luma Y, R - B, G - (R + B) / 2) and the luma
of its upper half less that of its lower half, each whitened.  A small learnt autoencoder loses the
green-magenta axis, whose variance is a quarter of luma's; this cannot.  It is linear in the picture,
so `AutoencoderTiny`'s encoder, which is convolutions alone, computes it exactly (`autoencoder.py`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CELL = 8
LUMA = np.array([0.3, 0.59, 0.11], np.float32)

# Mean and standard deviation of the four channels over scenes with values in [-1, 1].
MEAN = np.array([-0.14, 0.14, 0.014, 0.0], np.float32)
STD = np.array([0.53, 0.54, 0.244, 0.112], np.float32)


def encode(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Latents (N, 4, H/8, W/8) of pictures (N, H, W, 3) with values in [-1, 1]; H and W multiples of 8."""
    n, height, width, _ = pictures.shape
    cells = pictures.reshape(n, height // CELL, CELL, width // CELL, CELL, 3)
    rows = cells.mean(4)
    red, green, blue = np.moveaxis(rows.mean(2), -1, 0)
    luma = rows @ LUMA
    half = CELL // 2
    axes = np.stack(
        [
            red * LUMA[0] + green * LUMA[1] + blue * LUMA[2],
            red - blue,
            green - 0.5 * (red + blue),
            luma[:, :, :half].mean(2) - luma[:, :, half:].mean(2),
        ],
        axis=1,
    )
    return np.asarray((axes - MEAN[:, None, None]) / STD[:, None, None], np.float32)
