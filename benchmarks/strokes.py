"""Simulated strokes: a person who dabs where a mask is most wrong."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cyclorama import Hints, NoSubject, find_subject
from cyclorama.engine.arrays import Mask, Pixels
from cyclorama.engine.matting.looks import Looks
from cyclorama.engine.options import MaskModel

_RADIUS = 0.02  # of a dab, as a share of the photo's longer side, or what fits the wrong region
_LEAST = 0.002  # of the photo: a smaller wrong region is let be


def corrections(rgb: Pixels, truth: Pixels, model: MaskModel, most: int, hints: Hints | None = None) -> list[Pixels]:
    """The alphas before any dab and after each, up to `most`, each in the middle of the largest wrong region.

    The simulated click of Xu et al., "Deep interactive object selection" (2016), as a disc. Where nothing large is
    wrong any more the alpha stays.
    rgb (H, W, 3), truth (H, W).  hints: what is known before, such as a box.
    """
    looks = Looks()
    hints = Hints() if hints is None else hints
    alphas = [_found(rgb, model, hints, looks, np.zeros(truth.shape, np.uint8))]
    while len(alphas) <= most:
        dab = _dab(alphas[-1], truth, hints)
        if dab is None:
            alphas.append(alphas[-1])
            continue
        hints = dab
        alphas.append(_found(rgb, model, hints, looks, alphas[-1]))
    return alphas


def _found(rgb: Pixels, model: MaskModel, hints: Hints, looks: Looks, before: Pixels) -> Pixels:
    try:
        return find_subject(rgb, model, hints, looks)
    except NoSubject:
        return before


def _dab(alpha: Pixels, truth: Pixels, hints: Hints) -> Hints | None:
    keep = np.zeros(truth.shape, bool) if hints.keep is None else hints.keep
    drop = np.zeros(truth.shape, bool) if hints.drop is None else hints.drop
    missed = (truth > 200) & (alpha <= 127) & ~keep & ~drop
    beyond = (truth < 50) & (alpha > 127) & ~keep & ~drop
    (missed_size, missed), (beyond_size, beyond) = _largest(missed), _largest(beyond)
    if max(missed_size, beyond_size) < _LEAST * truth.size:
        return None
    disc = _disc(missed if missed_size >= beyond_size else beyond)
    if missed_size >= beyond_size:
        keep = keep | disc
    else:
        drop = drop | disc
    return Hints(hints.box, keep if keep.any() else None, drop if drop.any() else None)


def _largest(where: Mask) -> tuple[int, Mask]:
    parts, count = ndimage.label(where)
    if not count:
        return 0, where
    sizes = np.bincount(parts.ravel())[1:]
    return int(sizes.max()), parts == 1 + int(sizes.argmax())


def _disc(region: Mask) -> Mask:
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    radius = min(0.8 * depth.max(), _RADIUS * max(region.shape))
    rows, columns = np.ogrid[: region.shape[0], : region.shape[1]]
    disc: Mask = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return disc
