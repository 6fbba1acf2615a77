"""Metadata is optional: it never costs the photo, says who made it, and never where."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ExifTags, Image

from cyclorama import Background, BackgroundGenerator, cut_out
from cyclorama.engine.metadata import Statements, exif_with_comment
from cyclorama.engine.photo import load_photo

RGB = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
MASK = np.zeros((12, 20), np.uint8)
MASK[3:9, 5:12] = 255
Base, IFD = ExifTags.Base, ExifTags.IFD
KINDS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "avif": "AVIF"}

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
 photoshop:Credit="An Agency" photoshop:City="Secretville" exif:GPSLatitude="52,30.5N" xmpRights:Marked="True">
<dc:creator><rdf:Seq><rdf:li>Ann Ä. Photographer</rdf:li><rdf:li>Her Friend</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">(c) 2026 Ann</rdf:li></rdf:Alt></dc:rights>
<Iptc4xmpCore:Location>Secret Street 1</Iptc4xmpCore:Location>
<Iptc4xmpExt:DigitalSourceType rdf:resource="{TRAINED}"/>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()
EXPECTED = {
    "dc:creator": ("Ann Ä. Photographer", "Her Friend"),
    "dc:rights": ("(c) 2026 Ann",),
    "photoshop:Credit": ("An Agency",),
    "xmpRights:Marked": ("True",),
    "Iptc4xmpExt:DigitalSourceType": (TRAINED,),
}


def exif_of_a_phone() -> Image.Exif:
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model], exif[Base.Artist], exif[Base.Copyright] = "Maker", "M1", "Ann", "(c) Ann"
    exif[Base.Orientation] = 1
    exif.get_ifd(IFD.Exif).update(
        {
            Base.DateTimeOriginal: "2024:01:02 03:04:05",
            Base.ExposureTime: 0.01,
            Base.MakerNote: b"SECRETNOTE" * 10,
            Base.BodySerialNumber: "SECRETSERIAL",
            Base.LensModel: "50mm",
            0xEA1C: b"SECRETPADDING",
        }
    )
    exif.get_ifd(IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "SECRETGPS"
    exif.get_ifd(IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 30.0, 0.0)
    return exif


def written(kind: str, **options: Any) -> bytes:
    data = BytesIO()
    Image.fromarray(RGB).save(data, kind, **options)
    return data.getvalue()


def with_xmp(kind: str, xmp: bytes = XMP) -> bytes:
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return written(kind, pnginfo=chunks)
    if kind == "TIFF":
        return written(kind, tiffinfo={700: xmp})
    return written(kind, xmp=xmp)


def read_back(data: bytes) -> tuple[dict[int, Any], dict[int, Any], dict[str, tuple[str, ...]]]:
    """EXIF's two groups and the statements of a file, by readers of their own."""
    with Image.open(BytesIO(data)) as image:
        image.load()
        exif = image.getexif()
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp", "").encode()
    found: dict[str, tuple[str, ...]] = {}
    if packet:
        prefixes = {
            "http://purl.org/dc/elements/1.1/": "dc",
            "http://ns.adobe.com/photoshop/1.0/": "photoshop",
            "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
            "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
        }
        rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
        description = ElementTree.fromstring(packet).find(f".//{rdf}Description")
        for element in [] if description is None else description:
            namespace, local = element.tag[1:].split("}")
            items = [item.text or "" for item in element.iter(f"{rdf}li")] or [element.text or ""]
            found[f"{prefixes[namespace]}:{local}"] = tuple(items)
    return dict(exif), dict(exif.get_ifd(IFD.Exif)), found


@pytest.mark.parametrize("out", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kind", KINDS.values())
def test_what_is_kept_and_what_is_not_from_and_to_every_format(kind: str, out: str) -> None:
    options: dict[str, Any] = {"exif": exif_of_a_phone()} if kind == "TIFF" else {"exif": exif_of_a_phone().tobytes()}
    result = cut_out(written(kind, **options), mask=MASK).on(Background.colour("white")).encode(out)
    assert b"SECRET" not in result
    image, exposure, _ = read_back(result)
    assert (image[Base.Make], image[Base.Artist], image[Base.Copyright]) == ("Maker", "Ann", "(c) Ann")
    assert IFD.GPSInfo not in image
    if kind != "TIFF":  # Pillow writes no exposure into those
        assert exposure[Base.DateTimeOriginal] == "2024:01:02 03:04:05"
        assert float(exposure[Base.ExposureTime]) == pytest.approx(0.01)
        assert exposure[Base.LensModel] == "50mm"


@pytest.mark.parametrize("out", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kind", KINDS.values())
def test_creator_rights_credit_and_source_stay_and_places_go(kind: str, out: str) -> None:
    result = cut_out(with_xmp(kind), mask=MASK).on(Background.colour("white")).encode(out)
    assert b"Secret" not in result
    assert b"GPS" not in result
    assert read_back(result)[2] == EXPECTED


def iptc(**records: str) -> bytes:
    """A JPEG segment with IPTC's records, as Photoshop writes them."""
    numbers = {"byline": 80, "city": 90, "credit": 110, "copyright": 116}
    body = b"".join(
        struct.pack(">BBBH", 0x1C, 2, numbers[name], len(text.encode())) + text.encode()
        for name, text in records.items()
    )
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(body)) + body + b"\0" * (len(body) % 2)
    content = b"Photoshop 3.0\0" + block
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content


def test_iptc_counts_where_xmp_says_nothing() -> None:
    jpeg = written("JPEG")
    data = jpeg[:2] + iptc(byline="Bob Byline", city="Secretville", credit="Cred It", copyright="(c) Bob") + jpeg[2:]
    result = cut_out(data, mask=MASK).on(Background.colour("white")).encode("WEBP")
    assert b"Secret" not in result
    assert read_back(result)[2] == {
        "dc:creator": ("Bob Byline",),
        "photoshop:Credit": ("Cred It",),
        "dc:rights": ("(c) Bob",),
    }
    jpeg = with_xmp("JPEG")
    both = cut_out(jpeg[:2] + iptc(byline="Bob") + jpeg[2:], mask=MASK).on(Background.colour("white")).encode("PNG")
    assert read_back(both)[2] == EXPECTED


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


TURNED = entry(0x0112, 3, 1, 6)
DAMAGED = {
    "a rational with a negative part": [TURNED, entry(0x011A, 10, 1, 38)],
    "a pointer beyond the end": [TURNED, entry(0x010F, 2, 400, 0xFFFFFF)],
    "an unknown type": [TURNED, entry(0x010F, 99, 1, 0)],
    "a group that is none": [TURNED, entry(0x8769, 4, 1, 0xFFFFFF)],
    "a group that holds itself": [TURNED, entry(0x8769, 4, 1, 8)],
    "an absurd count": [TURNED, entry(0x013B, 2, 0xFFFFFFFF, 8)],
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_costs_neither_photo_nor_orientation(damage: str, kind: str) -> None:
    entries = DAMAGED[damage]
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + struct.pack("<Iii", 0, -1, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, of what is damaged
        photo = load_photo(written(kind, exif=exif))
    assert photo.size == (12, 20)
    picture = cut_out(photo, mask=MASK.T[:, ::-1].copy()).on(Background.colour("white"))
    for out in ("PNG", "JPEG", "WEBP"):
        assert read_back(picture.encode(out))[0].get(Base.Orientation, 1) == 1


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"nonsense"])
def test_exif_that_is_none_costs_nothing(exif: bytes) -> None:
    jpeg = written("JPEG")
    data = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load_photo(data).size == (20, 12)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">%b]><x xmlns:dc="http://purl.org/dc/elements/1.1/">
&k;</x>""" % b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(10))


@pytest.mark.parametrize("xmp", [b"", b"<", b"<x", b"\xff\xfe\0", b"no xml", XMP[:400], BOMB, b"<a/>" * 20_000])
def test_damaged_xmp_costs_nothing(xmp: bytes) -> None:
    photo = load_photo(written("JPEG", xmp=xmp[:60_000]))
    assert photo.xmp is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_packets_in_utf_16(encoding: str) -> None:
    packet = XMP.decode().replace("\ufeff", "").encode(encoding)
    result = cut_out(written("JPEG", xmp=packet), mask=MASK).on(Background.colour("white")).encode("PNG")
    assert read_back(result)[2] == EXPECTED


def test_of_several_languages_the_default_is_kept() -> None:
    both = b'<rdf:li xml:lang="de">(c) Deutsch</rdf:li><rdf:li xml:lang="x-default">(c) 2026 Ann</rdf:li>'
    packet = XMP.replace(b'<rdf:li xml:lang="x-default">(c) 2026 Ann</rdf:li>', both)
    assert packet != XMP
    assert (
        read_back(cut_out(written("JPEG", xmp=packet), mask=MASK).on(Background.colour("white")).encode("PNG"))[2]
        == EXPECTED
    )


COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
CAMERA = b"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        (written("JPEG"), {"Iptc4xmpExt:DigitalSourceType": (COMPOSITE,)}),
        (with_xmp("JPEG"), EXPECTED),  # made by a machine as a whole, which it stays
        (with_xmp("JPEG", XMP.replace(TRAINED.encode(), CAMERA)),
         {**EXPECTED, "Iptc4xmpExt:DigitalSourceType": (COMPOSITE,)}),
        (with_xmp("JPEG", XMP.replace(TRAINED.encode(), CAMERA.replace(b"digitalCapture", b"algorithmicallyEnhanced"))),
         {**EXPECTED, "Iptc4xmpExt:DigitalSourceType": (COMPOSITE,)}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("out", ["PNG", "JPEG", "WEBP"])
def test_a_painted_picture_says_that_a_machine_painted(photo: bytes, expected: dict[str, Any], out: str) -> None:
    generator = BackgroundGenerator.load("nano", backend="onnx")
    result = generator.generate(generator.prepare(photo, mask=MASK), "a beach", num_inference_steps=1)
    assert read_back(result.encode(out))[2] == expected
    plain = cut_out(photo, mask=MASK).on(Background.colour("white")).encode(out)
    assert read_back(plain)[2].get("Iptc4xmpExt:DigitalSourceType") != (COMPOSITE,)


def test_exif_text_keeps_its_bytes() -> None:
    """EXIF's text is ASCII, and files hold UTF-8."""
    exif = Image.Exif()
    exif[Base.Copyright] = "(c) 2024 Zoë".encode()
    for out in ("PNG", "JPEG", "WEBP"):
        assert "(c) 2024 Zoë".encode() in cut_out(written("JPEG", exif=exif), mask=MASK).on(
            Background.colour("white")
        ).encode(out)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_orientation_of_exif_that_is_cut_off(kind: str) -> None:
    exif = exif_of_a_phone()
    exif[Base.Orientation] = 6
    whole = exif.tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load_photo(written(kind, exif=whole[:90])).size == (12, 20)


@pytest.mark.parametrize("flood", [(b"&amp;" * 4000, 20), (b"&lt;", 5000), ("🐈".encode() * 4000, 9)])
def test_any_number_of_statements_fits_into_a_jpeg(flood: tuple[bytes, int]) -> None:
    text, number = flood
    packet = XMP.replace(b"<rdf:li>Her Friend</rdf:li>", (b"<rdf:li>" + text + b"</rdf:li>") * number)
    kept = read_back(cut_out(with_xmp("PNG", packet), mask=MASK).on(Background.colour("white")).encode("JPEG"))[2][
        "dc:creator"
    ]
    assert kept[0] == "Ann Ä. Photographer"
    assert len(kept) > 1


def test_long_statements_fit_into_every_format() -> None:
    items = b"".join(b"<rdf:li>" + bytes([97 + i]) * 3900 + b"</rdf:li>" for i in range(26))
    packet = XMP.replace(b"<rdf:li>Her Friend</rdf:li>", items)
    picture = cut_out(with_xmp("PNG", packet), mask=MASK).on(Background.colour("white"))
    for out in ("PNG", "JPEG", "WEBP"):
        assert read_back(picture.encode(out))[2]["dc:creator"][:2] == ("Ann Ä. Photographer", "a" * 3900)


def test_statements_are_written_as_xml_wants_them() -> None:
    hostile = Statements({"dc:creator": ("<b>&\"'", "ä"), "Iptc4xmpExt:DigitalSourceType": ("a&b",)})
    data = written("PNG")
    photo = load_photo(data)
    picture = cut_out(type(photo)(photo.rgb, xmp=hostile.packet()), mask=MASK).on(Background.colour("white"))
    assert read_back(picture.encode("JPEG"))[2] == hostile.values


def test_a_comment_goes_last() -> None:
    exif = Image.Exif()
    exif[Base.ImageDescription], exif[Base.Artist] = "x" * 500, "me"
    tags = Image.Exif()
    tags.load(exif_with_comment(exif.tobytes(), "a beach", 300))
    assert dict(tags)[Base.Artist] == "me"
    assert Base.ImageDescription not in tags
    with pytest.raises(ValueError, match="too long for EXIF"):
        exif_with_comment(exif.tobytes(), "a" * 300, 300)


def test_the_name_of_a_photo_is_not_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(written("PNG"))
    np.testing.assert_array_equal(load_photo(tmp_path / "a.jpg").rgb, RGB)
