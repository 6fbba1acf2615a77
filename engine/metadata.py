"""What of a photo's metadata survives into the picture, and what does not.

Kept: camera, exposure, dates, caption (EXIF), and who made the photo, whose it is and what kind of picture it is:
creator, rights, credit and digitalSourceType, from XMP, IPTC and EXIF. Dropped: where it was taken (GPS, and the places
that XMP and IPTC name), serial numbers, thumbnails, maker notes and whatever is not known here. Metadata is optional:
nothing that is wrong with it costs the photo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.etree import ElementTree

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin

_Base = ExifTags.Base
_KEPT_OF_IMAGE = (
    _Base.ImageDescription, _Base.Make, _Base.Model, _Base.XResolution, _Base.YResolution, _Base.ResolutionUnit,
    _Base.Software, _Base.DateTime, _Base.Artist, _Base.Copyright,
)  # fmt: skip
_KEPT_OF_EXPOSURE = (
    _Base.ExposureTime, _Base.FNumber, _Base.ExposureProgram, _Base.ISOSpeedRatings, _Base.SensitivityType,
    _Base.RecommendedExposureIndex, _Base.DateTimeOriginal, _Base.DateTimeDigitized, _Base.OffsetTime,
    _Base.OffsetTimeOriginal, _Base.OffsetTimeDigitized, _Base.SubsecTime, _Base.SubsecTimeOriginal,
    _Base.SubsecTimeDigitized, _Base.ShutterSpeedValue, _Base.ApertureValue, _Base.BrightnessValue,
    _Base.ExposureBiasValue, _Base.MaxApertureValue, _Base.SubjectDistance, _Base.MeteringMode, _Base.LightSource,
    _Base.Flash, _Base.FocalLength, _Base.FocalLengthIn35mmFilm, _Base.ExposureMode, _Base.WhiteBalance,
    _Base.DigitalZoomRatio, _Base.SceneCaptureType, _Base.GainControl, _Base.Contrast, _Base.Saturation,
    _Base.Sharpness, _Base.LensSpecification, _Base.LensMake, _Base.LensModel,
)  # fmt: skip
_LONGEST = 4000  # characters of one statement
# Bytes of all statements as XML, where a letter takes five at most and a statement's tags forty: a JPEG holds 65,000.
_ROOM, _OF_A_LETTER, _OF_TAGS = 60_000, 5, 40
_LARGEST_XMP = 1_000_000  # bytes; no packet that people write comes near

_SOURCE_TYPE = "Iptc4xmpExt:DigitalSourceType"
PAINTED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""What kind of picture a photo on a painted background is, in IPTC's vocabulary."""
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
# Properties by their name in XMP, and how RDF wraps their values.
_KEPT_OF_XMP = {
    "dc:creator": "Seq",
    "dc:rights": "Alt",
    "photoshop:Credit": None,
    "xmpRights:Marked": None,
    "xmpRights:Owner": "Bag",
    "xmpRights:UsageTerms": "Alt",
    "xmpRights:WebStatement": None,
    _SOURCE_TYPE: None,
}
# Records of IPTC's older form (IIM 4.2), by what they are called in XMP.
_IPTC_RECORDS = {"dc:creator": (2, 80), "dc:rights": (2, 116), "photoshop:Credit": (2, 110)}
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Statements:
    """Who made a photo, whose it is, and what kind of picture it is: values by their name in XMP."""

    values: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.values)

    def packet(self) -> bytes:
        """As an XMP packet (ISO 16684-1)."""
        rdf = ElementTree.Element(f"{_RDF}RDF")
        description = ElementTree.SubElement(rdf, f"{_RDF}Description", {f"{_RDF}about": ""})
        for name, values in self.values.items():
            element = ElementTree.SubElement(description, _full(name))
            container = _KEPT_OF_XMP[name]
            if container is None:
                element.text = values[0]
                continue
            items = ElementTree.SubElement(element, f"{_RDF}{container}")
            for value in values:
                item = ElementTree.SubElement(items, f"{_RDF}li")
                item.text = value
                if container == "Alt":
                    item.set(_LANGUAGE, "x-default")
        body = ElementTree.tostring(rdf, encoding="unicode")
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
            f'{body}</x:xmpmeta><?xpacket end="w"?>'
        ).encode()


for _prefix, _namespace in {**_NAMESPACES, "rdf": _RDF[1:-1]}.items():
    ElementTree.register_namespace(_prefix, _namespace)


def orientation(image: Image.Image) -> int:
    """How EXIF or XMP says that the image lies, 1 to 8; 1, upright, where they do not."""
    try:
        value = image.getexif().get(_Base.Orientation)
    except Exception:  # damaged EXIF raises whatever it likes
        value = None
    if value is None:
        value = _orientation_of(image.info.get("exif") or b"")
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _orientation_of(exif: bytes) -> int | None:
    """The orientation by EXIF's first entries alone, where the rest is cut off or damaged."""
    data = exif.removeprefix(b"Exif\0\0")
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    at = int.from_bytes(data[4:8], order)
    for entry in range(at + 2, min(at + 2 + 12 * int.from_bytes(data[at : at + 2], order), len(data) - 11), 12):
        if int.from_bytes(data[entry : entry + 2], order) == _Base.Orientation:
            return int.from_bytes(data[entry + 8 : entry + 10], order)
    return None


def kept_exif(image: Image.Image) -> bytes | None:
    """What is kept of an image's EXIF, tag by tag; None where nothing is."""
    kept = Image.Exif()
    try:
        exif = image.getexif()
        groups: list[tuple[Any, Any, tuple[int, ...]]] = [(kept, exif, _KEPT_OF_IMAGE)]
        if ExifTags.IFD.Exif in exif:
            groups.append((kept.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.Exif), _KEPT_OF_EXPOSURE))
    except Exception:
        return None
    for target, source, tags in groups:
        for tag in tags:
            value = _value(source, tag)
            if isinstance(value, str) and target is kept:
                # As they were read, byte by byte: UTF-8 in most files, though EXIF's text is ASCII.
                value = value.encode("latin-1", "replace")
            if value is not None and _can_be_written(tag, value, within=target is not kept):
                target[tag] = value
    return kept.tobytes() if any(len(target) for target, _, _ in groups) else None


def _value(tags: Any, tag: int) -> Any:
    try:
        return tags.get(tag)
    except Exception:
        return None


def _can_be_written(tag: int, value: Any, within: bool) -> bool:
    probe = Image.Exif()
    (probe.get_ifd(ExifTags.IFD.Exif) if within else probe)[tag] = value
    try:
        probe.tobytes()
    except Exception:  # numbers beyond what their type holds, text that is none
        return False
    return True


def statements(image: Image.Image) -> Statements:
    """What XMP, and where that says nothing, IPTC tells of an image."""
    found: dict[str, tuple[str, ...]] = {}
    room = _ROOM
    for source in (_of_xmp, _of_iptc):
        try:
            for name, values in source(image):
                if name in found:
                    continue
                texts = []
                for value in values:
                    text = _NO_XML.sub("", value).strip()[: min(_LONGEST, max(0, room - _OF_TAGS) // _OF_A_LETTER)]
                    if text:
                        texts.append(text)
                        room -= _OF_A_LETTER * len(text) + _OF_TAGS
                if texts:
                    found[name] = tuple(texts)
        except Exception:
            continue
    return Statements(found)


def _of_xmp(image: Image.Image) -> Iterator[tuple[str, list[str]]]:
    return _of_packet(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b"")


def _of_packet(packet: bytes | str) -> Iterator[tuple[str, list[str]]]:
    text = packet if isinstance(packet, str) else packet.decode(_encoding(packet), "replace")
    if not text or len(text) > _LARGEST_XMP or "<!DOCTYPE" in text:  # which could expand without end
        return
    root = ElementTree.fromstring(text[text.index("<") :].rstrip("\x00 \n"))
    for description in root.iter(f"{_RDF}Description"):
        for name, container in _KEPT_OF_XMP.items():
            attribute = description.get(_full(name))
            if attribute:
                yield name, [attribute]
            for element in description.findall(_full(name)):
                resource = element.get(f"{_RDF}resource")
                items = list(element.iter(f"{_RDF}li"))
                if container == "Alt":  # the same in several languages
                    items = sorted(items, key=lambda item: item.get(_LANGUAGE) != "x-default")[:1]
                yield name, [item.text or "" for item in items] or [resource or element.text or ""]


def _encoding(packet: bytes) -> str:
    """UTF-8 nearly always; the standard allows UTF-16, with a byte order mark or without."""
    if packet.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}.get(packet[:2], "utf-8")


def marked_as_painted(xmp: bytes | None) -> bytes:
    """What is kept of a photo's statements, and that a machine painted part of the picture (IPTC's digitalSourceType).

    A mark that the photo brought along stays if it says that a trained machine made all or part of it.
    """
    values = dict(_of_packet(xmp)) if xmp else {}
    marks = values.get(_SOURCE_TYPE, [])
    if not any(mark.endswith("rainedAlgorithmicMedia") for mark in marks):
        values[_SOURCE_TYPE] = [PAINTED]
    return Statements({name: tuple(texts) for name, texts in values.items()}).packet()


def _of_iptc(image: Image.Image) -> Iterator[tuple[str, list[str]]]:
    records = IptcImagePlugin.getiptcinfo(image) if isinstance(image, ImageFile.ImageFile) else None
    for name, record in _IPTC_RECORDS.items():
        value = (records or {}).get(record)
        if value:
            yield name, [_decoded(item) for item in (value if isinstance(value, list) else [value])]


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _full(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"


def exif_with_comment(exif: bytes | None, comment: str | None, limit: int | None = None) -> bytes:
    """EXIF with a text as its UserComment; of more than `limit` bytes the longest tags go, the comment last.

    Raises ValueError where the comment alone is longer.
    """
    tags = Image.Exif()
    if exif:
        tags.load(exif)
        for tag, value in dict(tags).items():
            if isinstance(value, str):
                tags[tag] = value.encode("latin-1", "replace")  # as it was read, see `kept_exif`
    inner = tags.get_ifd(ExifTags.IFD.Exif)
    if comment:
        inner[_Base.UserComment] = b"UNICODE\x00" + comment.encode("utf-16-be")
    while limit is not None and len(tags.tobytes()) > limit:
        lengths = {
            (group, tag): len(value)
            for group, values in (("image", dict(tags)), ("exposure", dict(inner)))
            for tag, value in values.items()
            if isinstance(value, str | bytes) and tag != _Base.UserComment
        }
        if not lengths:
            raise ValueError("the text that says how it was made is too long for EXIF")
        group, tag = max(lengths, key=lambda key: lengths[key])
        del (tags if group == "image" else inner)[tag]
    return tags.tobytes()
