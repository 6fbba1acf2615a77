"""Photos: reading every kind that people have."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from cyclorama.engine import metadata
from cyclorama.engine.arrays import Pixels
from cyclorama.engine.checks import whole_number
from cyclorama.engine.errors import BadImage, first_line
from cyclorama.engine.notes import collected_notes, note
from cyclorama.engine.options import MOST_PIXELS
from cyclorama.engine.tones import as_numbers, as_shown

_MOST_CHUNKS = 1000  # of a PNG, before its pixels
_MOST_BYTES = 1_000_000_000  # of a pipe, whose length nobody knows beforehand
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")


@dataclass(frozen=True)
class Photo:
    """A photo upright in 8-bit RGB, with what must survive into the result. May be shared between threads.

    rgb: (H, W, 3).  alpha: the file's own transparency, (H, W), if it has any; 255 is opaque.
    icc_profile: the colour profile that `rgb` is in, None is sRGB.  exif, xmp: what is kept of its metadata, see
    `engine.metadata`.  notes: what was said while it was read.
    """

    rgb: Pixels
    alpha: Pixels | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.rgb.shape[1], self.rgb.shape[0]


Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | npt.NDArray[np.generic] | Photo


def load_photo(source: Source, most_pixels: int = MOST_PIXELS) -> Photo:
    """Reads a photo from a file, the bytes of one, a PIL image or an array.

    The photo is shown as a viewer shows it: EXIF orientation is applied, and tones as `engine.tones` says; of an
    animation the first frame is taken (a note says so). Arrays: uint8, (H, W), (H, W, 3) or (H, W, 4). A Photo is
    returned as it is.  most_pixels: a photo with more is refused before it is decoded.
    Raises BadImage with one clear line for whatever cannot be read.
    """
    most_pixels = whole_number("most_pixels", most_pixels, 1, MOST_PIXELS)
    if isinstance(source, Photo):
        _check_pixels(source.size, "the photo", most_pixels)
        return source
    with collected_notes() as notes, _opened(source, most_pixels) as (image, name, significant_bits):
        tones = as_shown(image, name, significant_bits)
        orientation = metadata.orientation(image)
        statements = metadata.statements(image)
        return Photo(
            rgb=_upright(tones.rgb, orientation),
            alpha=None if tones.alpha is None else _upright(tones.alpha, orientation),
            icc_profile=tones.icc_profile,
            exif=metadata.kept_exif(image),
            xmp=statements.packet() if statements else None,
            notes=tuple(notes),
        )


def load_mask(source: Source, size: tuple[int, int], name: str = "mask") -> Pixels:
    """Reads a mask: 255 subject, 0 background, greys between; (H, W) uint8, and of the photo's size.

    name: for the error.  A mask with transparency is read from its transparency, any other from its brightness as
    stored, whatever colour profile it has.
    """
    if isinstance(source, Photo):
        mask = source.alpha if source.alpha is not None else np.asarray(Image.fromarray(source.rgb).convert("L"))
    else:
        with _opened(source) as (image, file, significant_bits):
            mask = _upright(as_numbers(image, file, significant_bits), metadata.orientation(image))
    if (mask.shape[1], mask.shape[0]) != size:
        raise BadImage(
            f"the {name} is {mask.shape[1]}x{mask.shape[0]} but the photo is {size[0]}x{size[1]} (upright); "
            "make it the size of the photo"
        )
    return mask


@contextmanager
def _opened(source: object, most_pixels: int = MOST_PIXELS) -> Iterator[tuple[Image.Image, str, int | None]]:
    """A loaded image, what to call it, and how many of its 16 bits a channel count, where the file says so."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim not in (2, 3) or source.shape[2:] not in ((), (3,), (4,)):
            raise BadImage(
                "a photo array must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4), "
                f"got {source.dtype} {source.shape}"
            )
        if 0 in source.shape:
            raise BadImage(f"the array has no pixels (its shape is {source.shape})")
        _check_pixels((source.shape[1], source.shape[0]), "the array", most_pixels)
        yield Image.fromarray(np.ascontiguousarray(source)), "the array", None
    elif isinstance(source, Image.Image):
        with _readable("the image"):
            yield _loaded(source, "the image", most_pixels), "the image", None
    else:
        with _file(source) as (file, name):
            head = file.read(4096)
            header = _PngHeader.read(file, head)
            file.seek(0)
            with _readable(name, _content(head)), _identified(file, head, name) as image:
                if image.format in _ANIMATED and getattr(image, "n_frames", 1) > 1:
                    note(f"{name} is animated; its first frame is used")
                loaded = _loaded(image, name, most_pixels)
                header.mend_transparency(loaded)
                yield loaded, name, header.significant_bits


@contextmanager
def _file(source: object) -> Iterator[tuple[BinaryIO, str]]:
    """An open file that can be searched in, and its name."""
    if isinstance(source, bytes | bytearray | memoryview):
        yield BytesIO(source), "the photo"
        return
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            with path.open("rb") as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    yield file, path.name
                else:
                    yield _read_whole(file, str(path)), path.name
        except OSError as error:
            raise BadImage(_why_unopened(path, error)) from None
        except ValueError as error:  # a zero byte in its name
            raise BadImage(f"there is no file {str(path)!r} ({error})") from None
        return
    if hasattr(source, "read"):
        try:
            yield _read_whole(source, "the photo"), "the photo"  # type: ignore[arg-type]
        except (OSError, ValueError) as error:  # ValueError: it was closed
            raise BadImage(f"the photo cannot be read ({first_line(error)})") from error
        return
    raise BadImage(
        f"a photo is a path, the bytes of a file, a PIL image or an array, got {type(source).__name__}: {source!r:.60}"
    )


def _read_whole(file: BinaryIO, name: str) -> BytesIO:
    data = file.read(_MOST_BYTES + 1)
    if not isinstance(data, bytes):
        raise BadImage(f"{name} gives text where a photo's bytes are wanted; open it in binary mode")
    if len(data) > _MOST_BYTES:
        raise BadImage(f"{name} gives more than {_MOST_BYTES // 1_000_000} MB; make the photo smaller first")
    return BytesIO(data)


def _why_unopened(path: Path, error: OSError) -> str:
    scheme, separator, rest = str(path).partition(":/")
    if error.errno == errno.ENOENT and separator and scheme.isalnum() and len(scheme) > 1:
        return f"{scheme}://{rest.lstrip('/')} is a web address; download the photo and give its file"
    if error.errno == errno.ENOENT and path.is_symlink():
        return f"{path} is a link to {path.readlink()}, and there is no such file"
    reasons = {
        errno.ENOENT: f"there is no file {path}",
        errno.ENOTDIR: f"there is no file {path}",
        errno.EISDIR: f"{path} is a folder, not a photo",
        errno.EACCES: f"{path} may not be read; check its permissions",
        errno.ELOOP: f"{path} is a symbolic link that leads back to itself; name the photo",
        errno.ENAMETOOLONG: f"{str(path)[:60]}… is longer than a file name can be",
    }
    return reasons.get(error.errno or 0, f"{path} cannot be read: {error.strerror or first_line(error)}")


@contextmanager
def _identified(file: BinaryIO, head: bytes, name: str) -> Iterator[Image.Image]:
    has_heif = _register_heif()
    try:
        image = Image.open(file)
    except UnidentifiedImageError:
        kind = _content(head)
        is_heic = kind == "a HEIC photo" or (kind == "a video" and name.lower().endswith((".heic", ".heif")))
        if is_heic and not has_heif:
            raise BadImage(
                f"{name} is a HEIC photo; to read those run: pip install 'cyclorama[heic]', "
                "or save the photo as JPEG or PNG"
            ) from None
        if kind in _READ:
            raise BadImage(f"{name} is {kind}, but damaged; save it again as JPEG or PNG") from None
        what = f"is {kind}, no image" if kind else "is no image"
        remedy = "run `git lfs pull` to get what it stands for" if kind == _LFS else "save it as JPEG, PNG or WebP"
        raise BadImage(f"{name} {what} that can be read; {remedy}") from None
    with image:
        yield image


@contextmanager
def _readable(name: str, kind: str | None = None) -> Iterator[None]:
    """Turns what Pillow raises over bad files into BadImage."""
    try:
        yield
    except BadImage:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImage(_too_large(name, MOST_PIXELS)) from None
    except MemoryError:
        raise BadImage(f"{name} does not fit into memory; make it smaller first") from None
    except Exception as error:  # there is no exception that some decoder does not raise over some file
        what = f"{name} is {kind} that" if kind in _READ else name
        raise BadImage(
            f"{what} cannot be read, it seems damaged ({first_line(error)}); save it again as JPEG or PNG"
        ) from error


def _too_large(name: str, most: int) -> str:
    limit = f"{most // 1_000_000} million" if most % 1_000_000 == 0 else f"{most}"
    return f"{name} has more than {limit} pixels; make it smaller first"


def _check_pixels(size: tuple[int, int], name: str, most: int) -> None:
    if size[0] * size[1] > most:
        raise BadImage(_too_large(name, most))


def _loaded(image: Image.Image, name: str, most_pixels: int) -> Image.Image:
    if 0 in image.size:
        raise BadImage(f"{name} has no pixels ({image.width}x{image.height})")
    _check_pixels(image.size, name, most_pixels)  # Pillow's own limit is a warning, which others may have silenced
    image.load()
    return image


def _register_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


_LFS = "a Git LFS pointer"
# How files begin, at which byte, and what they are; the first group can be read.
_READ = {"a HEIC photo", "an AVIF image", "a JPEG", "a PNG", "a GIF", "a WebP image", "a TIFF or raw photo"}
_BEGINNINGS: tuple[tuple[int, tuple[bytes, ...], str], ...] = (
    (4, (b"ftypavif", b"ftypavis"), "an AVIF image"),
    (4, (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1"), "a HEIC photo"),
    (0, (b"\xff\xd8\xff",), "a JPEG"),
    (0, (b"\x89PNG\r\n\x1a\n",), "a PNG"),
    (0, (b"GIF8",), "a GIF"),
    (8, (b"WEBP",), "a WebP image"),
    (0, (b"II*\0", b"MM\0*"), "a TIFF or raw photo"),
    (4, (b"ftypcrx",), "a camera's raw file"),
    (4, (b"ftyp",), "a video"),
    (0, (b"\x1aE\xdf\xa3",), "a video"),
    (0, (b"%PDF",), "a PDF document"),
    (0, (b"version https://git-lfs",), _LFS),
    (0, (b"\xff\x0a", b"\0\0\0\x0cJXL "), "a JPEG XL image"),
    (0, (b"FUJIFILMCCD-RAW", b"IIRO", b"IIU\0", b"FOVb"), "a camera's raw file"),
    (0, (b"PK\x03\x04",), "a ZIP archive or office document"),
    (0, (b"<svg", b"<?xml"), "an SVG drawing"),
    (0, (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"), "a web page"),
)


def _content(head: bytes) -> str | None:
    """What a file is by its first bytes; its name may say anything."""
    if not head:
        return "empty"
    return next((kind for start, beginnings, kind in _BEGINNINGS if head[start:].startswith(beginnings)), None)


@dataclass(frozen=True)
class _PngHeader:
    """What Pillow leaves out of a PNG: bits a channel, the kind of colour, and how many of the bits count (sBIT)."""

    depth: int = 8
    colour_type: int = 0
    significant_bits: int | None = None

    @classmethod
    def read(cls, file: BinaryIO, head: bytes) -> _PngHeader:
        """Of any file; what stands before the pixels is looked at, and the file is left at its beginning."""
        if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < 26:
            return cls()
        bits, at = None, 8
        for _ in range(_MOST_CHUNKS):
            file.seek(at)
            start = file.read(9)
            length, kind = int.from_bytes(start[:4], "big"), start[4:8]
            if len(start) < 9 or kind == b"IDAT":
                break
            if kind == b"sBIT":
                bits = start[8]
            at += 12 + length
        file.seek(0)
        return cls(head[24], head[25], bits)

    def mend_transparency(self, image: Image.Image) -> None:
        """The colour that stands for transparent is told in the file's own bits; Pillow's pixels have 8."""
        clear = image.info.get("transparency")
        if isinstance(clear, tuple) and self.depth == 16:
            image.info["transparency"] = tuple(value >> 8 for value in clear)
        elif isinstance(clear, int) and self.colour_type == 0 and self.depth in (2, 4):
            image.info["transparency"] = clear * 255 // (2**self.depth - 1)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels (H, W, ...) of an EXIF orientation, turned and mirrored to 1."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
