"""Photos of every kind that people have: each works, or fails in one clear line."""

from __future__ import annotations

import contextlib
import logging
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from cyclorama.engine.errors import BadImage
from cyclorama.engine.files import encode_image, image_format, write_whole
from cyclorama.engine.photo import load_mask, load_photo

RGB = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def written(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def save_image(image: Image.Image, path: Path, **about: Any) -> None:
    write_whole(path, encode_image(image, image_format(path), **about))


def png(header: bytes, rows: bytes) -> bytes:
    """A file that Pillow would not write."""
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_png_is_read_bit_for_bit(tmp_path: Path) -> None:
    photo = load_photo(written(tmp_path / "a.png", Image.fromarray(RGB)))
    np.testing.assert_array_equal(photo.rgb, RGB)
    assert photo.alpha is None
    assert photo.size == (20, 12)


def test_pil_images_and_arrays_are_read(tmp_path: Path) -> None:
    np.testing.assert_array_equal(load_photo(RGB).rgb, RGB)
    np.testing.assert_array_equal(load_photo(Image.fromarray(RGB)).rgb, RGB)
    np.testing.assert_array_equal(load_photo(RGB[..., 0]).rgb[..., 2], RGB[..., 0])
    with pytest.raises(BadImage, match="must be uint8"):
        load_photo(RGB.astype(np.float32))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_dropped(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Artist] = "me"
    photo = load_photo(written(tmp_path / "a.png", Image.fromarray(RGB), exif=exif))
    assert photo.size == ((20, 12) if orientation < 5 else (12, 20))
    assert photo.exif is not None
    kept = Image.Exif()
    kept.load(photo.exif)
    assert dict(kept) == {ExifTags.Base.Artist: "me"}


def test_gps_position_is_dropped_on_the_way(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 30.0, 0.0)
    photo = load_photo(written(tmp_path / "a.jpg", Image.fromarray(RGB), exif=exif))
    for ending in ("png", "jpg", "webp"):
        out = tmp_path / f"out.{ending}"
        save_image(Image.fromarray(photo.rgb), out, parameters="a beach", exif=photo.exif)
        with Image.open(out) as image:
            tags = image.getexif()
            assert tags[ExifTags.Base.Make] == "camera"
            assert not tags.get_ifd(ExifTags.IFD.GPSInfo)


def test_the_old_size_is_dropped_from_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.ExifImageWidth: 20, ExifTags.Base.ISOSpeedRatings: 100})
    photo = load_photo(written(tmp_path / "a.jpg", Image.fromarray(RGB), exif=exif))
    kept = Image.Exif()
    assert photo.exif is not None
    kept.load(photo.exif)
    assert dict(kept.get_ifd(ExifTags.IFD.Exif)) == {ExifTags.Base.ISOSpeedRatings: 100}


def test_cmyk_with_and_without_profile(tmp_path: Path) -> None:
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # red
    red = load_photo(written(tmp_path / "a.jpg", cmyk, quality=100)).rgb[4, 4]
    assert red[0] > 200
    assert red[1] < 90
    broken = written(tmp_path / "b.jpg", cmyk, icc_profile=b"\x00" * 200)
    assert load_photo(broken).rgb[4, 4, 0] > 200


def test_16_bit_png_is_rounded_to_8(tmp_path: Path) -> None:
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    photo = load_photo(written(tmp_path / "a.png", Image.fromarray(values)))
    assert photo.rgb[0, :, 0].tolist() == [0, 1, 128, 255]
    # A 16-bit RGB file, which Pillow reads but cannot write.
    rows = b"".join(b"\x00" + np.full((3, 3), 65535, ">u2").tobytes() for _ in range(2))
    header = bytes([0, 0, 0, 3, 0, 0, 0, 2, 16, 2, 0, 0, 0])
    (tmp_path / "b.png").write_bytes(png(header, rows))
    assert (load_photo(tmp_path / "b.png").rgb == 255).all()


def test_greyscale_and_bilevel(tmp_path: Path) -> None:
    grey = Image.fromarray(RGB[..., 0])
    photo = load_photo(written(tmp_path / "a.png", grey))
    assert (photo.rgb == RGB[..., :1]).all()
    assert load_photo(written(tmp_path / "b.png", grey.convert("1"))).rgb.shape == (12, 20, 3)


def test_transparency_is_offered_as_alpha(tmp_path: Path) -> None:
    palette = Image.new("P", (6, 4), 1)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    palette.paste(0, (0, 0, 3, 4))
    photo = load_photo(written(tmp_path / "a.png", palette, transparency=0))
    assert photo.alpha is not None
    assert photo.alpha[0].tolist() == [0, 0, 0, 255, 255, 255]
    opaque = load_photo(written(tmp_path / "b.png", Image.fromarray(RGB).convert("RGBA")))
    assert opaque.alpha is None


def test_one_pixel_high(tmp_path: Path) -> None:
    assert load_photo(written(tmp_path / "a.png", Image.fromarray(RGB[:1]))).size == (20, 1)


def test_first_frame_of_an_animation_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = written(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    with caplog.at_level(logging.WARNING, "cyclorama"):
        assert load_photo(path).rgb[0, 0].tolist() == [255, 0, 0]
    assert "animated; its first frame" in caplog.text


def test_heic_works_with_pillow_heif(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    path = written(tmp_path / "a.heic", Image.new("RGB", (64, 64), (200, 30, 30)), quality=90)
    assert load_photo(path).rgb[32, 32, 0] > 180


def test_heic_without_pillow_heif_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyclorama.engine.photo._register_heif", lambda: None)
    (tmp_path / "a.heic").write_bytes(b"\x00\x00\x00\x18ftyp____ not for Pillow")
    with pytest.raises(BadImage, match=r"cyclorama\[heic\]") as error:
        load_photo(tmp_path / "a.heic")
    one_line(error)


def test_bad_files_fail_in_one_line(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.jpg", Image.fromarray(np.tile(RGB, (20, 20, 1)))).read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    intact = written(tmp_path / "a.png", Image.fromarray(RGB)).read_bytes()
    (tmp_path / "cut.png").write_bytes(intact[:60])
    for name in ("truncated.jpg", "text.png", "empty.png", "cut.png", "none.png"):
        with pytest.raises(BadImage) as error:
            load_photo(tmp_path / name)
        assert name in one_line(error)
    for ending in ("avif", "heic", "webp", "png"):
        whole = written(tmp_path / f"flip.{ending}", Image.fromarray(np.tile(RGB, (8, 8, 1)))).read_bytes()
        rng = np.random.default_rng(0)
        for _ in range(60):
            damaged = bytearray(whole)
            for position in rng.integers(0, len(whole), 8):
                damaged[position] ^= int(rng.integers(1, 256))
            (tmp_path / f"flip.{ending}").write_bytes(damaged)
            with contextlib.suppress(BadImage):
                load_photo(tmp_path / f"flip.{ending}")
    with pytest.raises(BadImage, match="is a folder"):
        load_photo(tmp_path)
    with pytest.raises(BadImage, match="float"):
        load_photo(np.zeros((2, 2), np.float64))
    with pytest.raises(BadImage, match="16 bits"):
        load_photo(Image.new("F", (2, 2), 2.0))


def test_decompression_bomb_is_refused(tmp_path: Path) -> None:
    header = bytes([0, 0, 0x80, 0, 0, 0, 0x80, 0, 1, 0, 0, 0, 0])  # 32768 x 32768, 1 bit
    (tmp_path / "bomb.png").write_bytes(png(header, b"\x00" * 1000))
    with pytest.raises(BadImage, match="million pixels") as error:
        load_photo(tmp_path / "bomb.png")
    one_line(error)


def test_colour_profile_is_kept_for_rgb_only(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = load_photo(written(tmp_path / "a.jpg", Image.fromarray(RGB), icc_profile=profile))
    assert photo.icc_profile == profile
    for ending in ("png", "jpg", "webp"):
        save_image(Image.fromarray(photo.rgb), tmp_path / f"out.{ending}", icc_profile=photo.icc_profile)
        with Image.open(tmp_path / f"out.{ending}") as image:
            assert image.info["icc_profile"] == profile
    grey = written(tmp_path / "grey.png", Image.fromarray(RGB[..., 0]), icc_profile=profile)
    assert load_photo(grey).icc_profile is None


def test_mask_of_the_wrong_size_says_both(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="the mask is 20x12 but the photo is 12x20"):
        load_mask(RGB, (12, 20))
    mask = load_mask(np.full((4, 4), 200, np.uint8), (4, 4))
    assert (mask == 200).all()
    cutout = np.dstack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 77, np.uint8)])
    assert (load_mask(cutout, (4, 4)) == 77).all()
