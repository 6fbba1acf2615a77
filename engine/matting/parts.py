"""Which of the connected parts that a network found are the subject."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from cyclorama.engine.arrays import Array, Mask, Pixels
from cyclorama.engine.matting.regions import label
from cyclorama.engine.notes import note

GRID = 320  # parts are told apart on a square of this many cells, whatever the photo's shape
CERTAIN = 0.5  # of the network's own confidence, anywhere
_RIVAL_SIZE, _RIVAL_WORTH = 0.25, 0.75  # of the main part's
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

    Strokes decide: those to keep that touch a part or lie close to it, and those to drop. Else it is the part that is
    large, sharp and near the middle rather than at the border, with whatever is nearly as much so, and with small parts
    close by.
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
        nearby = _grown(keep, _NEAR)
        # Over a piece that was missed they belong to what is close by; far from all, they are a subject of their own.
        return touched or [part for part in parts if (part & nearby).any()]
    if len(parts) < 2:
        return parts
    slopes = _slopes(rgb)
    sizes = [np.count_nonzero(part) for part in parts]
    worth = [_worth(part, slopes) for part in parts]
    large = [i for i in range(len(parts)) if sizes[i] >= _RIVAL_SIZE * max(sizes)]
    main = max(large, key=lambda i: worth[i])
    nearby = _grown(parts[main], _NEAR)
    chosen = [
        i
        for i in range(len(parts))
        if i == main
        or (i in large and worth[i] >= _RIVAL_WORTH * worth[main])
        or (i not in large and (parts[i] & nearby).any())
    ]
    subjects = sum(i in large for i in chosen)
    if subjects > 1:
        note(f"{subjects} subjects were found and all are kept; name one with a box, or drop one with a brush mask")
    return [parts[i] for i in chosen]


def _worth(part: Mask, slopes: Array) -> float:
    """How much of a subject a part is: square root of its area, by its edge's sharpness, nearness to the middle, and
    how little of the border it touches."""
    edge = _grown(part, 2) & _grown(~part, 2)
    sharpness = float(np.percentile(slopes[edge], 90))
    away = float(np.hypot(*(index.mean() / GRID - 0.5 for index in np.nonzero(part))))
    border = sum(int(line.sum()) for line in (part[0], part[-1], part[:, 0], part[:, -1])) / GRID
    return float(np.sqrt(np.count_nonzero(part))) * sharpness * (1 - away) * max(0.2, 1 - border)


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


def _grown(mask: Mask, cells: int) -> Mask:
    image = Image.fromarray(mask).convert("L")
    for _ in range(cells):  # Pillow is quick with the smallest window only
        image = image.filter(ImageFilter.MaxFilter(3))
    return np.asarray(image) > 0


def on_grid(mask: Mask) -> Mask:
    """Every cell that a stroke touches."""
    return resized(mask.astype(np.float32), (GRID, GRID), Image.Resampling.BOX) > 0


def resized(values: Array, size: tuple[int, int], resample: Image.Resampling = Image.Resampling.BILINEAR) -> Array:
    """Values (H, W) at another width and height."""
    return np.asarray(Image.fromarray(values).resize(size, resample))
