"""Where a network looks for the subject, and what it sees there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from cyclorama.engine.arrays import Array, Mask, Pixels
from cyclorama.engine.cancelling import stop_if_cancelled
from cyclorama.engine.errors import NoSubject
from cyclorama.engine.matting.hints import Hints
from cyclorama.engine.matting.networks import MaskNetwork
from cyclorama.engine.matting.parts import CERTAIN, GRID, on_grid, parts_of, resized
from cyclorama.engine.matting.parts import chosen as chosen_of
from cyclorama.engine.matting.random_walk import log_odds, probability

_MARGIN = 0.25  # around the subject, of its longer side: what the network sees the second time
_WHOLE = 0.85  # of the photo's area: a second look at so much of it would show nothing new
_OF_SECOND = 0.5  # weight of the second look's log odds beside the first's
_OF_BESIDE = 0.7  # and of the second network's
_DOUBT = (-2.66, 3.10, 3.64)  # logistic regression: constant, of disagreement, of what is unsure
_DARK, _LIT = 64, 110  # mean grey levels: a photo below the first is looked at as if it had the second, too
_AROUND_STROKES = 1.0  # of their longer side
_OPEN = 0.3  # a confidence that leaves it to the colours
_BOX_MARGINS = (0.05, 0.1, 0.2)  # around a given box; so much is looked at in turn
# A subject comes so near to each side of its box, of that side's length, even if the box was drawn loosely; where
# nothing as likely as the first of these confidences does, the network sees it only faintly, and the next is tried.
_BOX_GAP, _FAINT = 0.2, (0.5, 0.3, 0.2, 0.1, 0.05, 0.03)
_BOX_SURROUNDINGS = 0.2  # around it: what the colours of the background are taken from
_BLURRED = 0.05  # sigma, of the longer side
_LEAST_CONFIDENCE = 1e-3  # and the most is as far from 1, where log odds are taken
_KEPT = 16  # looks


class View(NamedTuple):
    """A part of the photo, in pixels; right and bottom are beyond its last."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, mask: Mask) -> View:
        """Close around a mask (H, W) that is not empty."""
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        return cls(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)

    @property
    def area(self) -> int:
        """In pixels."""
        return (self.right - self.left) * (self.bottom - self.top)

    def of(self, pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """That part of an array (H, W, ...)."""
        return np.ascontiguousarray(pixels[self.top : self.bottom, self.left : self.right])

    def grown(self, margin: float, size: tuple[int, int]) -> View:
        """By a share of its longer side all round, within the photo."""
        more = margin * max(self.right - self.left, self.bottom - self.top)
        return View(
            max(0, int(self.left - more)), max(0, int(self.top - more)),
            min(size[0], int(np.ceil(self.right + more))), min(size[1], int(np.ceil(self.bottom + more))),
        )  # fmt: skip


class Seen(NamedTuple):
    """What came of looking: where, the confidence there (h, w), what is not the subject, (H, W) of the view, and doubt.

    doubt: how often a mask of this kind has an IoU under 0.8, 0 to 1; None where it was not measured: with hints, and
    with another network than the default.
    """

    view: View
    confidence: Array
    dropped: Mask
    doubt: float | None = None


class Looks:
    """What networks saw of one photo, kept for the next time: a stroke or a box costs no look that was had before.

    The photo must be the same every time. May be shared between threads.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[object, ...], Array] = OrderedDict()
        self._lock = Lock()

    @property
    def nbytes(self) -> int:
        """What is kept, in bytes."""
        with self._lock:
            return sum(seen.nbytes for seen in self._seen.values())

    def at(
        self,
        network: MaskNetwork,
        view: View,
        image: Callable[[], Image.Image],
        blurred: View | None = None,
        is_bright: bool = False,
    ) -> Array:
        """A network's confidence in a view of the photo; image: what it is shown, where it has not seen it yet.

        blurred: outside this the photo is out of focus.  is_bright: it is brightened.
        """
        key = (network.name, view, blurred, is_bright)
        with self._lock:
            if key not in self._seen:
                stop_if_cancelled()
                self._seen[key] = network.confidence(image())
                if len(self._seen) > _KEPT:
                    self._seen.popitem(last=False)
            self._seen.move_to_end(key)
            return self._seen[key]

    def __getstate__(self) -> dict[str, object]:
        with self._lock:
            return {"_seen": self._seen.copy()}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _lock=Lock())


def at_large(network: MaskNetwork, rgb: Pixels, hints: Hints, looks: Looks) -> Seen:
    """Looks for the subject anywhere: where it is, the network's confidence there, and what there is not of it."""
    height, width = rgb.shape[:2]
    photo = Image.fromarray(rgb)
    first = seen_at_first(network, rgb, looks)
    if hints.keep is None:
        _check_confidence(first, network.name)
    parts = parts_of(first)
    strokes = [None if hint is None else on_grid(hint) for hint in (hints.keep, hints.drop)]
    chosen = chosen_of(parts, rgb, *strokes) if parts else []
    wanted = np.any([*chosen, *(stroke for stroke in strokes[:1] if stroke is not None)], axis=0)
    if not np.any(wanted):
        raise no_subject(network.name, "nothing is left of what it found")
    others = [part for part in parts if not any(part is one for one in chosen)]
    unwanted = np.any(others, axis=0) if others else np.zeros((GRID, GRID), bool)
    # Strokes over what the network did not see: what it belongs to lies around them, and colours must tell.
    is_unseen = not chosen
    view = _around(wanted, (width, height)).grown(_AROUND_STROKES if is_unseen else _MARGIN, (width, height))
    confidence = _seen_in(first, view, (width, height))
    if view.area < _WHOLE * width * height:
        second = resized(looks.at(network, view, lambda: photo.crop(view)), (network.side, network.side))
        of_first = 0.0 if is_unseen else 1.0  # which did not see what is meant
        confidence = _together([(resized(confidence, second.shape[::-1]), of_first), (second, _OF_SECOND)])
    if is_unseen:
        confidence = np.maximum(confidence, np.float32(_OPEN))
    size = (view.right - view.left, view.bottom - view.top)
    dropped = _seen_in(unwanted.astype(np.float32), view, (width, height)) > 0.5
    doubt = None if hints or network.beside is None else _doubt(network, network.beside, photo, looks, confidence)
    return Seen(view, confidence, np.asarray(Image.fromarray(dropped).resize(size, Image.Resampling.NEAREST)), doubt)


def _doubt(network: MaskNetwork, beside: MaskNetwork, photo: Image.Image, looks: Looks, confidence: Array) -> float:
    """By how far the two networks disagree on the whole photo, and how much of the subject's area is unsure."""
    whole = View(0, 0, *photo.size)
    one, other = (resized(looks.at(each, whole, lambda: photo), (GRID, GRID)) > CERTAIN for each in (network, beside))
    disagreement = 1 - int((one & other).sum()) / max(1, int((one | other).sum()))
    unsure = int(((confidence > 0.1) & (confidence < 0.9)).sum()) / max(1, int((confidence > 0.5).sum()))
    odds = _DOUBT[0] + _DOUBT[1] * disagreement + _DOUBT[2] * min(unsure, 1.0)
    return float(1 / (1 + np.exp(-odds)))


def seen_at_first(network: MaskNetwork, rgb: Pixels, looks: Looks) -> Array:
    """What is seen in the whole photo, (GRID, GRID): by the network, by the one beside it, and brightened if dark."""
    photo = Image.fromarray(rgb)
    whole = View(0, 0, *photo.size)
    seen = [(looks.at(network, whole, lambda: photo), 1.0)]
    if network.beside is not None:
        seen.append((looks.at(network.beside, whole, lambda: photo), _OF_BESIDE))
    mean = float(np.asarray(photo.convert("L").reduce(max(1, max(photo.size) // 512))).mean())
    if mean < _DARK:
        seen.append((looks.at(network, whole, lambda: _brightened(photo, mean), is_bright=True), 1.0))
    return _together([(resized(confidence, (GRID, GRID)), weight) for confidence, weight in seen])


def _together(seen: Sequence[tuple[Array, float]]) -> Array:
    """Confidences of one size by the mean of their log odds, each with its weight."""
    if len(seen) == 1:
        return seen[0][0]
    odds = sum(weight * log_odds(confidence, _LEAST_CONFIDENCE) for confidence, weight in seen)
    return probability(np.asarray(odds, np.float32) / np.float32(sum(weight for _, weight in seen)))


def _brightened(photo: Image.Image, mean: float) -> Image.Image:
    """By the gamma that brings the mean where photos usually have it."""
    gamma = np.log(_LIT / 255) / np.log(max(mean, 1.0) / 255)
    return photo.point(np.round((np.arange(256) / 255) ** gamma * 255).astype(int).tolist() * 3)


def in_box(network: MaskNetwork, rgb: Pixels, hints: Hints, looks: Looks) -> Seen:
    """Looks at a box from nearer and farther, and once with what lies around it blurred; their mean log odds.

    The odds are raised until what is more likely subject than not comes near to all four sides of the box; where
    nothing would, they stay.
    """
    assert hints.box is not None
    height, width = rgb.shape[:2]
    x, y, wide, high = hints.box
    box = View(x, y, x + wide, y + high)
    view = box.grown(_BOX_SURROUNDINGS, (width, height))
    photo = Image.fromarray(rgb)
    views = [box.grown(margin, (width, height)) for margin in _BOX_MARGINS]
    sharp = box.grown(0.01, (width, height))
    seen = [looks.at(network, part, partial(photo.crop, part)) for part in views]
    seen.append(looks.at(network, views[-1], lambda: _blurred_outside(photo, sharp).crop(views[-1]), sharp))
    scale = min(1.0, 2 * network.side / max(view.right - view.left, view.bottom - view.top))
    size = (max(1, round((view.right - view.left) * scale)), max(1, round((view.bottom - view.top) * scale)))
    canvas = Image.new("F", size)
    odds = np.zeros((canvas.height, canvas.width), np.float32)
    for part, confident in zip((*views, views[-1]), seen, strict=True):
        left, top, right, bottom = (
            round((edge - start) * scale) for edge, start in zip(part, (*view[:2], *view[:2]), strict=True)
        )
        inner = (max(1, right - left), max(1, bottom - top))
        canvas.paste(0, (0, 0, *canvas.size))
        canvas.paste(Image.fromarray(resized(confident, inner)), (left, top))
        odds += log_odds(np.asarray(canvas), _LEAST_CONFIDENCE)
    confidence = probability(odds / np.float32(len(seen)))
    rows, columns = (
        slice(int((start - first) * scale), int(np.ceil((stop - first) * scale)))
        for start, stop, first in ((box.top, box.bottom, view.top), (box.left, box.right, view.left))
    )
    faint = _reaching_all_sides(confidence[rows, columns])
    raised = confidence * (1 - faint) / (confidence * (1 - faint) + (1 - confidence) * faint)
    return Seen(view, raised.astype(np.float32), np.asarray(view.of(hints.outside(rgb.shape)), np.bool_))


def _reaching_all_sides(confidence: Array) -> float:
    """The confidence in a box above which something comes near to all its sides; 0.5 where none does."""
    for level in _FAINT:
        gaps = []
        for axis in (0, 1):
            found = np.flatnonzero((confidence > level).any(axis))
            length = confidence.shape[1 - axis]
            gaps += [found[0] / length, 1 - (found[-1] + 1) / length] if len(found) else [1.0]
        if max(gaps) <= _BOX_GAP:
            return level
    return _FAINT[0]


def _blurred_outside(photo: Image.Image, box: View) -> Image.Image:
    """The photo out of focus but for the box: a network made to find what stands out looks there."""
    small = photo.reduce(max(1, max(photo.size) // 256))
    blurred = small.filter(ImageFilter.GaussianBlur(_BLURRED * max(small.size))).resize(photo.size)
    blurred.paste(photo.crop(box), (box.left, box.top))
    return blurred


def _check_confidence(confidence: Array, name: str) -> None:
    low, high = float(confidence.min()), float(confidence.max())
    if high < CERTAIN:
        raise no_subject(name, f"it is nowhere more than {high:.0%} sure")
    if high - low < CERTAIN:
        raise no_subject(name, "it cannot tell subject from background")


def _around(cells: Mask, size: tuple[int, int]) -> View:
    """The pixels that the cells cover."""
    left, top, right, bottom = View.around(cells)
    across, down = size[0] / GRID, size[1] / GRID
    return View(
        int(left * across), int(top * down), int(np.ceil(right * across)), int(np.ceil(bottom * down))
    )  # fmt: skip


def _seen_in(confidence: Array, view: View, size: tuple[int, int]) -> Array:
    """A view's part of what was seen in the whole photo."""
    across, down = GRID / size[0], GRID / size[1]
    part = (view.left * across, view.top * down, view.right * across, view.bottom * down)
    image = Image.fromarray(confidence).resize((GRID, GRID), Image.Resampling.BILINEAR, part)
    return np.asarray(image)


def no_subject(origin: str, why: str, hint: str | None = None) -> NoSubject:
    """The error for a photo in which `origin` found nothing."""
    return NoSubject(
        f"no subject found ({origin}: {why})",
        hint=hint or "say where it is (`box`), try another mask model (`mask_model`) or give a mask (`mask`)",
    )
