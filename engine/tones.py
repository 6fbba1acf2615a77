"""A decoded image's numbers as the 8-bit RGB that a viewer would show: depths, modes, gamma and colour profiles."""

from __future__ import annotations

from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from cyclorama.engine.arrays import Pixels
from cyclorama.engine.errors import BadImage
from cyclorama.engine.notes import note

Array = npt.NDArray[np.float64]

_GREY_MODES = ("1", "L", "LA")
_WHITE_IS_ZERO = 0  # of TIFF's PhotometricInterpretation
_PHOTOMETRIC, _BITS_PER_SAMPLE = 262, 258  # TIFF tags
_SRGB_GAMMA = 1 / 2.2
_GAMMA_SLACK = 0.05  # so near to sRGB's, a PNG's gamma makes no difference to be seen; libpng's threshold


class Tones(NamedTuple):
    """rgb: (H, W, 3).  alpha: (H, W), None where all is opaque.  icc_profile: what `rgb` is in; None is sRGB."""

    rgb: Pixels
    alpha: Pixels | None
    icc_profile: bytes | None


def as_shown(image: Image.Image, name: str, significant_bits: int | None = None) -> Tones:
    """What a viewer makes of a loaded image.

    Grey, CMYK and Lab are converted to sRGB through their profile, a PNG's gamma is applied, 16 bits are rounded to 8;
    RGB keeps its numbers and its profile. significant_bits: of each 16, where the file says so.
    Raises BadImage, with `name`, for pixels of no known range.
    """
    profile: bytes | None = image.info.get("icc_profile") or None
    space = _colour_space(profile) if profile else None
    curve = None if profile else _png_curve(image)
    image, alpha = _without_alpha(image)
    if image.mode in _GREY_MODES or image.mode.startswith("I") or image.mode == "F":
        levels = _grey_levels(image, name, significant_bits)
        table = _grey_table(profile) if space == "GRAY" and profile else None
        shown = _looked_up(levels, curve if table is None else table)
        return Tones(np.repeat(shown[..., None], 3, axis=2), alpha, None)
    if image.mode in ("CMYK", "LAB"):
        return Tones(_to_srgb(image, profile if space == image.mode else None), alpha, None)
    rgb = np.asarray(image.convert("RGB"))
    if curve is not None:
        rgb = _rounded(curve)[rgb]
    if space == "GRAY" and profile and (rgb[..., :1] == rgb).all():  # a palette of greys
        table = _grey_table(profile)
        rgb = rgb if table is None else _rounded(table)[rgb]
    return Tones(rgb, alpha, profile if space == "RGB" else None)


def as_numbers(image: Image.Image, name: str, significant_bits: int | None = None) -> Pixels:
    """A loaded mask's numbers, (H, W): its transparency if it has any, else its brightness as stored.

    Profiles and gamma say how colours look, and a mask's numbers are no colours.
    """
    image, alpha = _without_alpha(image)
    if alpha is not None:
        return alpha
    if image.mode in _GREY_MODES or image.mode.startswith("I") or image.mode == "F":
        return _looked_up(_grey_levels(image, name, significant_bits), None)
    if image.mode == "LAB":
        return np.asarray(image.getchannel("L"))
    return np.asarray(image.convert("RGB").convert("L"))


def convert_colours(rgb: Pixels, from_profile: bytes | None, to_profile: bytes | None) -> Pixels:
    """The same colours (H, W, 3) in another colour profile; None is sRGB. A broken profile counts as sRGB."""
    if from_profile == to_profile:
        return rgb
    try:
        known, wanted = (
            ImageCms.ImageCmsProfile(BytesIO(profile) if profile else ImageCms.createProfile("sRGB"))
            for profile in (from_profile, to_profile)
        )
        converted = ImageCms.profileToProfile(Image.fromarray(rgb), known, wanted)
    except (ImageCms.PyCMSError, OSError):
        note("a colour profile is broken, so colours are taken as they are")
        return rgb
    return rgb if converted is None else np.asarray(converted)


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An RGB or RGBA image's colours in sRGB; its transparency stays."""
    if profile is None:
        return image
    converted = Image.fromarray(convert_colours(np.asarray(image.convert("RGB")), profile, None))
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Pixels | None]:
    """The image without its transparency, and that; None where there is none, or nothing is transparent."""
    if not image.has_transparency_data:
        return image, None
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):  # one grey level of a PNG stands for transparent
        is_clear = np.asarray(image) == image.info["transparency"]
        alpha = np.where(is_clear, np.uint8(0), np.uint8(255))
    else:
        image = image.convert("LA" if image.mode in (*_GREY_MODES, "La") else "RGBA")
        alpha = np.asarray(image.getchannel("A"))
        image = image.convert("L" if image.mode == "LA" else "RGB")
    return image, None if alpha.min() == 255 else alpha


def _grey_levels(image: Image.Image, name: str, significant_bits: int | None) -> Pixels | npt.NDArray[np.float32]:
    """Grey from 0 to 255, with fractions where the file has more than 8 bits."""
    if image.mode in _GREY_MODES:
        return np.asarray(image.convert("L"))
    values = np.asarray(image).astype(np.float32)  # which holds 16 bits exactly
    low, high = float(values.min()), float(values.max())
    if image.mode == "F":
        if not (np.isfinite(values).all() and low >= 0 and high <= 1):
            raise BadImage(f"{name} has floating-point pixels beyond 0 to 1; save it with 8 or 16 bits a channel")
        return values * np.float32(255)
    if low < 0 or high > 65535:
        raise BadImage(f"{name} has pixels of {image.mode!r} beyond 16 bits; save it with 8 or 16 bits a channel")
    tags = getattr(image, "tag_v2", {})
    stated = significant_bits or max(tags.get(_BITS_PER_SAMPLE, (16,)))
    # PNG wants fewer bits scaled up to 16, which some writers do not; what does not fit into them was scaled.
    most = 2**stated - 1 if 8 <= stated < 16 and high < 2**stated else 65535
    levels: npt.NDArray[np.float32] = values * np.float32(255 / most)
    return 255 - levels if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else levels


def _png_curve(image: Image.Image) -> Array | None:
    """What each of 256 levels of a PNG with a gamma of its own becomes in sRGB, 0 to 255; None: as it is."""
    gamma = image.info.get("gamma")
    if not gamma or "srgb" in image.info or abs(gamma / _SRGB_GAMMA - 1) <= _GAMMA_SLACK:
        return None
    light = np.linspace(0, 1, 256) ** (1 / gamma)
    # IEC 61966-2-1
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    curve: Array = encoded * 255
    return curve


def _grey_table(profile: bytes) -> Array | None:
    """What each of 256 levels under a grey profile becomes in sRGB, 0 to 255; None for a broken one."""
    levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    try:
        shown = ImageCms.profileToProfile(
            levels, ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return None
    return None if shown is None else np.asarray(shown, np.float64)[0].mean(-1)


def _looked_up(levels: Pixels | npt.NDArray[np.float32], table: Array | None) -> Pixels:
    """A table of 256 levels applied to these and to what lies between them; None leaves them as they are."""
    if levels.dtype == np.uint8:
        whole = np.asarray(levels, np.uint8)
        return whole if table is None else _rounded(table)[whole]
    return _rounded(np.asarray(levels, np.float32) if table is None else np.interp(levels, np.arange(256.0), table))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Pixels:
    if profile or image.mode == "LAB":
        try:
            known = ImageCms.ImageCmsProfile(BytesIO(profile) if profile else ImageCms.createProfile("LAB"))
            converted = ImageCms.profileToProfile(image, known, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a broken profile: Pillow's plain conversion is the next best
        if converted is not None:
            return np.asarray(converted)
    return np.asarray(image.convert("RGB"))


def _colour_space(icc_profile: bytes) -> str:
    space = icc_profile[16:20].decode("latin-1").strip()  # ICC.1:2022, 7.2.8
    return {"Lab": "LAB"}.get(space, space)


def _rounded(levels: npt.NDArray[np.floating[Any]]) -> Pixels:
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)
