"""What a person's brush strokes change: the mask near them, settled by colours and edges.

A stroke over what was taken for the other says that the mask is wrong there, so around it the mask counts the less the
nearer the stroke is. Colours like the stroke's own go with it, and random walks (`engine.matting.random_walk`)
find the edge. Elsewhere the mask stays as it is.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from cyclorama.engine.arrays import Array, Mask, Pixels, reduced_size
from cyclorama.engine.matting.guided_filter import enlarge_along_edges
from cyclorama.engine.matting.random_walk import FEWEST, Mixture, log_odds, probability, shrunk, walked
from cyclorama.engine.matting.regions import enlarged, label

# Shares of the photo's longer side: how far around a stroke what was sure may change, and what was not.
_REACH, _REACH_OF_UNSURE = 0.1, 0.3
_UNSURE = (0.05, 0.95)
_SIDE = 320  # of the copy that is worked on, the longer
_SMOOTHNESS, _ITERATIONS = 8.0, 80
_SHARPNESS = 4.0  # of the result's log odds
_LIKELY = 3.0  # the most that colours say, in log odds
_CHANGE = 48  # grey levels


def corrected(rgb: Pixels, alpha: Pixels, before: Pixels, keep: Mask | None, drop: Mask | None) -> Pixels:
    """The subject's alpha with strokes over what is subject (keep) and what is not (drop).

    rgb (H, W, 3), alpha (H, W), keep and drop (H, W).  before: the alpha without any stroke; where it said what they
    say there is nothing to correct. Strokes to keep only add and those to drop only take away, each in one piece with
    itself.
    """
    alpha = alpha.copy()
    if drop is not None:
        # What is not the subject is found as the subject is.
        alpha = 255 - _added(rgb, 255 - alpha, 255 - before, drop, keep)
    if keep is not None:
        alpha = _added(rgb, alpha, before, keep, drop)
        alpha[keep] = 255
    if drop is not None:
        alpha[drop] = 0
    return alpha


def _added(rgb: Pixels, alpha: Pixels, before: Pixels, stroke: Mask, opposite: Mask | None) -> Pixels:
    wrong = stroke & (before <= 127)
    if not wrong.any():
        return alpha
    longer = max(alpha.shape)
    rows, columns = (np.flatnonzero(wrong.any(axis)) for axis in (1, 0))
    more = round(_REACH_OF_UNSURE * longer)
    window = (
        slice(max(0, int(rows[0]) - more), int(rows[-1]) + 1 + more),
        slice(max(0, int(columns[0]) - more), int(columns[-1]) + 1 + more),
    )
    crop, old = np.ascontiguousarray(rgb[window]), np.ascontiguousarray(alpha[window])
    size = reduced_size(crop.shape[1], crop.shape[0], _SIDE, least=2)
    image = np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BOX), np.float32)
    prior = np.asarray(Image.fromarray(old).resize(size, Image.Resampling.BOX), np.float32) / np.float32(255)
    own = shrunk(stroke[window], size)
    held = np.zeros_like(own) if opposite is None else shrunk(opposite[window], size)
    away = _distance(shrunk(wrong[window], size)) / np.float32(longer * max(size) / max(crop.shape[:2]))
    is_unsure = (prior > _UNSURE[0]) & (prior < _UNSURE[1])
    free = (((prior < 0.5) & (away < _REACH)) | (is_unsure & (away < _REACH_OF_UNSURE))) & ~own & ~held
    if not free.any():
        return alpha
    background = ((prior < 0.1) & (away >= _REACH) & (away < _REACH_OF_UNSURE) & ~own) | held
    odds = _by_colour(image, own, background, free)
    odds += np.clip(away[free] / np.float32(_REACH), 0, 1) ** 2 * log_odds(prior[free], 0.01)
    likely = np.where(own, np.float32(1), np.where(held, np.float32(0), prior))
    likely[free] = probability(odds)
    walk = walked(image, likely, free, _SMOOTHNESS, _ITERATIONS)
    sharp = probability(np.float32(_SHARPNESS) * log_odds(walk, 1e-3))
    settled = np.where(free, np.maximum(prior, sharp), np.where(own, np.float32(1), prior))
    new = np.maximum(old, enlarge_along_edges(settled, crop))
    result = alpha.copy()
    np.copyto(result[window], new, where=_in_one_piece(own | free, own, old, new))
    return result


def _by_colour(image: Array, own: Mask, background: Mask, where: Mask) -> Array:
    """Log odds for the stroke's colours against the background's, of the pixels `where`; 0 of too few to tell."""
    rng = np.random.default_rng(0)
    mixtures = [Mixture(image[pixels], rng) for pixels in (own, background) if np.count_nonzero(pixels) >= FEWEST]
    if len(mixtures) < 2:
        return np.zeros(np.count_nonzero(where), np.float32)
    like_own, unlike = (mixture.log_density(image[where]) for mixture in mixtures)
    return np.asarray(np.clip(like_own - unlike, -_LIKELY, _LIKELY), np.float32)


def _in_one_piece(may_change: Mask, stroke: Mask, old: Pixels, new: Pixels) -> Mask:
    """Where two alphas (H, W) differ in one piece with a stroke, among cells (h, w) that may change."""
    height, width = may_change.shape
    difference = new.astype(np.int16) - old
    small = np.asarray(Image.fromarray(difference.astype(np.uint8)).resize((width, height), Image.Resampling.BOX))
    parts = label(((small > _CHANGE) & may_change) | stroke)
    touched = np.unique(parts[stroke])
    return enlarged(np.isin(parts, touched[touched > 0]), old.shape)


def _distance(mask: Mask) -> Array:
    """From each pixel to the nearest of the mask's, in pixels: column by column, then across them. (H, W) -> (H, W)."""
    height, width = mask.shape
    row = np.arange(height, dtype=np.float32)[:, None]
    above = np.maximum.accumulate(np.where(mask, row, np.float32(-1e6)))
    below = np.minimum.accumulate(np.where(mask, row, np.float32(1e6))[::-1])[::-1]
    squares = np.minimum(row - above, below - row) ** 2
    nearest = np.full(mask.shape, np.inf, np.float32)
    across = np.arange(width, dtype=np.float32)
    for column in np.flatnonzero(mask.any(0)):
        np.minimum(nearest, squares[:, column, None] + (across - column) ** 2, out=nearest)
    return np.sqrt(nearest)
