"""Who is the subject? A mask network asked twice, the answer settled by colour, edges and a person's hints."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

import numpy as np
from PIL import Image

from cyclorama.engine.arrays import Array, Mask, Pixels, reduced_size
from cyclorama.engine.checks import shown
from cyclorama.engine.errors import BadImage, InvalidOptions, NoSubject
from cyclorama.engine.matting import random_walk
from cyclorama.engine.matting.guided_filter import enlarge_along_edges
from cyclorama.engine.matting.hints import Hints
from cyclorama.engine.matting.looks import Looks, View, at_large, in_box, no_subject, seen_at_first
from cyclorama.engine.matting.networks import DEFAULT_MASK_MODEL, MaskNetwork, mask_network
from cyclorama.engine.matting.parts import on_grid, parts_of
from cyclorama.engine.matting.regions import clean, enlarged, label
from cyclorama.engine.matting.strokes import corrected
from cyclorama.engine.notes import note, unheard
from cyclorama.engine.options import MaskModel

_LEAST_SHARE, _MOST_SHARE = 0.0005, 0.995  # of the photo's area
_DOUBTFUL = 0.5
_CONFIRMED = 0.75  # IoU of a person's box and the one around what was found without it: they mean the same
_CHANGE_SIDE, _CHANGE = 512, 48  # alphas before and after a stroke: cells along the longer side, and grey levels


def find_subject(
    rgb: Pixels, mask_model: MaskModel = DEFAULT_MASK_MODEL, hints: Hints | None = None, looks: Looks | None = None
) -> Pixels:
    """The subject's alpha in a photo: (H, W, 3) uint8 -> (H, W) uint8, 255 inside.

    The network looks at the whole photo, then at the subject's own surroundings. What it is unsure of is settled by
    colour (`engine.matting.random_walk`), and the edge is brought to the photo's resolution
    (`engine.matting.guided_filter`).
    looks: what was seen of this photo before, and is kept for the next time.
    Raises NoSubject when there is none, and what `mask_network` raises.
    """
    return find_with_doubt(rgb, mask_model, hints, looks)[0]


def find_with_doubt(
    rgb: Pixels, mask_model: MaskModel = DEFAULT_MASK_MODEL, hints: Hints | None = None, looks: Looks | None = None
) -> tuple[Pixels, float | None]:
    """As `find_subject`, and how doubtful the alpha is: see `engine.matting.looks.Seen`. Over a half it is noted."""
    hints = Hints() if hints is None else hints
    if not isinstance(hints, Hints):
        raise InvalidOptions(f"hints must be Hints, got {shown(hints)}")
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        got = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else shown(rgb)
        raise BadImage(f"a subject is looked for in uint8 pixels of shape (H, W, 3), got {got}")
    looks = Looks() if looks is None else looks
    if not isinstance(looks, Looks):
        raise InvalidOptions(f"looks must be Looks, got {shown(looks)}")
    network = mask_network(mask_model)
    try:
        alpha, doubt = _find(network, rgb, dataclasses.replace(hints, keep=None, drop=None), looks)
        if hints.box is not None:
            alpha = np.maximum(alpha, _confirmed_by(hints, network, rgb, looks))
        before = alpha
    except NoSubject:
        if hints.keep is None:
            raise
        alpha, doubt = np.zeros(rgb.shape[:2], np.uint8), None
        before = alpha
    if hints.keep is not None or hints.drop is not None:
        doubt = None
        if not before.any() and hints.keep is not None:
            alpha, _ = _find(network, rgb, hints, looks)
        elif hints.box is None:
            alpha = _looked_again(network, rgb, hints, looks, before)
        alpha = corrected(rgb, alpha, before, hints.keep, hints.drop)
        alpha[hints.outside(alpha.shape)] = 0
    check(alpha, network.name)
    if doubt is not None and doubt > _DOUBTFUL:
        note(f"the mask is doubtful ({doubt:.0%} of such masks are wrong): look at it; a box around the subject helps")
    return alpha, doubt


def _find(network: MaskNetwork, rgb: Pixels, hints: Hints, looks: Looks) -> tuple[Pixels, float | None]:
    look = in_box if hints.box else at_large
    view, confidence, dropped, doubt = look(network, rgb, hints, looks)
    crop = np.asarray(view.of(rgb), np.uint8)
    keep = None if hints.keep is None else np.asarray(view.of(hints.keep), np.bool_)
    if hints.drop is not None:
        dropped = dropped | np.asarray(view.of(hints.drop), np.bool_)
    settled = enlarge_along_edges(random_walk.settle(crop, confidence, keep, dropped, bool(hints), network.side), crop)
    settled[dropped] = 0
    where = (slice(view.top, view.bottom), slice(view.left, view.right))
    alpha = np.zeros(rgb.shape[:2], np.uint8)
    alpha[where] = settled
    alpha = clean(alpha)
    alpha[where][dropped] = 0  # what was filled there as a hole is none
    if hints.keep is not None:
        alpha[hints.keep] = 255
    return alpha, doubt


def _confirmed_by(hints: Hints, network: MaskNetwork, rgb: Pixels, looks: Looks) -> Pixels:
    """What is found without the box, in it, if a box around that would be much the same; else nothing."""
    nothing = np.zeros(rgb.shape[:2], np.uint8)
    try:
        with unheard():
            found, _ = _find(network, rgb, Hints(), looks)
    except NoSubject:
        return nothing
    if not (found > 127).any():
        return nothing
    given, around = ~hints.outside(found.shape), np.zeros(found.shape, np.bool_)
    left, top, right, bottom = View.around(found > 127)
    around[top:bottom, left:right] = True
    is_same = np.count_nonzero(given & around) >= _CONFIRMED * np.count_nonzero(given | around)
    return np.where(given, found, nothing) if is_same else nothing


def _looked_again(network: MaskNetwork, rgb: Pixels, hints: Hints, looks: Looks, found: Pixels) -> Pixels:
    """What was found, without the whole parts that strokes to drop lie on, and with what is seen around those to keep.

    Those to drop are looked at alone: beside one to keep, which says what is meant, they could take the whole of what
    was found.
    """
    alpha = found.copy()
    without_keep = dataclasses.replace(hints, keep=None)
    if hints.drop is not None and _is_on_a_part(hints.drop, seen_at_first(network, rgb, looks), found):
        with suppress(NoSubject):
            less = np.minimum(found, _find(network, rgb, without_keep, looks)[0])
            np.copyto(alpha, less, where=_changed_around(hints.drop, found, less))
    if hints.keep is not None and (hints.keep & (found <= 127)).any():
        with suppress(NoSubject):
            more = np.maximum(found, _find(network, rgb, hints, looks)[0])
            np.copyto(alpha, np.maximum(alpha, more), where=_changed_around(hints.keep, found, more))
    return alpha


def _is_on_a_part(drop: Mask, seen: Array, found: Pixels) -> bool:
    """Whether a stroke to drop lies on a whole part that was found; of the largest it takes away a piece only."""
    in_found, cells = on_grid(found > 127), on_grid(drop)
    parts = [part for part in parts_of(seen) if 2 * np.count_nonzero(part & in_found) > np.count_nonzero(part)]
    return any((part & cells).any() for part in parts[1:])


def _changed_around(stroke: Mask, before: Pixels, after: Pixels) -> Mask:
    """Where two alphas differ, in one piece with a stroke."""
    size = reduced_size(stroke.shape[1], stroke.shape[0], _CHANGE_SIDE)
    difference = np.abs(after.astype(np.int16) - before).astype(np.uint8)
    small = np.asarray(Image.fromarray(difference).resize(size, Image.Resampling.BOX)) > _CHANGE
    cells = np.asarray(Image.fromarray(stroke).convert("L").resize(size, Image.Resampling.BOX)) > 0
    parts = label(small | cells)
    touched = np.unique(parts[cells])
    return enlarged(np.isin(parts, touched[touched > 0]), stroke.shape)


def check(alpha: Pixels, origin: str, hint: str | None = None) -> None:
    """Raises NoSubject when an alpha is (almost) empty or (almost) full. hint: what to do then."""
    share = float(np.count_nonzero(alpha > 127)) / alpha.size
    if share < _LEAST_SHARE:
        raise no_subject(origin, "the mask is empty", hint)
    if share > _MOST_SHARE:
        raise no_subject(origin, "the mask covers the whole photo", hint)
