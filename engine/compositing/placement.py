"""Where the subject goes: onto a canvas of another size or shape, and where on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.engine.arrays import Pixels
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.matting.regions import substance
from cyclorama.engine.notes import note
from cyclorama.engine.options import Layout

_SIDES = (("left", "right"), ("upper", "lower"))
_CUT_ON_BOTH_SIDES = (0.5, 1.0)  # in the middle, and down: a cut below looks least cut
MOST_ENLARGED = 2.0
"""Times that a subject is enlarged to fill a canvas: more would show."""
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


def placement(layout: Layout, alpha: Pixels) -> Placement:
    """Where the photo of a subject's alpha (H, W) comes to lie on its canvas.

    Where the photo's edge cuts the subject off, it stays at that edge of the canvas, if no position is given.
    Raises InvalidOptions.
    """
    size = alpha.shape[1], alpha.shape[0]
    solid = substance(alpha)
    box = [(int(marked[0]), int(marked[-1]) + 1) for marked in (np.flatnonzero(solid.any(axis)) for axis in (0, 1))]
    subject = box[0][1] - box[0][0], box[1][1] - box[1][0]
    canvas = layout.canvas_size(size, subject)
    scale = layout.subject_scale or min(1.0, canvas[0] / size[0], canvas[1] / size[1])
    if layout.fill is not None:
        scale = _filling(layout.fill, canvas, subject)
    corner, pinned = [], []
    for axis, (start, stop) in enumerate(box):
        room = size[axis] - (stop - start)
        share = start / room if room else _CUT_ON_BOTH_SIDES[axis]
        if layout.subject_position is not None:
            share = layout.subject_position[axis]
        elif share in (0, 1) and canvas[axis] > _scaled(size[axis], scale):
            pinned.append(_SIDES[axis][int(share)])
        elif layout.fill is not None and share not in (0, 1):
            share = 0.5
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
    placed = Placement(canvas, scale, corner[0], corner[1])
    _tell_cut_edges(solid, placed)
    return placed


def _filling(fill: float, canvas: tuple[int, int], subject: tuple[int, int]) -> float:
    """The scale at which a subject's box takes so much of the canvas, along the side that it fills most."""
    scale = fill * min(canvas[0] / subject[0], canvas[1] / subject[1])
    if scale > MOST_ENLARGED:
        raise InvalidOptions(
            f"a subject of {subject[0]}x{subject[1]} pixels would be enlarged {scale:.1f} times to fill {fill:.0%} of "
            f"{canvas[0]}x{canvas[1]}, and {MOST_ENLARGED:g} times is the most; bring a larger photo, or make fill or "
            "the canvas smaller",
            option="fill",
        )
    return 1.0 if abs(scale - 1) * max(subject) < 1 else scale  # less than a pixel is not worth every pixel's numbers


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
