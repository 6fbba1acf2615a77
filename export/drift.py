"""How far two pictures are apart: what quantisation, caching or fewer steps change at the same noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cyclorama import Result
from cyclorama.engine.arrays import Pixels

# What int8 is held to, on nano and wherever it is exported.
LEAST_PSNR, LEAST_SSIM = 28.0, 0.93


def psnr(a: Pixels, b: Pixels, where: NDArray[np.bool_] | None = None) -> float:
    """Peak signal-to-noise ratio in dB of two pictures (H, W, 3); infinite where they are equal.

    where: (H, W), the pixels that count; None: all.
    """
    error = float(((a.astype(np.float64) - b) ** 2)[... if where is None else where].mean())
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def ssim(a: Pixels, b: Pixels, where: NDArray[np.bool_] | None = None) -> float:
    """Structural similarity (Wang et al., 2004) of two pictures (H, W, 3), 1 where they are equal.

    Gaussian window of sigma 1.5 cut off at 3.5 sigma; the mean over channels and over the pixels of `where` (H, W), or
    over all.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        smoothed: NDArray[np.float64] = gaussian_filter(values, (1.5, 1.5, 0), truncate=3.5)
        return smoothed

    mean_x, mean_y = smooth(x), smooth(y)
    variances = smooth(x * x) - mean_x**2 + smooth(y * y) - mean_y**2
    covariance = smooth(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (variances + c2)
    return float(similarity[... if where is None else where].mean())


def drift(reference: Sequence[Result], changed: Sequence[Result]) -> dict[str, float]:
    """Mean PSNR (dB, counted to 100 at most) and SSIM of backgrounds, and the worst PSNR.

    Of what was painted only what is seen counts: where the subject is opaque it is pasted over.
    """
    decibels, similarities = [], []
    for one, other in zip(reference, changed, strict=True):
        a, b, seen = np.asarray(one.background), np.asarray(other.background), np.asarray(one.alpha) < 255
        decibels.append(min(100.0, psnr(a, b, seen)))
        similarities.append(ssim(a, b, seen))
    return {"psnr": float(np.mean(decibels)), "ssim": float(np.mean(similarities)), "worst_psnr": min(decibels)}
