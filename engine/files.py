"""Files that a person gets: which names will do, and writing them whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from cyclorama.engine.errors import CannotWrite, InvalidOptions
from cyclorama.engine.metadata import exif_with_comment
from cyclorama.engine.options import EncodeOptions
from cyclorama.models.atomic import write_atomically

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_QUALITY = 95  # where none was asked for
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # of libjpeg and libwebp; PNG's is beyond what a photo may have
_LONGEST_EXIF = {"JPEG": 65_533 - len(b"Exif\0\0")}  # bytes in a segment of a JPEG file
_AROUND_A_PROMPT = 2_000  # bytes of a JPEG's comment, for all that is written beside the prompt


def image_format(path: Path) -> str:
    """Pillow's name for the format that a file name's ending asks for; InvalidOptions for other endings."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise InvalidOptions(f"cannot write {path.name!r}: its name must end in {', '.join(FORMATS)}") from None


def check_format(kind: str, *, size: tuple[int, int] | None = None, text: str = "", has_alpha: bool = False) -> None:
    """Refuses what a format cannot hold, before any work is done for it.

    size: width and height in pixels.  text: prompts that the file is to name.  has_alpha: whether anything is
    transparent.  Raises InvalidOptions.
    """
    if has_alpha and kind == "JPEG":
        raise InvalidOptions("JPEG has no transparency; name a .png or .webp file")
    longest = _LONGEST_SIDE.get(kind)
    if size is not None and longest is not None and max(size) > longest:
        raise InvalidOptions(
            f"{kind} holds at most {longest} pixels a side, and this would have {size[0]}x{size[1]}; write PNG instead"
        )
    room = _LONGEST_EXIF.get(kind)
    if room is not None and len(text.encode("utf-16-be", "replace")) > room - _AROUND_A_PROMPT:
        raise InvalidOptions(f"a prompt of {len(text)} letters is more than {kind} can name; write PNG instead")


def check_output(path: Path, inputs: Iterable[object] = ()) -> None:
    """Refuses a file that could not be written in the end, or that is among the inputs, before any work is done for it.

    inputs: whatever the work reads; those that are paths are looked at. Raises InvalidOptions and CannotWrite.
    """
    image_format(path)
    check_file(path, inputs)


def check_file(path: Path, inputs: Iterable[object] = ()) -> None:
    """As `check_output`, for files of any format."""
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        reason = {
            errno.ELOOP: "it is a symbolic link that leads back to itself",
            errno.ENAMETOOLONG: f"its name is too long ({len(os.fsencode(path.name))} bytes)",
            errno.ENOTDIR: f"{path.parent} is no folder",
        }.get(error.errno or 0, error.strerror or str(error))
        raise CannotWrite(f"cannot write {_short(path)}: {reason}; name another file with -o") from None
    if mode is not None and stat.S_ISDIR(mode):
        raise CannotWrite(f"cannot write {path}: it is a folder; name another")
    if mode is not None and not stat.S_ISREG(mode):
        raise CannotWrite(f"cannot write {path}: it is no regular file; name another")
    if not target.parent.is_dir():
        leads = f", to which {path} leads" if target != path.absolute() and path.is_symlink() else ""
        folder = target.parent if leads else path.parent
        raise CannotWrite(f"cannot write {path}: there is no folder {folder}{leads}; make it first")
    if not os.access(target.parent, os.W_OK) or (mode is not None and not os.access(target, os.W_OK)):
        raise CannotWrite(f"cannot write {path}: not permitted; name another")
    for source in inputs:
        if mode is not None and isinstance(source, str | os.PathLike) and _is_same(source, target):
            raise InvalidOptions(f"{path} is an input itself and would be lost; name another file with -o")


def _is_same(source: str | os.PathLike[str], target: Path) -> bool:
    try:
        return target.samefile(source)
    except (OSError, ValueError):  # no file, or a name that none can have
        return False


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 200 else f"{text[:60]}…{text[-20:]}"


def encode_image(
    image: Image.Image,
    kind: str,
    *,
    parameters: str | None = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    quality: int | None = None,
) -> bytes:
    """An image as the bytes of a file: kind is PNG, JPEG or WEBP.  quality: of the latter two, 1 to 100.

    `parameters`, how the picture was made, goes into PNG's text chunk of that name and, for JPEG and WebP, into EXIF's
    UserComment, where other tools look for it. Raises InvalidOptions for what the format cannot hold.
    """
    check_format(kind, size=image.size, has_alpha=image.mode == "RGBA")
    extra: dict[str, Any] = {"icc_profile": icc_profile} if icc_profile else {}
    if kind == "PNG":
        extra["compress_level"] = 4
        chunks = PngImagePlugin.PngInfo()
        if parameters:
            chunks.add_itxt("parameters", parameters)
        if xmp:
            chunks.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8"))
        extra["pnginfo"] = chunks
        if exif:
            extra["exif"] = exif
    else:
        extra["quality"] = quality or _QUALITY
        try:
            extra["exif"] = exif_with_comment(exif, parameters, _LONGEST_EXIF.get(kind))
        except ValueError as error:
            raise InvalidOptions(f"{error} in {kind}; write PNG instead") from None
        if xmp:
            extra["xmp"] = xmp
    data = BytesIO()
    image.save(data, kind, **extra)
    return data.getvalue()


def fitting(encode: Callable[..., bytes], options: EncodeOptions) -> bytes:
    """What `encode(quality=...)` gives at the highest quality that fits, by bisection.

    Raises InvalidOptions where nothing does.
    """
    best = encode(quality=options.quality)
    most = options.max_bytes
    if most is None or len(best) <= most:
        return best
    if options.format == "png":
        raise InvalidOptions(
            f"the PNG would have {len(best)} bytes, more than {most}; write JPEG or WebP, whose quality can be lowered",
            option="max_bytes",
        )
    least = encode(quality=1)
    if len(least) > most:
        raise InvalidOptions(
            f"even at quality 1 the file would have {len(least)} bytes, more than {most}; allow more, "
            "or make the canvas smaller",
            option="max_bytes",
        )
    best, low, high = least, 1, options.quality or _QUALITY
    while high - low > 1:
        middle = (low + high) // 2
        data = encode(quality=middle)
        if len(data) <= most:
            best, low = data, middle
        else:
            high = middle
    return best


def write_whole(path: Path, data: bytes) -> None:
    """Puts a file in its place in one step: whole, or not at all.

    Links are followed. A file that was there keeps its mode, and its owner where that may be set. Raises CannotWrite.
    """
    try:
        _replace(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise CannotWrite(
            f"cannot write {_short(path)}: {error.strerror or error}; name another file with -o"
        ) from error


def _replace(target: Path, data: bytes) -> None:
    try:
        old = target.stat()
    except FileNotFoundError:
        old = None

    def finish(path: Path) -> None:
        if old is not None:
            _give_to(path, old)
            path.chmod(stat.S_IMODE(old.st_mode))

    # A new file's mode is the kernel's business, who knows the umask; an old one's may be stricter than that.
    write_atomically(target, data, 0o666 if old is None else 0o600, finish)


def _give_to(path: Path, owner: os.stat_result) -> None:
    new = path.stat()
    if (new.st_uid, new.st_gid) != (owner.st_uid, owner.st_gid):
        with contextlib.suppress(PermissionError):  # only root may give files away
            os.chown(path, owner.st_uid, owner.st_gid)
