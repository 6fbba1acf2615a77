"""What a person knows of the subject: a box around it, and strokes over what is part of it and what is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cyclorama.engine.arrays import Mask
from cyclorama.engine.checks import several, whole_number
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.photo import Source, load_mask


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
                    f"got {x},{y},{width},{height}",
                    option="box",
                )
            left, top = max(x, 0), max(y, 0)
            box = (left, top, min(x + width, photo_size[0]) - left, min(y + height, photo_size[1]) - top)
        strokes = [_strokes(source, photo_size, name) for source, name in ((keep, "keep"), (drop, "drop"))]
        hints = cls(box, *strokes)
        if hints.keep is not None and hints.drop is not None and (hints.keep & hints.drop).any():
            raise InvalidOptions(
                "the masks to keep and to drop overlap; leave each pixel to one of them", option="drop"
            )
        if hints.box is not None and hints.keep is not None:
            x, y, width, height = hints.box
            within = np.count_nonzero(hints.keep[y : y + height, x : x + width])
            if within < np.count_nonzero(hints.keep):
                raise InvalidOptions("the mask to keep reaches out of the box; make the box larger", option="box")
        return hints

    def outside(self, shape: tuple[int, ...]) -> Mask:
        """What is not in the box, of a photo (H, W); nothing without one."""
        mask = np.full(shape[:2], self.box is not None)
        if self.box is not None:
            x, y, width, height = self.box
            mask[y : y + height, x : x + width] = False
        return mask

    def __bool__(self) -> bool:
        return any(hint is not None for hint in (self.box, self.keep, self.drop))


def _strokes(source: Source | None, photo_size: tuple[int, int], name: str) -> Mask | None:
    if source is None:
        return None
    strokes = load_mask(source, photo_size, f"mask to {name}") > 127
    if not strokes.any():
        raise InvalidOptions(f"the mask to {name} is nowhere white; paint over what to {name} in white", option=name)
    return strokes
