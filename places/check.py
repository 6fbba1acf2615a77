"""Which rules of a place a picture breaks, and by how much."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageColor

from cyclorama import load_photo
from cyclorama.engine.arrays import Pixels
from cyclorama.engine.errors import BadImage
from cyclorama.places.place import Place

_APART = 12  # levels from the background's colour, from which on a pixel is the subject's; less is a JPEG's noise
_SLIVER = 2  # pixels in a row or a column that are a subject; fewer are specks
_SHAPE_SLACK = 0.005  # of a ratio, for sides in whole pixels


def broken_rules(picture: Path | bytes, place: Place) -> list[str]:
    """One sentence for each rule that is broken; none: the picture will do.

    picture: a file or its bytes. Raises BadImage.
    """
    data = _read(picture)
    photo = load_photo(BytesIO(data))
    with Image.open(BytesIO(data)) as image:
        kind, mode, profile = image.format or "", image.mode, image.info.get("icc_profile")
    rgb, alpha = photo.rgb, photo.alpha
    return [
        *_file(len(data), kind, mode, profile, place),
        *_sides(rgb.shape[1], rgb.shape[0], place),
        *_background(rgb, alpha, place),
    ]


def _read(picture: Path | bytes) -> bytes:
    if isinstance(picture, bytes):
        return picture
    try:
        return picture.read_bytes()
    except OSError as error:
        raise BadImage(f"cannot read {picture} ({error.strerror})") from None


def _file(size: int, kind: str, mode: str, profile: bytes | None, place: Place) -> Iterator[str]:
    kind = "JPEG" if kind == "MPO" else kind
    if place.formats and kind not in place.formats:
        yield f"the file is {kind}, and may be {', '.join(place.formats)}"
    if place.bytes is not None and size > place.bytes:
        yield f"the file has {size:,} bytes, {size / place.bytes:.2f} times the {place.bytes:,} that it may have"
    if place.srgb and (mode in ("CMYK", "LAB") or not _is_srgb(profile)):
        yield "the colours are not in sRGB"


def _is_srgb(profile: bytes | None) -> bool:
    if profile is None:
        return True
    try:
        return "srgb" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))).lower()
    except (ImageCms.PyCMSError, OSError):
        return False


def _sides(width: int, height: int, place: Place) -> Iterator[str]:
    for name, side, limits in (
        ("longest", max(width, height), place.longest_side), ("shortest", min(width, height), place.shortest_side),
    ):  # fmt: skip
        if limits is not None and side < limits[0]:
            yield f"the {name} side has {side} pixels, {limits[0] - side} fewer than {limits[0]}"
        if limits is not None and side > limits[1]:
            yield f"the {name} side has {side} pixels, {side - limits[1]} more than {limits[1]}"
    if place.pixels is not None and width * height > place.pixels * 1e6:
        yield f"{width * height / 1e6:.1f} million pixels are more than {place.pixels:g}"
    if place.ratio is not None and abs(width / height / place.ratio - 1) > _SHAPE_SLACK:
        yield f"{width}x{height} has not the shape {place.shape}"


def _background(rgb: Pixels, alpha: Pixels | None, place: Place) -> Iterator[str]:
    if place.background is None:
        return
    colour = np.array(ImageColor.getrgb(place.background)[:3], np.uint8)
    if alpha is not None:
        yield f"part of the picture is transparent, and {place.background} is wanted behind the subject"
        return
    border = np.concatenate([rgb[0], rgb[-1], rgb[1:-1, 0], rgb[1:-1, -1]])
    share = float((border == colour).all(-1).mean())
    if share < 1:
        # Rounded down: 99.99 % would be told as all of it.
        yield f"{np.floor(1000 * share) / 10:g} % of the border is {place.background}, and all of it should be"
    if place.fill is None or share < 0.5:
        return  # what fills the picture is then anybody's guess
    filled = _filled(np.abs(rgb.astype(np.int16) - colour).max(-1) > _APART)
    low, high = place.fill
    if filled < low:
        yield f"the subject fills {filled:.1%} of the picture, less than {low:.0%}"
    elif filled > high:
        yield f"the subject fills {filled:.1%} of the picture, more than {high:.0%}"


def _filled(is_subject: npt.NDArray[np.bool_]) -> float:
    """The share that the box around it takes of the side that it fills most."""
    shares = [0.0]
    for axis in (0, 1):
        marked = np.flatnonzero(is_subject.sum(axis) >= _SLIVER)
        if marked.size:
            shares.append((int(marked[-1]) + 1 - int(marked[0])) / is_subject.shape[1 - axis])
    return max(shares)
