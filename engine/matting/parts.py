"""Which of the connected parts that a network found are the subject."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cyclorama.engine.arrays import Array, Mask, Pixels
from cyclorama.engine.matting.regions import grown, label
from cyclorama.engine.notes import note

GRID = 320  # parts are told apart on a square of this many cells, whatever the photo's shape
CERTAIN = 0.5  # of the network's own confidence, anywhere
_LARGE = 0.25  # of the largest part's area: a subject of its own
# What speaks against a part: an edge so blurred beside the sharpest part's, or so much of the photo's border.
_BLURRED, _CUT = 0.4, 0.5
_DROPPED = 0.3  # of a part's area
_NEAR = 16  # cells: so near, a small part is a piece of the main one that is hard to see


def parts_of(confidence: Array) -> list[Mask]:
    """What the network is sure of in one piece each, the largest first, without specks."""
    numbers = label(confidence > CERTAIN)
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    return [numbers == number for number in np.argsort(-sizes) if sizes[number] > max(4, 0.01 * sizes.max())]


def chosen(parts: list[Mask], rgb: Pixels, keep: Mask | None, drop: Mask | None) -> list[Mask]:
    """Which parts are the subject.

    Strokes decide: those to keep that touch a part or lie close to it, and those to drop. Else all are that nothing
    speaks strongly against: several people, animals or things are one subject. What is out of focus where another part
    is sharp goes, and what the photo's border cuts off along much of its length. If that would leave nothing, all stay.
    """
    if drop is not None:
        # The largest loses strips and leaks to strokes; all of it only where they cover much of it.
        parts = [
            part
            for i, part in enumerate(parts)
            if np.count_nonzero(part & drop) <= (_DROPPED * np.count_nonzero(part) if i == 0 else 0)
        ]
    if keep is not None:
        touched = [part for part in parts if (part & keep).any()]
        nearby = grown(keep, _NEAR)
        # Over a piece that was missed they belong to what is close by; far from all, they are a subject of their own.
        return touched or [part for part in parts if (part & nearby).any()]
    if len(parts) < 2:
        return parts
    sizes = [np.count_nonzero(part) for part in parts]
    large = [size >= _LARGE * max(sizes) for size in sizes]
    slopes = _slopes(rgb)
    sharpness = [_sharpness(part, slopes) for part in parts]
    sharpest = max(sharp for sharp, is_large in zip(sharpness, large, strict=True) if is_large)
    kept = [
        sharp >= _BLURRED * sharpest and _at_border(part) < _CUT for part, sharp in zip(parts, sharpness, strict=True)
    ]
    if not any(is_kept and is_large for is_kept, is_large in zip(kept, large, strict=True)):
        kept = [True] * len(parts)
    subjects = sum(is_kept and is_large for is_kept, is_large in zip(kept, large, strict=True))
    if subjects > 1:
        note(f"{subjects} subjects were found and all are kept; name one with a box, or drop one with a brush mask")
    if not all(kept):
        note("what is blurred or cut off by the border beside the subject was left out; keep it with a brush mask")
    return [part for part, is_kept in zip(parts, kept, strict=True) if is_kept]


def _sharpness(part: Mask, slopes: Array) -> float:
    edge = grown(part, 2) & grown(~part, 2)
    return float(np.percentile(slopes[edge], 90))


def _at_border(part: Mask) -> float:
    """Cells along the photo's border, by a side's."""
    return sum(int(line.sum()) for line in (part[0], part[-1], part[:, 0], part[:, -1])) / GRID


def _slopes(rgb: Pixels) -> Array:
    """The steepest step between neighbouring pixels in each cell, in grey levels: low where all is out of focus."""
    scale = max(1, round(max(rgb.shape[:2]) / 1024))
    grey = np.asarray(Image.fromarray(rgb).convert("L").reduce(scale), np.float32)
    steps = np.zeros_like(grey)
    steps[:-1, :-1] = np.abs(np.diff(grey, axis=1))[:-1] + np.abs(np.diff(grey, axis=0))[:, :-1]
    size = tuple(-(-length // 3) for length in steps.shape)
    padded = np.zeros((3 * size[0], 3 * size[1]), np.float32)
    padded[: steps.shape[0], : steps.shape[1]] = steps
    most = padded.reshape(size[0], 3, size[1], 3).max((1, 3))
    return resized(most, (GRID, GRID))


def on_grid(mask: Mask) -> Mask:
    """Every cell that a stroke touches."""
    return resized(mask.astype(np.float32), (GRID, GRID), Image.Resampling.BOX) > 0


def resized(values: Array, size: tuple[int, int], resample: Image.Resampling = Image.Resampling.BILINEAR) -> Array:
    """Values (H, W) at another width and height."""
    return np.asarray(Image.fromarray(values).resize(size, resample))
