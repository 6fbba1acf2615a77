"""Where the subject goes: onto a canvas of another size or shape, and where on it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.engine.checks import number, several, text
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.matting.regions import substance
from cyclorama.engine.notes import note
from cyclorama.engine.photo import MOST_PIXELS, Pixels

_RATIO = re.compile(r"(\d{1,6}(?:\.\d{1,6})?):(\d{1,6}(?:\.\d{1,6})?)")
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")
_LEAST_SCALE, _MOST_SCALE = 0.01, 10.0
_SIDES = (("left", "right"), ("upper", "lower"))
_CUT_ON_BOTH_SIDES = (0.5, 1.0)  # in the middle, and down: a cut below looks least cut
_GREY = 127  # of the canvas where the photo does not reach; never to be seen


@dataclass(frozen=True)
class Placement:
    """How a photo lies on a canvas.

    canvas: width and height in pixels.  scale: of the photo; at 1 its pixels stay as they are, bit for bit.
    left, top: of the photo, in pixels of the canvas; negative where it reaches beyond.
    """

    canvas: tuple[int, int]
    scale: float
    left: int
    top: int

    def place(self, rgb: Pixels, alpha: Pixels) -> tuple[Pixels, Pixels]:
        """The subject's colours (H, W, 3) and alpha (H, W) on the canvas; beyond the photo alpha is 0."""
        height, width = alpha.shape
        if self == Placement((width, height), 1, 0, 0):
            return rgb, alpha
        columns, across = self._overlap(0, self.left, width)
        rows, down = self._overlap(1, self.top, height)
        part = (rows, columns)
        placed = np.full((self.canvas[1], self.canvas[0], 3), _GREY, np.uint8)
        placed_alpha = np.zeros(placed.shape[:2], np.uint8)
        if self.scale == 1:
            seen = (slice(int(down[0]), int(down[1])), slice(int(across[0]), int(across[1])))
            placed[part], placed_alpha[part] = rgb[seen], alpha[seen]
        else:
            size = (columns.stop - columns.start, rows.stop - rows.start)
            placed[part], placed_alpha[part] = _resized(rgb, alpha, size, (across[0], down[0], across[1], down[1]))
        return placed, placed_alpha

    def _overlap(self, axis: int, start: int, length: int) -> tuple[slice, tuple[float, float]]:
        """Where canvas and photo lie over each other along an axis: in pixels of the canvas, and of the photo."""
        first, last = max(0, start), min(self.canvas[axis], start + _scaled(length, self.scale))
        return slice(first, last), ((first - start) / self.scale, min((last - start) / self.scale, length))


@dataclass(frozen=True)
class Layout:
    """What a person can ask of the subject's place.

    canvas: `square`, a ratio such as `4:5` (the smallest canvas of that shape that holds the photo), or a size such as
    `1080x1350`; the photo's own if left out.  subject_scale: 1 keeps the photo's pixels as they are, 0.5 halves it;
    left out, 1, or what fits the photo into a smaller canvas.  subject_position: x and y, 0 to 1: of the room that
    the subject leaves on the canvas, the share that is left of it and above it; (0.5, 1) stands in the middle of the
    bottom edge. Left out, as in the photo: a subject that the photo's edge cuts off stays at the canvas's edge.
    """

    canvas: str | None = None
    subject_scale: float | None = None
    subject_position: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.canvas is not None:
            text("canvas", self.canvas)
            self.canvas_size((1, 1))
        if self.subject_scale is not None:
            remark = "; 1 keeps the photo's own pixels"
            number("subject_scale", self.subject_scale, _LEAST_SCALE, _MOST_SCALE, remark=remark)
        if self.subject_position is not None:
            for share in several("subject_position", self.subject_position, 2):
                number("each of subject_position's two numbers", share, 0, 1)

    def canvas_size(self, photo_size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the canvas for a photo of this size. Raises InvalidOptions."""
        if self.canvas is None:
            return photo_size
        shape = "1:1" if self.canvas == "square" else self.canvas
        if match := _SIZE.fullmatch(shape):
            size = int(match[1]), int(match[2])
        elif match := _RATIO.fullmatch(shape):
            width, height = float(match[1]), float(match[2])
            if not 0.05 <= width / max(height, 1e-9) <= 20:
                raise InvalidOptions(f"a canvas has a shape from 1:20 to 20:1, got {self.canvas}")
            scale = max(photo_size[0] / width, photo_size[1] / height)
            size = round(width * scale), round(height * scale)
        else:
            raise InvalidOptions(
                f"a canvas is `square`, a ratio like 4:5 or a size like 1080x1350, got {self.canvas!r}"
            )
        if not 1 <= size[0] * size[1] <= MOST_PIXELS:
            raise InvalidOptions(
                f"a canvas has 1 to {MOST_PIXELS // 1_000_000} million pixels, got {size[0]}x{size[1]}"
            )
        return size

    def placement(self, alpha: Pixels) -> Placement:
        """Where the photo of a subject's alpha (H, W) comes to lie. Raises InvalidOptions."""
        size = alpha.shape[1], alpha.shape[0]
        canvas = self.canvas_size(size)
        scale = self.subject_scale or min(1.0, canvas[0] / size[0], canvas[1] / size[1])
        solid = substance(alpha)
        corner, pinned = [], []
        for axis in (0, 1):
            marked = np.flatnonzero(solid.any(axis))
            start, stop = int(marked[0]), int(marked[-1]) + 1
            room = size[axis] - (stop - start)
            share = start / room if room else _CUT_ON_BOTH_SIDES[axis]
            if self.subject_position is not None:
                share = self.subject_position[axis]
            elif share in (0, 1) and canvas[axis] > _scaled(size[axis], scale):
                pinned.append(_SIDES[axis][int(share)])
            first, last = _scaled(start, scale), _scaled(stop, scale)
            if first == last:
                raise InvalidOptions(
                    f"nothing is left of a subject scaled by {scale:.2g}, on a canvas of {canvas[0]}x{canvas[1]}; "
                    "make one of them larger"
                )
            corner.append(round(share * (canvas[axis] - (last - first))) - first)
        if pinned:
            note(
                f"the photo's {' and '.join(pinned)} edge cuts the subject off, so it stays at that edge of the "
                "canvas; give a subject position to move it"
            )
        placement = Placement(canvas, scale, corner[0], corner[1])
        _tell_cut_edges(solid, placement)
        return placement


def _tell_cut_edges(solid: npt.NDArray[np.bool_], placement: Placement) -> None:
    """Where the photo's edge cuts the subject off, that shows once it lies within the picture."""
    right = placement.left + _scaled(solid.shape[1], placement.scale)
    bottom = placement.top + _scaled(solid.shape[0], placement.scale)
    inside = {
        "left": (solid[:, 0], placement.left > 0),
        "upper": (solid[0], placement.top > 0),
        "right": (solid[:, -1], right < placement.canvas[0]),
        "lower": (solid[-1], bottom < placement.canvas[1]),
    }
    cut = [name for name, (line, is_inside) in inside.items() if is_inside and line.any()]
    if cut:
        note(
            f"the photo's edge cuts the subject off ({', '.join(cut)}), which shows on this canvas; "
            "move or enlarge the subject until that lies beyond"
        )


def _scaled(length: int, scale: float) -> int:
    return int(length * scale + 0.5)  # always the same way, so that edges which meet in the photo meet on the canvas


def _resized(
    rgb: Pixels, alpha: Pixels, size: tuple[int, int], box: tuple[float, float, float, float]
) -> tuple[Pixels, Pixels]:
    """A part of the photo in another size. Colours count by alpha: none of the old background comes along."""

    def resized(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS, box))

    weight = alpha * np.float32(1 / 255)
    share = resized(weight)
    colours = np.array(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS, box))
    is_subject = share > 1 / 255
    for channel in range(3):
        own = resized(rgb[..., channel] * weight)[is_subject] / share[is_subject]
        colours[..., channel][is_subject] = np.clip(np.round(own), 0, 255)
    return colours, np.clip(np.round(share * 255), 0, 255).astype(np.uint8)
