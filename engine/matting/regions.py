"""Connected regions of a mask: telling them apart, dropping specks, filling holes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from cyclorama.engine.arrays import Mask, Pixels, reduced_size
from cyclorama.engine.blur import box_mean

_SPECK_SHARE = 0.01  # of the largest part's area
_HOLE_SHARE = 0.005  # of the subject's area; a cup's handle leaves more than that open
_LEVELS = np.clip(np.round((np.arange(256) / 255 - 0.05) / 0.9 * 255), 0, 255).astype(np.uint8)
_SLIVER_SHARE = 0.0012  # of the subject's area: a thousandth, and what reducing it adds at the picture's edge
_THIN = 0.1  # of a cell of that copy: what is thinner than a cell is seen as well
_LABEL_SIDE = 512  # parts are told apart on a copy no larger than this


def grown(mask: Mask, pixels: int) -> Mask:
    """A mask (H, W) by so many pixels more to all sides, corners too."""
    return np.asarray(box_mean(mask.astype(np.float32), pixels) > 0)


def clean(alpha: Pixels) -> Pixels:
    """Drops specks, fills small holes, and makes what is all but certain certain.

    A part goes when it is much smaller than the largest, or when the network is sure of it nowhere.
    Soft edges and real gaps stay. Networks hardly ever say 255: u2netp does for under 1 % of a
    subject, and only there would its pixels be kept to the bit; so the top and bottom 5 % are cut.
    """
    alpha = _LEVELS[alpha]
    height, width = alpha.shape
    size = reduced_size(width, height, _LABEL_SIDE)
    small = np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BOX))

    result = alpha
    parts = label(small > 25)
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    if len(areas) > 1:
        peaks = np.zeros(len(areas), np.uint8)
        np.maximum.at(peaks, parts, small)
        specks = ((areas < _SPECK_SHARE * areas.max()) | (peaks < 128))[parts] & (parts > 0)
        if specks.any():
            result = np.where(enlarged(specks, alpha.shape), np.uint8(0), result)

    gaps = label(small < 252)
    areas = np.bincount(gaps.ravel())
    touching = np.unique(np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]]))
    fillable = areas < _HOLE_SHARE * np.count_nonzero(small > 127)
    fillable[touching] = False
    fillable[0] = False
    holes = fillable[gaps]
    if holes.any():
        result = np.where(enlarged(holes, alpha.shape), np.uint8(255), result)
    return result


def substance(alpha: Pixels) -> npt.NDArray[np.bool_]:
    """The subject without slivers: what its place, its edges and its shadow are decided from. (H, W) -> (H, W).

    Parts of a thousandth of the subject or less do not count, nor does so little that the photo's edge cuts off and
    that hangs on the subject by less than its own width.
    """
    opaque = alpha > 127
    height, width = alpha.shape
    size = reduced_size(width, height, _LABEL_SIDE)
    share = np.asarray(Image.fromarray(opaque).convert("L").resize(size, Image.Resampling.BOX), np.float32)
    share = share * np.float32(1 / 255)
    seen = share > _THIN
    kept = seen & ~_small_parts(seen, share)
    window = 2 * math.ceil(math.sqrt(_SLIVER_SHARE * float(share.sum())) / 2) + 1
    residue = kept & ~_opened(kept, window)
    at_edge = np.zeros_like(residue)
    at_edge[[0, -1]], at_edge[:, [0, -1]] = True, True
    parts = label(residue)
    touching = np.isin(parts, np.unique(parts[at_edge & residue]))
    kept &= ~(_small_parts(residue, share) & touching)
    return opaque & enlarged(kept, alpha.shape) if kept.any() else opaque


def _small_parts(mask: npt.NDArray[np.bool_], share: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Those parts of a mask that hold a thousandth or less of all; share: how much of each cell is taken, 0 to 1."""
    parts = label(mask)
    areas = np.bincount(parts.ravel(), share.ravel())
    return mask & (areas <= _SLIVER_SHARE * float(share.sum()))[parts]


def _opened(mask: npt.NDArray[np.bool_], window: int) -> npt.NDArray[np.bool_]:
    """The mask without what is narrower than a square window; beyond the picture it goes on as at its edge."""
    image = Image.fromarray(np.pad(mask, window, mode="edge")).convert("L")
    opened = image.filter(ImageFilter.MinFilter(window)).filter(ImageFilter.MaxFilter(window))
    return np.asarray(opened)[window:-window, window:-window] > 0


def enlarged(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The mask, a pixel wider all round, at full size."""
    grown = np.pad(mask, 1)
    grown = grown[1:-1, 1:-1] | grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:]
    image = Image.fromarray(grown).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
    return np.asarray(image)


def label(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Numbers the 8-connected parts of a mask from 1; 0 outside. Shape (H, W) -> (H, W).

    Row by row in runs, joined with a union-find: the classical two-pass algorithm
    (Rosenfeld & Pfaltz, 1966). SciPy and OpenCV have it too, at 140 MB each.
    """
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    first_of_row = np.searchsorted(rows, np.arange(mask.shape[0] + 1))
    for row in range(1, mask.shape[0]):
        above, here = int(first_of_row[row - 1]), int(first_of_row[row])
        last_above, last_here = here, int(first_of_row[row + 1])
        while above < last_above and here < last_here:
            if starts[above] <= ends[here] and starts[here] <= ends[above]:
                a, b = root(above), root(here)
                parent[max(a, b)] = min(a, b)
            if ends[above] < ends[here]:
                above += 1
            else:
                here += 1

    roots = np.array([root(run) for run in range(len(rows))], np.int64)
    _, numbers = np.unique(roots, return_inverse=True)
    # Paint the runs by adding each number where it starts and taking it off where it ends.
    changes = np.zeros((mask.shape[0], mask.shape[1] + 1), np.int32)
    changes[rows, starts] += (numbers + 1).astype(np.int32)
    changes[rows, ends] -= (numbers + 1).astype(np.int32)
    return np.cumsum(changes, axis=1, dtype=np.int32)[:, :-1]
