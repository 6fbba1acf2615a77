"""Who is the subject? A mask network asked twice, the answer settled by colour, edges and a person's hints."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from cyclorama.engine.checks import several, shown, whole_number
from cyclorama.engine.errors import BadImage, InvalidOptions, NoSubject
from cyclorama.engine.matting import random_walk
from cyclorama.engine.matting.guided_filter import enlarge_along_edges
from cyclorama.engine.matting.networks import DEFAULT_MASK_MODEL, MaskNetwork, mask_network
from cyclorama.engine.matting.regions import clean, enlarged, label
from cyclorama.engine.notes import note
from cyclorama.engine.photo import Photo, Pixels, Source, load_mask

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_CERTAIN = 0.5  # of the network's own confidence, anywhere
_LEAST_SHARE, _MOST_SHARE = 0.0005, 0.995  # of the photo's area
_GRID = 320  # parts are told apart on a square of so many cells, whatever the photo's shape
_MARGIN = 0.07  # around the subject, of its longer side: what the network sees the second time
_WHOLE = 0.85  # of the photo's area: a second look at so much of it would show nothing new
_LOST = 0.4  # of the first look's subject: if the second finds less than that, both count
_AROUND_STROKES = 1.0  # of their longer side
_OPEN = 0.3  # a confidence that leaves it to the colours
_RIVAL_SIZE, _RIVAL_WORTH = 0.25, 0.75  # of the main part's
_DROPPED = 0.3  # of a part's area
_NEAR = 16  # cells: so near, a small part is a piece of the main one that is hard to see
_BOX_MARGINS = (0.05, 0.1, 0.2)  # around a given box; so much is looked at in turn
# A subject comes so near to each side of its box, of that side's length, even if the box was drawn loosely; where
# nothing as likely as the first of these confidences does, the network sees it only faintly, and the next is tried.
_BOX_GAP, _FAINT = 0.2, (0.5, 0.3, 0.2, 0.1, 0.05, 0.03)
_BOX_SURROUNDINGS = 0.2  # around it: what the colours of the background are taken from
_CHANGE_SIDE, _CHANGE = 512, 48  # alphas before and after a stroke: cells along the longer side, and grey levels
_BLURRED = 0.05  # sigma, of the longer side


@dataclass(frozen=True)
class Hints:
    """What a person knows of the subject.

    box: x, y, width, height in pixels of the upright photo; the subject is inside and all outside is background.
    keep, drop: (H, W) bool, strokes over what is subject, and what is not, for certain.
    """

    box: tuple[int, int, int, int] | None = None
    keep: Mask | None = None
    drop: Mask | None = None

    @classmethod
    def read(
        cls,
        photo_size: tuple[int, int],
        box: tuple[int, int, int, int] | None = None,
        keep: Source | None = None,
        drop: Source | None = None,
    ) -> Hints:
        """Brush masks from files or images, white where the brush went. Raises BadImage and InvalidOptions."""
        if box is not None:
            limit = 2**31
            x, y, width, height = (
                whole_number("the box", value, -limit, limit) for value in several("the box", box, 4)
            )
            if min(width, height) < 2 or x >= photo_size[0] or y >= photo_size[1] or x + width < 2 or y + height < 2:
                raise InvalidOptions(
                    f"the box must be x,y,width,height in pixels within the photo's {photo_size[0]}x{photo_size[1]}, "
                    f"got {x},{y},{width},{height}"
                )
            left, top = max(x, 0), max(y, 0)
            box = (left, top, min(x + width, photo_size[0]) - left, min(y + height, photo_size[1]) - top)
        strokes = [_strokes(source, photo_size, name) for source, name in ((keep, "keep"), (drop, "drop"))]
        hints = cls(box, *strokes)
        if hints.keep is not None and hints.drop is not None and (hints.keep & hints.drop).any():
            raise InvalidOptions("the masks to keep and to drop overlap; leave each pixel to one of them")
        if hints.box is not None and hints.keep is not None:
            x, y, width, height = hints.box
            within = np.count_nonzero(hints.keep[y : y + height, x : x + width])
            if within < np.count_nonzero(hints.keep):
                raise InvalidOptions("the mask to keep reaches out of the box; make the box larger")
        return hints

    def __bool__(self) -> bool:
        return any(hint is not None for hint in (self.box, self.keep, self.drop))


def _strokes(source: Source | None, photo_size: tuple[int, int], name: str) -> Mask | None:
    if source is None:
        return None
    strokes = load_mask(source, photo_size, f"mask to {name}") > 127
    if not strokes.any():
        raise InvalidOptions(f"the mask to {name} is nowhere white; paint over what to {name} in white")
    return strokes


class _View(NamedTuple):
    """A part of the photo, in pixels; right and bottom are beyond its last."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    def of(self, pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.ascontiguousarray(pixels[self.top : self.bottom, self.left : self.right])

    def grown(self, margin: float, size: tuple[int, int]) -> _View:
        """By a share of its longer side all round, within the photo."""
        more = margin * max(self.right - self.left, self.bottom - self.top)
        return _View(
            max(0, int(self.left - more)), max(0, int(self.top - more)),
            min(size[0], int(np.ceil(self.right + more))), min(size[1], int(np.ceil(self.bottom + more))),
        )  # fmt: skip


def subject_alpha(
    photo: Photo, mask: Source | None = None, mask_model: str | None = None, hints: Hints | None = None
) -> Pixels:
    """The subject's alpha (H, W): from a given mask, the photo's own transparency, or a mask network."""
    if mask is not None:
        alpha = load_mask(mask, photo.size)
        check(alpha, "the given mask")
        return alpha
    if mask_model is None and photo.alpha is not None and not hints:
        note("the photo's own transparency is its mask; name a mask model to look for the subject instead")
        check(photo.alpha, "the photo's own transparency")
        return photo.alpha
    return find_subject(photo.rgb, DEFAULT_MASK_MODEL if mask_model is None else mask_model, hints)


def find_subject(rgb: Pixels, mask_model: str = DEFAULT_MASK_MODEL, hints: Hints | None = None) -> Pixels:
    """The subject's alpha in a photo: (H, W, 3) uint8 -> (H, W) uint8, 255 inside.

    The network looks at the whole photo, then at the subject's own surroundings. What it is unsure of is settled by
    colour (`engine.matting.random_walk`), and the edge is brought to the photo's resolution
    (`engine.matting.guided_filter`).
    Raises NoSubject when there is none, InvalidOptions for an unknown model and BackendUnavailable when rembg is
    wanted and missing.
    """
    hints = Hints() if hints is None else hints
    if not isinstance(hints, Hints):
        raise InvalidOptions(f"hints must be Hints, got {shown(hints)}")
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        got = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else shown(rgb)
        raise BadImage(f"a subject is looked for in uint8 pixels of shape (H, W, 3), got {got}")
    network = mask_network(mask_model)
    alpha = _find(network, mask_model, rgb, hints)
    if hints.drop is not None:
        # It takes away where it lies, whatever else the network and the colours would now make of the photo.
        before = _find(network, mask_model, rgb, dataclasses.replace(hints, drop=None))
        alpha = np.where(_changed_around(hints.drop, before, alpha), alpha, before)
        alpha[hints.drop] = 0
    check(alpha, mask_model)
    return alpha


def _find(network: MaskNetwork, name: str, rgb: Pixels, hints: Hints) -> Pixels:
    look = _in_box if hints.box else _at_large
    view, confidence, dropped = look(network, name, rgb, hints)
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
    return alpha


def _changed_around(stroke: Mask, before: Pixels, after: Pixels) -> Mask:
    """Where two alphas differ, in one piece with a stroke."""
    scale = min(1.0, _CHANGE_SIDE / max(stroke.shape))
    size = (max(1, round(stroke.shape[1] * scale)), max(1, round(stroke.shape[0] * scale)))
    difference = np.abs(after.astype(np.int16) - before).astype(np.uint8)
    small = np.asarray(Image.fromarray(difference).resize(size, Image.Resampling.BOX)) > _CHANGE
    cells = np.asarray(Image.fromarray(stroke).convert("L").resize(size, Image.Resampling.BOX)) > 0
    parts = label(small | cells)
    touched = np.unique(parts[cells])
    return enlarged(np.isin(parts, touched[touched > 0]), stroke.shape)


def _at_large(network: MaskNetwork, name: str, rgb: Pixels, hints: Hints) -> tuple[_View, Array, Mask]:
    """Looks for the subject anywhere: where it is, the network's confidence there, and what there is not of it."""
    height, width = rgb.shape[:2]
    photo = Image.fromarray(rgb)
    first = _resized(network.confidence(photo), (_GRID, _GRID))
    if hints.keep is None:
        _check_confidence(first, name)
    parts = _parts(first)
    strokes = [None if hint is None else _on_grid(hint) for hint in (hints.keep, hints.drop)]
    chosen = _chosen(parts, rgb, *strokes) if parts else []
    wanted = np.any([*chosen, *(stroke for stroke in strokes[:1] if stroke is not None)], axis=0)
    if not np.any(wanted):
        raise no_subject(name, "nothing is left of what it found")
    others = [part for part in parts if not any(part is one for one in chosen)]
    unwanted = np.any(others, axis=0) if others else np.zeros((_GRID, _GRID), bool)
    # Strokes over what the network did not see: what it belongs to lies around them, and colours must tell.
    is_unseen = not chosen
    view = _around(wanted, (width, height)).grown(_AROUND_STROKES if is_unseen else _MARGIN, (width, height))
    confidence = _seen_in(first, view, (width, height))
    if view.area < _WHOLE * width * height:
        second = _resized(network.confidence(photo.crop(view)), (network.side, network.side))
        confidence = _resized(confidence, second.shape[::-1])
        has_lost = np.count_nonzero(second > 0.5) < _LOST * np.count_nonzero(confidence > 0.5)
        confidence = np.maximum(confidence, second) if has_lost else second
    if is_unseen:
        confidence = np.maximum(confidence, np.float32(_OPEN))
    size = (view.right - view.left, view.bottom - view.top)
    dropped = _seen_in(unwanted.astype(np.float32), view, (width, height)) > 0.5
    return view, confidence, np.asarray(Image.fromarray(dropped).resize(size, Image.Resampling.NEAREST))


def _in_box(network: MaskNetwork, name: str, rgb: Pixels, hints: Hints) -> tuple[_View, Array, Mask]:
    """Looks at a box from nearer and farther, and once with what lies around it blurred; their mean log odds.

    The odds are raised until what is more likely subject than not comes near to all four sides of the box; where
    nothing would, they stay.
    """
    assert hints.box is not None
    height, width = rgb.shape[:2]
    x, y, wide, high = hints.box
    box = _View(x, y, x + wide, y + high)
    view = box.grown(_BOX_SURROUNDINGS, (width, height))
    outside = np.ones((height, width), bool)
    outside[box.top : box.bottom, box.left : box.right] = False
    photo = Image.fromarray(rgb)
    views = [(photo, box.grown(margin, (width, height))) for margin in _BOX_MARGINS]
    views.append((_blurred_outside(photo, box.grown(0.01, (width, height))), views[-1][1]))
    scale = min(1.0, 2 * network.side / max(view.right - view.left, view.bottom - view.top))
    size = (max(1, round((view.right - view.left) * scale)), max(1, round((view.bottom - view.top) * scale)))
    canvas = Image.new("F", size)
    odds = np.zeros((canvas.height, canvas.width), np.float32)
    for image, seen in views:
        left, top, right, bottom = (
            round((edge - start) * scale) for edge, start in zip(seen, (*view[:2], *view[:2]), strict=True)
        )
        inner = (max(1, right - left), max(1, bottom - top))
        part = Image.fromarray(_resized(network.confidence(image.crop(seen)), inner))
        canvas.paste(0, (0, 0, *canvas.size))
        canvas.paste(part, (left, top))
        clipped = np.clip(np.asarray(canvas), 1e-3, 1 - 1e-3)
        odds += np.log(clipped / (1 - clipped))
    confidence: Array = (1 / (1 + np.exp(-odds / len(views)))).astype(np.float32)
    rows, columns = (
        slice(int((start - first) * scale), int(np.ceil((stop - first) * scale)))
        for start, stop, first in ((box.top, box.bottom, view.top), (box.left, box.right, view.left))
    )
    faint = _reaching_all_sides(confidence[rows, columns])
    raised = confidence * (1 - faint) / (confidence * (1 - faint) + (1 - confidence) * faint)
    return view, raised.astype(np.float32), np.asarray(view.of(outside), np.bool_)


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


def _blurred_outside(photo: Image.Image, box: _View) -> Image.Image:
    """The photo out of focus but for the box: a network made to find what stands out looks there."""
    small = photo.reduce(max(1, max(photo.size) // 256))
    blurred = small.filter(ImageFilter.GaussianBlur(_BLURRED * max(small.size))).resize(photo.size)
    blurred.paste(photo.crop(box), (box.left, box.top))
    return blurred


def _check_confidence(confidence: Array, name: str) -> None:
    low, high = float(confidence.min()), float(confidence.max())
    if high < _CERTAIN:
        raise no_subject(name, f"it is nowhere more than {high:.0%} sure")
    if high - low < _CERTAIN:
        raise no_subject(name, "it cannot tell subject from background")


def _parts(confidence: Array) -> list[Mask]:
    """What the network is sure of in one piece each, the largest first, without specks."""
    numbers = label(confidence > _CERTAIN)
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    return [numbers == number for number in np.argsort(-sizes) if sizes[number] > max(4, 0.01 * sizes.max())]


def _chosen(parts: list[Mask], rgb: Pixels, keep: Mask | None, drop: Mask | None) -> list[Mask]:
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
    away = float(np.hypot(*(index.mean() / _GRID - 0.5 for index in np.nonzero(part))))
    border = sum(int(line.sum()) for line in (part[0], part[-1], part[:, 0], part[:, -1])) / _GRID
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
    return _resized(most, (_GRID, _GRID))


def _grown(mask: Mask, cells: int) -> Mask:
    image = Image.fromarray(mask).convert("L")
    for _ in range(cells):  # Pillow is quick with the smallest window only
        image = image.filter(ImageFilter.MaxFilter(3))
    return np.asarray(image) > 0


def _on_grid(mask: Mask) -> Mask:
    """Every cell that a stroke touches."""
    return _resized(mask.astype(np.float32), (_GRID, _GRID), Image.Resampling.BOX) > 0


def _around(cells: Mask, size: tuple[int, int]) -> _View:
    """The pixels that the cells cover."""
    rows, columns = (np.flatnonzero(cells.any(axis)) for axis in (1, 0))
    across, down = size[0] / _GRID, size[1] / _GRID
    return _View(
        int(columns[0] * across), int(rows[0] * down),
        int(np.ceil((columns[-1] + 1) * across)), int(np.ceil((rows[-1] + 1) * down)),
    )  # fmt: skip


def _seen_in(confidence: Array, view: _View, size: tuple[int, int]) -> Array:
    """A view's part of what was seen in the whole photo."""
    across, down = _GRID / size[0], _GRID / size[1]
    part = (view.left * across, view.top * down, view.right * across, view.bottom * down)
    image = Image.fromarray(confidence).resize((_GRID, _GRID), Image.Resampling.BILINEAR, part)
    return np.asarray(image)


def _resized(values: Array, size: tuple[int, int], resample: Image.Resampling = Image.Resampling.BILINEAR) -> Array:
    return np.asarray(Image.fromarray(values).resize(size, resample))


def check(alpha: Pixels, origin: str) -> None:
    """Raises NoSubject when an alpha is (almost) empty or (almost) full."""
    share = float(np.count_nonzero(alpha > 127)) / alpha.size
    if share < _LEAST_SHARE:
        raise no_subject(origin, "the mask is empty")
    if share > _MOST_SHARE:
        raise no_subject(origin, "the mask covers the whole photo")


def no_subject(origin: str, why: str) -> NoSubject:
    """The error for a photo in which `origin` found nothing."""
    return NoSubject(
        f"no subject found ({origin}: {why}); say where it is (--box X,Y,WIDTH,HEIGHT), try another mask model "
        "(--mask-model isnet-general-use) or give a mask (--mask FILE)"
    )
