"""Backgrounds that are given rather than painted: a picture, a colour, nothing, or the photo's own out of focus."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageOps

from cyclorama.engine.arrays import Array, Pixels, reduced_size
from cyclorama.engine.blur import box_mean, disc_mean
from cyclorama.engine.checks import shown, text
from cyclorama.engine.errors import BadImage, InvalidOptions
from cyclorama.engine.options import MOST_PIXELS
from cyclorama.engine.photo import Photo, Source, load_photo
from cyclorama.engine.tones import convert_colours

_SIDE = 1024  # the most that is blurred
_APERTURE = 0.02  # radius of a point out of focus, of the longer side
_FRINGE = 0.004  # of the longer side: so near the subject nothing is taken for background
_GAMMA = 2.2  # light is blurred, not its code values: bright points stay bright


@dataclass(frozen=True)
class Background:
    """A given background.

    name: the file's, or the colour.  photo: its pixels; of a plain colour, one.  is_own: of the subject's own photo.
    """

    name: str
    photo: Photo
    is_own: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is one colour, or none, all over."""
        return self.photo.size == (1, 1)

    @classmethod
    def image(cls, source: Source, most_pixels: int = MOST_PIXELS) -> Background:
        """A picture: its file, the bytes of one, a PIL image or an array. Raises BadImage."""
        name = Path(source).name if isinstance(source, str | os.PathLike) else "an image"
        # What bytes a name has that are no text could not be written into the picture.
        return cls(" ".join(name.encode("utf-8", "replace").decode().split()), load_photo(source, most_pixels))

    @classmethod
    def colour(cls, name: str) -> Background:
        """One colour all over: `white`, `#f0f0f0`, `rgb(240, 240, 240)`, `#11223380`. Raises InvalidOptions."""
        try:
            colour = np.array(ImageColor.getcolor(text("colour", name), "RGBA"), np.uint8)[None, None]
        except (ValueError, OverflowError):  # the latter of rgb(300, 0, 0)
            raise InvalidOptions(
                f"no colour is called {shown(name)}; name one, like white, or give it as #f0f0f0", option="colour"
            ) from None
        return cls(name, Photo(colour[..., :3], None if colour[0, 0, 3] == 255 else colour[..., 3]))

    @classmethod
    def transparent(cls) -> Background:
        """Nothing."""
        return cls("transparent", Photo(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8)))

    @classmethod
    def named(cls, text: str) -> Background:
        """By what a person types: a file, a colour or `transparent`; where a file is called like a colour, the file.

        Raises BadImage.
        """
        if _is_file(text):
            return cls.image(Path(text))
        if text.lower() == "transparent":
            return cls.transparent()
        try:
            return cls.colour(text)
        except InvalidOptions:
            if "://" in text:
                raise BadImage(f"{text} is a web address; download the picture and give its file") from None
            raise BadImage(
                f"there is no file {text}, and no colour is called so; name an image, a colour like #f0f0f0, "
                "or `transparent`"
            ) from None

    @classmethod
    def blurred(cls, photo: Photo, alpha: Pixels) -> Background:
        """A photo's own, out of focus: as a wide aperture shows what lies far behind its subject (alpha, (H, W)).

        None of the subject's colours get into it; behind the subject it is filled with what lies around.
        Raises InvalidOptions for a cut-out, which has none.
        """
        if photo.alpha is not None:
            raise InvalidOptions(
                "the photo is transparent and has no background of its own to blur; give it another",
                option="background",
            )
        size = reduced_size(photo.size[0], photo.size[1], _SIDE)
        small, subject = (
            np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), np.float32) * np.float32(1 / 255)
            for pixels in (photo.rgb, alpha)
        )
        near = box_mean(subject, max(1, round(_FRINGE * max(size))))
        is_background = near < 1 / 255
        if not is_background.any():  # a mask that is nowhere quite black
            is_background = subject <= subject.min()
        linear: Array = small.transpose(2, 0, 1) ** np.float32(_GAMMA)
        blurred = disc_mean(_filled(linear, is_background.astype(np.float32)), max(1, round(_APERTURE * max(size))))
        colours = blurred.clip(0, 1) ** np.float32(1 / _GAMMA)
        image = Image.fromarray(np.round(colours.transpose(1, 2, 0) * 255).astype(np.uint8))
        rgb = np.asarray(image.resize(photo.size, Image.Resampling.BICUBIC))
        return cls("the photo's own, out of focus", Photo(rgb, icc_profile=photo.icc_profile), is_own=True)

    def check_match(self) -> None:
        """Raises InvalidOptions where a colour match would be out of place."""
        if self.is_own:
            raise InvalidOptions(
                "the photo's own background has its light already; leave out the colour match", option="colour_match"
            )
        if self.is_plain:
            raise InvalidOptions(
                f"a colour match would change the colour that was asked for, {self.name}; leave it out",
                option="colour_match",
            )

    def fitted(self, size: tuple[int, int], icc_profile: bytes | None) -> Pixels:
        """Enlarged or reduced until it covers the size, what sticks out cut off evenly: (H, W, 3), or 4 with alpha.

        icc_profile: the colour profile to come out in; None is sRGB.
        """
        photo = self.photo
        pixels = photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha])
        if photo.size != size and not self.is_plain:
            pixels = np.asarray(ImageOps.fit(Image.fromarray(pixels), size, Image.Resampling.LANCZOS))
        rgb = convert_colours(np.ascontiguousarray(pixels[..., :3]), photo.icc_profile, icc_profile)
        pixels = rgb if photo.alpha is None else np.dstack([rgb, pixels[..., 3]])
        return np.tile(pixels, (size[1], size[0], 1)) if self.is_plain else pixels


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # what no file can be called
        return False


def _filled(colours: Array, weight: Array) -> Array:
    """Colours (3, H, W) where they count, weight (H, W) 1, and smoothly between them where it is 0.

    Pull and push: Gortler et al., "The Lumigraph" (1996), section 3.4.
    """
    height, width = weight.shape
    if max(height, width) == 1 or weight.all():
        return colours
    size = ((width + 1) // 2, (height + 1) // 2)
    sums: Array = _scaled(colours * weight, size)
    share = _scaled(weight[None], size)
    sums /= np.maximum(share, 1e-6)
    coarse = _filled(sums, np.minimum(1, 4 * share[0]))
    filled: Array = weight * colours + (1 - weight) * _scaled(coarse, (width, height))
    return filled


def _scaled(planes: Array, size: tuple[int, int]) -> Array:
    return np.stack([np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR)) for plane in planes])
