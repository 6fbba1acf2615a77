"""Photos: reading every kind that people have, and writing results that say how they were made."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from engine.errors import BadImage, CannotWrite, InvalidOptions
from engine.notes import note

Pixels = npt.NDArray[np.uint8]
Source = str | Path | Image.Image | npt.NDArray[np.generic]

_ANIMATED = ("GIF", "WEBP", "PNG")
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


@dataclass(frozen=True)
class Photo:
    """A photo upright in 8-bit RGB, with what must survive into the result.

    rgb: (H, W, 3).  alpha: the file's own transparency, (H, W), if it has any; 255 is opaque.
    icc_profile: the colour profile that `rgb` is in.  exif: without orientation and GPS position.
    """

    rgb: Pixels
    alpha: Pixels | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.rgb.shape[1], self.rgb.shape[0]


def load_photo(source: Source) -> Photo:
    """Reads a photo from a file, a PIL image or an array.

    EXIF orientation is applied, CMYK converted through its profile, 16-bit rounded to 8, the first
    frame taken of an animation (a note says so). Arrays: uint8, (H, W), (H, W, 3) or (H, W, 4).
    Raises BadImage with one clear line for whatever cannot be read.
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim not in (2, 3) or source.shape[2:] not in ((), (3,), (4,)):
            raise BadImage(
                "a photo array must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4), "
                f"got {source.dtype} {source.shape}"
            )
        return _from_pil(Image.fromarray(source), "the array")
    if isinstance(source, Image.Image):
        with _readable("the image"):
            return _from_pil(source, "the image")
    path = Path(source)
    with _opened(path) as image:
        if getattr(image, "n_frames", 1) > 1 and image.format in _ANIMATED:
            note(f"{path.name} is animated; its first frame is used")
        return _from_pil(image, path.name)


def load_mask(source: Source, size: tuple[int, int], name: str = "mask") -> Pixels:
    """Reads a mask: 255 subject, 0 background, greys between; (H, W) uint8, and of the photo's size.

    name: for the error.  A mask with transparency is read from its transparency, any other from its brightness.
    """
    photo = load_photo(source)
    mask = photo.alpha if photo.alpha is not None else np.asarray(Image.fromarray(photo.rgb).convert("L"))
    if (mask.shape[1], mask.shape[0]) != size:
        raise BadImage(
            f"the {name} is {mask.shape[1]}x{mask.shape[0]} but the photo is {size[0]}x{size[1]} (upright); "
            "make it the size of the photo"
        )
    return mask


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    _register_heif()
    with _readable(path.name):
        try:
            image = Image.open(path)
        except FileNotFoundError:
            raise BadImage(f"there is no file {path}") from None
        except IsADirectoryError:
            raise BadImage(f"{path} is a folder, not a photo") from None
        except PermissionError:
            raise BadImage(f"{path} may not be read; check its permissions") from None
        except UnidentifiedImageError:
            if path.suffix.lower() in (".heic", ".heif"):
                raise BadImage(
                    f"{path.name} is a HEIC photo; to read those run: pip install 'cyclorama[heic]', "
                    "or save the photo as JPEG or PNG"
                ) from None
            raise BadImage(f"{path.name} is no image that can be read; save it as JPEG, PNG or WebP") from None
        with image:
            yield image


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turns what Pillow raises over bad files into BadImage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            yield
    except BadImage:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise BadImage(f"{name} has more than {limit} million pixels; make it smaller first") from None
    except MemoryError:
        raise BadImage(f"{name} does not fit into memory; make it smaller first") from None
    except Exception as error:  # there is no exception that some decoder does not raise over some file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadImage(f"{name} cannot be read, it seems damaged ({reason}); save it again as JPEG or PNG") from error


def _register_heif() -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()


def _from_pil(image: Image.Image, name: str) -> Photo:
    image.load()
    if 0 in image.size:
        raise BadImage(f"{name} has no pixels ({image.width}x{image.height})")
    icc_profile: bytes | None = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    exif = _kept_exif(image)
    colour_model = "RGB"
    if image.mode.startswith("I") or image.mode == "F":
        image, colour_model = _to_8_bit(image, name), "GRAY"
    elif image.mode in ("1", "L", "LA"):
        colour_model = "GRAY"
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
        if alpha.min() == 255:
            alpha = None
    if image.mode == "CMYK":
        image, icc_profile = _cmyk_to_srgb(image, icc_profile), None
    elif icc_profile and _colour_space(icc_profile) != colour_model:
        icc_profile = None  # made for another kind of pixels than the file has
    elif colour_model == "GRAY":
        icc_profile = None  # the result is RGB
    return Photo(np.asarray(image.convert("RGB")), alpha, icc_profile, exif)


def _to_8_bit(image: Image.Image, name: str) -> Image.Image:
    array = np.asarray(image).astype(np.float64)
    if image.mode == "F" or array.min() < 0 or array.max() > 65535:
        raise BadImage(f"{name} has pixels of {image.mode!r} beyond 16 bits; save it with 8 or 16 bits a channel")
    return Image.fromarray(np.round(array / 257).astype(np.uint8))


def _cmyk_to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    if icc_profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(BytesIO(icc_profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a broken profile: Pillow's plain conversion is the next best
        if converted is not None:
            return converted
    return image.convert("RGB")


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


def _colour_space(icc_profile: bytes) -> str:
    return icc_profile[16:20].decode("latin-1").strip()  # ICC.1:2022, 7.2.8


def _kept_exif(image: Image.Image) -> bytes | None:
    try:
        exif = image.getexif()
        for tag in (ExifTags.Base.Orientation, ExifTags.IFD.GPSInfo):
            exif.pop(tag, None)
        if ExifTags.IFD.Exif in exif:
            for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight):  # the canvas may be another
                exif.get_ifd(ExifTags.IFD.Exif).pop(tag, None)
        return exif.tobytes() if len(exif) else None
    except Exception:  # damaged EXIF must not cost the photo
        return None


def image_format(path: Path) -> str:
    """Pillow's name for the format that a file name's ending asks for; InvalidOptions for other endings."""
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        raise InvalidOptions(f"cannot write {path.name!r}: its name must end in {', '.join(_FORMATS)}") from None


def check_output(path: Path) -> None:
    """Refuses a file that could not be written in the end, before any work is done for it."""
    image_format(path)
    folder = path.resolve().parent
    if not folder.is_dir():
        raise CannotWrite(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise CannotWrite(
            f"cannot write {path}: {'it is a folder' if path.is_dir() else 'not permitted'}; name another"
        )


def check_transparency(path: Path) -> None:
    """Refuses a file of a format that has no transparency."""
    if image_format(path) == "JPEG":
        raise InvalidOptions(f"cannot write {path.name!r}: JPEG has no transparency; name a .png or .webp file")


def save_image(
    image: Image.Image,
    path: Path,
    *,
    parameters: str | None = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
) -> None:
    """Writes an image whole or not at all, in the format of the file name's ending.

    `parameters`, how the picture was made, goes into PNG's text chunk of that name and, for JPEG
    and WebP, into EXIF's UserComment, where other tools look for it.
    """
    kind = image_format(path)
    if image.mode == "RGBA":
        check_transparency(path)
    extra: dict[str, Any] = {"icc_profile": icc_profile} if icc_profile else {}
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    if kind == "PNG":
        extra["compress_level"] = 4
        if parameters:
            chunks = PngImagePlugin.PngInfo()
            chunks.add_itxt("parameters", parameters)
            extra["pnginfo"] = chunks
    else:
        extra["quality"] = 95
        if parameters:
            comment = b"UNICODE\x00" + parameters.encode("utf-16-be")
            tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    if len(tags) or kind != "PNG":
        extra["exif"] = tags.tobytes()
    write_whole(path, lambda temporary: image.save(temporary, kind, **extra))


def write_whole(path: Path, write: Any) -> None:
    """Calls `write(temporary_path)` beside `path`, then moves the result there in one step."""
    try:
        handle, name = tempfile.mkstemp(dir=path.resolve().parent, prefix=".cyclorama-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # ValueError: what the format cannot hold
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotWrite(f"cannot write {path}: {reason}; name another file with -o") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
