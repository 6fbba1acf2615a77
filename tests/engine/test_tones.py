"""Tones as a viewer shows them, for every mode that Pillow opens; a mask's numbers stay what they are."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from cyclorama.engine.errors import BadImage
from cyclorama.engine.photo import load_mask, load_photo

RAMP = np.arange(256, dtype=np.uint8)[None].repeat(4, 0)


def png(depth: int, colour_type: int, rows: np.ndarray, chunks: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """A file with chunks that Pillow would not write; rows are (H, W) or (H, W, C)."""
    height, width = rows.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), *chunks, (b"IDAT", body), (b"IEND", b""))
    )


def grey_profile(gamma: float) -> bytes:
    """A minimal ICC profile of kind GRAY (ICC.1:2022, 8.3)."""
    tags = [
        (b"desc", b"desc" + bytes(4) + struct.pack(">I", 2) + b"g\0" + bytes(78)),
        (b"wtpt", b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)),
        (b"kTRC", b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0)),
        (b"cprt", b"text" + bytes(4) + b"none\0\0\0\0"),
    ]
    padded = [(name, data + bytes(-len(data) % 4)) for name, data in tags]
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in padded:
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    head += struct.pack(">iii", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + table + body


def shown(image: Image.Image, profile: bytes) -> np.ndarray:
    """What LittleCMS makes of it."""
    known = ImageCms.ImageCmsProfile(BytesIO(profile))
    converted = ImageCms.profileToProfile(image, known, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert converted is not None
    return np.asarray(converted)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_a_grey_profile_is_applied(gamma: float, kind: str) -> None:
    profile = grey_profile(gamma)
    image = Image.fromarray(RAMP)
    data = saved(image, kind, icc_profile=profile, **({"quality": 100} if kind == "JPEG" else {}))
    with Image.open(BytesIO(data)) as written:
        expected = shown(written, profile)
    photo = load_photo(data)
    assert photo.icc_profile is None
    assert np.abs(photo.rgb.astype(int) - expected).max() <= 1
    if gamma == 1.0:
        assert photo.rgb.mean() > RAMP.mean() + 20


def test_a_grey_profile_counts_beside_transparency_and_in_16_bits() -> None:
    profile = grey_profile(1.0)
    expected = shown(Image.fromarray(RAMP), profile)
    alpha = Image.new("L", (256, 4), 100)
    both = load_photo(saved(Image.merge("LA", (Image.fromarray(RAMP), alpha)), "PNG", icc_profile=profile))
    assert both.alpha is not None
    assert (both.alpha == 100).all()
    assert np.abs(both.rgb.astype(int) - expected).max() <= 1
    deep = load_photo(saved(Image.fromarray(RAMP.astype(np.uint16) * 257), "PNG", icc_profile=profile))
    assert np.abs(deep.rgb.astype(int) - expected).max() <= 1
    # 16 bits are not cut to 8 before the profile is applied: the darkest of linear tones stay apart.
    dark = load_photo(saved(Image.fromarray(np.arange(0, 2560, 40, dtype=np.uint16)[None]), "PNG", icc_profile=profile))
    assert len(np.unique(dark.rgb)) > 30
    palette = Image.fromarray(RAMP).convert("P")
    assert np.abs(load_photo(saved(palette, "PNG", icc_profile=profile)).rgb.astype(int) - expected).max() <= 1


def test_a_broken_grey_profile_costs_nothing() -> None:
    broken = grey_profile(1.0)[:150] + bytes(100)
    assert (load_photo(saved(Image.fromarray(RAMP), "PNG", icc_profile=broken)).rgb[..., 0] == RAMP).all()


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 1 / 3])
def test_a_pngs_gamma_is_applied(gamma: float) -> None:
    chunk = (b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    light = (RAMP / 255) ** (1 / gamma)
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    for data in (png(8, 0, RAMP, (chunk,)), png(16, 0, RAMP.astype(np.uint16) * 257, (chunk,))):
        assert np.abs(load_photo(data).rgb[..., 0] - expected).max() < 1
    colours = np.dstack([RAMP, RAMP[:, ::-1], RAMP])
    rgb = load_photo(png(8, 2, colours, (chunk,))).rgb
    assert np.abs(rgb[..., 1] - expected[:, ::-1]).max() < 1
    with_alpha = load_photo(png(8, 6, np.dstack([colours, 255 - RAMP]), (chunk,)))
    assert with_alpha.alpha is not None
    assert (with_alpha.alpha == 255 - RAMP).all()
    assert np.abs(with_alpha.rgb[..., 0] - expected).max() < 1


def test_srgbs_own_gamma_and_what_goes_before_it_change_nothing() -> None:
    own, linear, srgb = (
        (kind, struct.pack(">I", value) if kind == b"gAMA" else b"\0")
        for kind, value in ((b"gAMA", 45455), (b"gAMA", 100_000), (b"sRGB", 0))
    )
    assert (load_photo(png(8, 0, RAMP, (own,))).rgb[..., 0] == RAMP).all()
    assert (load_photo(png(8, 0, RAMP, (srgb, linear))).rgb[..., 0] == RAMP).all()


def test_fewer_bits_than_16_are_scaled_where_the_file_says_so() -> None:
    twelve = (np.arange(256) * 4095 // 255).astype(np.uint16)[None].repeat(2, 0)
    said = (b"sBIT", bytes([12]))
    assert (load_photo(png(16, 0, twelve, (said,))).rgb[0, :, 0] == RAMP[0]).all()
    # As the standard wants them, already scaled up to 16: left as they are.
    scaled = (twelve.astype(np.uint32) * 65535 // 4095).astype(np.uint16)
    assert np.abs(load_photo(png(16, 0, scaled, (said,))).rgb[0, :, 0].astype(int) - RAMP[0]).max() <= 1
    # Nothing said: 16 bits, and dark.
    assert load_photo(png(16, 0, twelve)).rgb.max() == 16
    # A mask is scaled as well.
    assert (load_mask(png(16, 0, twelve, (said,)), (256, 2))[0] == RAMP[0]).all()


def tiff(values: np.ndarray, bits: int, photometric: int = 1) -> bytes:
    """An uncompressed grey TIFF, little-endian; 12 bits are packed two to three bytes."""
    height, width = values.shape
    if bits == 12:
        pairs = values.reshape(-1, 2).astype(np.uint32)
        packed = np.stack(
            [pairs[:, 0] >> 4, ((pairs[:, 0] & 15) << 4) | (pairs[:, 1] >> 8), pairs[:, 1] & 255], 1
        ).astype(np.uint8)
        body = packed.tobytes()
    else:
        body = values.astype("<u2").tobytes()
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric),
        (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(body)),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_tiffs_of_12_and_16_bits_either_way_round() -> None:
    values = np.arange(256, dtype=np.uint16)[None].repeat(2, 0)
    assert np.abs(load_photo(tiff(values * 16, 12)).rgb[0, :, 0].astype(int) - RAMP[0]).max() <= 1
    assert (load_photo(tiff(values * 257, 16)).rgb[0, :, 0] == RAMP[0]).all()
    assert (load_photo(tiff(values * 257, 16, photometric=0)).rgb[0, :, 0] == 255 - RAMP[0]).all()


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"]
)
def test_every_mode_is_read(mode: str) -> None:
    photo = load_photo(Image.new(mode, (5, 3)))
    assert photo.rgb.shape == (3, 5, 3)
    assert load_mask(Image.new(mode, (5, 3)), (5, 3)).shape == (3, 5)


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B", "I;16L"])
def test_whole_numbers_of_16_bits(mode: str) -> None:
    image = Image.new(mode, (2, 1), 65535)
    assert (load_photo(image).rgb == 255).all()


def test_numbers_of_no_known_range_are_refused() -> None:
    assert (load_photo(Image.new("F", (2, 2), 0.5)).rgb == 128).all()
    for image in (Image.new("F", (2, 2), 300.0), Image.new("F", (2, 2), float("nan")), Image.new("I", (2, 2), 70_000)):
        with pytest.raises(BadImage, match="save it with 8 or 16 bits a channel"):
            load_photo(image)


def test_lab_has_the_colours_of_rgb(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(40, 200, (8, 8, 3), dtype=np.uint8)
    lab = ImageCms.profileToProfile(
        Image.fromarray(colours), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    lab.save(tmp_path / "a.tif")
    assert np.abs(load_photo(tmp_path / "a.tif").rgb.astype(int) - colours).max() <= 6


def test_a_masks_numbers_are_no_colours() -> None:
    plain = load_mask(Image.fromarray(RAMP), (256, 4))
    assert (plain == RAMP).all()
    assert (load_mask(saved(Image.fromarray(RAMP), "PNG", icc_profile=grey_profile(1.0)), (256, 4)) == RAMP).all()
    linear = (b"gAMA", struct.pack(">I", 100_000))
    assert (load_mask(png(8, 0, RAMP, (linear,)), (256, 4)) == RAMP).all()
    assert (load_mask(png(16, 0, RAMP.astype(np.uint16) * 257, (linear,)), (256, 4)) == RAMP).all()


def test_the_transparent_level_of_a_16_bit_png() -> None:
    values = np.array([[0, 257, 65535]], np.uint16)
    photo = load_photo(png(16, 0, values, ((b"tRNS", struct.pack(">H", 257)),)))
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0, 255]]
    assert photo.rgb[0, :, 0].tolist() == [0, 1, 255]


def test_the_transparent_colour_of_other_depths() -> None:
    deep = np.full((2, 3, 3), (0x8000, 0x4000, 0x2000), np.uint16)
    deep[0, 0] = 0
    photo = load_photo(png(16, 2, deep, ((b"tRNS", struct.pack(">HHH", 0x8000, 0x4000, 0x2000)),)))
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0, 0], [0, 0, 0]]
    header = struct.pack(">IIBBBBB", 4, 1, 2, 0, 0, 0, 0)  # four pixels of two bits: 0, 1, 2, 3
    chunks = ((b"IHDR", header), (b"tRNS", b"\0\1"), (b"IDAT", zlib.compress(b"\0\x1b")), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    photo = load_photo(data)
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0, 255, 255]]
    assert photo.rgb[0, :, 0].tolist() == [0, 85, 170, 255]


def test_significant_bits_far_into_the_file() -> None:
    twelve = (np.arange(256) * 4095 // 255).astype(np.uint16)[None].repeat(2, 0)
    data = png(16, 0, twelve, ((b"tEXt", b"Comment\0" + b"x" * 9000), (b"sBIT", bytes([12]))))
    assert (load_photo(data).rgb[0, :, 0] == RAMP[0]).all()


def test_pillow_still_reads_twelve_bits_as_this_expects() -> None:
    with Image.open(BytesIO(tiff(np.zeros((2, 2), np.uint16), 12))) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        assert image.mode == "I;16"
