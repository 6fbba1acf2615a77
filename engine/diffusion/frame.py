"""The working frame: how a photo of any size and shape lies on the canvas that the model paints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from cyclorama.engine.arrays import Pixels
from cyclorama.engine.checks import whole_number

_LONGEST_ASPECT = 4.0  # a canvas is never longer than this; longer photos leave a margin on it
_MAX_SIDE = 2048
# Of the working size's side: 6 and 4 of 512 px. Half a latent keeps the old background's fringe from
# the UNet; half the feather on top lets the feather end inside the subject, not on the background.
_GROW, _FEATHER = 6 / 512, 4 / 512


@dataclass(frozen=True)
class Frame:
    """A canvas of `width` x `height` pixels and the box (left, top, right, bottom) that the photo fills on it.

    The rest of the canvas is margin: painted with the background, then cut off.
    """

    width: int
    height: int
    box: tuple[int, int, int, int]

    @classmethod
    def fit(cls, photo_size: tuple[int, int], size: int, multiple: int) -> Frame:
        """The canvas of about `size`² pixels whose sides are multiples and whose shape is nearest the photo's.

        The photo is never stretched: it is fitted inside, centred.
        """
        cls.check_size(size, multiple)
        photo_width, photo_height = photo_size
        aspect = min(max(photo_width / photo_height, 1 / _LONGEST_ASPECT), _LONGEST_ASPECT)
        width, height = min(
            (
                (w, h)
                for w in _neighbours(size * math.sqrt(aspect), multiple)
                for h in _neighbours(size / math.sqrt(aspect), multiple)
            ),
            # A wrong shape wastes canvas on margins; a wrong area costs time or detail, half as bad.
            key=lambda wh: abs(math.log(wh[0] / wh[1] / aspect)) + 0.5 * abs(math.log(wh[0] * wh[1] / size**2)),
        )
        scale = min(width / photo_width, height / photo_height)
        inner_width = min(width, max(1, round(photo_width * scale)))
        inner_height = min(height, max(1, round(photo_height * scale)))
        left, top = (width - inner_width) // 2, (height - inner_height) // 2
        return cls(width, height, (left, top, left + inner_width, top + inner_height))

    @staticmethod
    def check_size(size: int, multiple: int, limit: int = _MAX_SIDE) -> int:
        """The size, where a canvas can have it. Raises InvalidOptions."""
        return whole_number("size", size, multiple, min(limit, _MAX_SIDE), " for this model")

    @property
    def _inner(self) -> tuple[int, int]:
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    @property
    def _margins(self) -> tuple[tuple[int, int], tuple[int, int]]:
        left, top, right, bottom = self.box
        return (top, self.height - bottom), (left, self.width - right)

    def place_photo(self, rgb: Pixels) -> npt.NDArray[np.float32]:
        """(H, W, 3) uint8 -> (1, 3, height, width) float32 in [-1, 1]; the photo's border fills the margin."""
        image = Image.fromarray(rgb).resize(self._inner, Image.Resampling.LANCZOS, reducing_gap=3.0)
        pixels = np.pad(np.asarray(image), (*self._margins, (0, 0)), mode="edge")
        scaled = pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)
        return scaled.transpose(2, 0, 1)[None]

    def place_mask(self, alpha: Pixels) -> npt.NDArray[np.float32]:
        """The subject's alpha -> what to paint, (1, 1, height, width) in 0..1, 1 is paint.

        The painted area reaches a few pixels into the subject and is feathered, so that nothing of
        the old background's fringe is shown to the model; the margin is painted too.
        """
        side = math.sqrt(self.width * self.height)
        grow = max(1, round(_GROW * side))
        small = Image.fromarray(alpha).resize(self._inner, Image.Resampling.BOX, reducing_gap=3.0)
        subject = np.pad(np.asarray(small), self._margins)
        paint = Image.fromarray(255 - subject).filter(ImageFilter.MaxFilter(2 * grow + 1))
        paint = paint.filter(ImageFilter.GaussianBlur(_FEATHER * side / 2))
        return (np.asarray(paint, np.float32) * np.float32(1 / 255))[None, None]

    def cut_photo(self, image: npt.NDArray[np.float32]) -> Image.Image:
        """(1, 3, height, width) in [-1, 1] -> the photo's part of the canvas, 8 bit."""
        left, top, right, bottom = self.box
        pixels = image[0, :, top:bottom, left:right].transpose(1, 2, 0)
        return Image.fromarray(np.clip(np.round((pixels + 1) * 127.5), 0, 255).astype(np.uint8))


def _neighbours(value: float, multiple: int) -> tuple[int, ...]:
    below = max(multiple, int(value // multiple) * multiple)
    return below, below + multiple
