"""Given backgrounds: files, colours and transparency as they should look, and the old one out of focus."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFilter

from cyclorama import Background, BadImage, InvalidOptions, cut_out
from cyclorama.engine.blur import disc_mean

RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def wide_gamut() -> bytes:
    """A colour profile that is not sRGB: LAB's D50 white with red and green swapped would be none; gamma 1 is."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # The three tone curves of Pillow's sRGB profile are one parametric one; type 0 with an exponent of 1 is linear.
    at = int.from_bytes(profile[profile.index(b"rTRC") + 4 :][:4], "big")
    profile[at : at + 16] = b"para" + bytes(4) + (0).to_bytes(2, "big") + bytes(2) + (65536).to_bytes(4, "big")
    return bytes(profile)


@pytest.mark.parametrize(
    ("colour", "rgb"),
    [("white", (255, 255, 255)), ("#102030", (16, 32, 48)), ("rgb(1, 2, 3)", (1, 2, 3)), ("#abc", (170, 187, 204))],
)
def test_colours(colour: str, rgb: tuple[int, int, int]) -> None:
    background = Background.colour(colour)
    assert background.is_plain
    assert (background.fitted((5, 7), None) == rgb).all()
    assert background.fitted((5, 7), None).shape == (7, 5, 3)


def test_transparency() -> None:
    assert not Background.transparent().fitted((4, 3), None).any()
    assert Background.transparent().fitted((4, 3), None).shape == (3, 4, 4)
    assert (Background.colour("#11223380").fitted((4, 3), None) == (17, 34, 51, 128)).all()


def test_a_picture_covers_the_canvas_and_is_never_stretched() -> None:
    rings = np.zeros((100, 300, 3), np.uint8)
    rings[:, 100:200] = 255
    same = Background.image(rings).fitted((300, 100), None)
    np.testing.assert_array_equal(same, rings)
    assert (Background.image(rings).fitted((80, 80), None) > 240).all()  # its middle third


def test_orientation_and_profile_are_followed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    linear = wide_gamut()
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif, icc_profile=linear)
    background = Background.image(str(tmp_path / "a.png"))
    assert background.name == "a.png"
    np.testing.assert_array_equal(background.fitted((30, 40), linear), np.rot90(RGB, -1))  # the photo has the same
    in_srgb = background.fitted((30, 40), None)
    expected = 255 * np.where(
        (x := np.rot90(RGB, -1) / 255) <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055
    )
    assert np.abs(in_srgb - expected).max() <= 2
    grey = Background.colour("#808080").fitted((2, 2), linear)
    assert np.abs(grey.astype(int) - 55).max() <= 1  # the same colour in fewer code values


def test_broken_profiles_are_told(caplog: pytest.LogCaptureFixture) -> None:
    assert (Background.colour("white").fitted((2, 2), b"no profile") == 255).all()
    assert "profile is broken" in caplog.text


@pytest.mark.parametrize("bad", ["nowhere.jpg", "reddish", "rgb(300, 0, 0)", "", "x" * 300, "a\0b"])
def test_what_is_neither_file_nor_colour(bad: str) -> None:
    """A colour's name opens no file, and a file's name is no colour; only the command line takes text for either."""
    with pytest.raises(InvalidOptions, match="no colour is called") as error:
        Background.colour(bad)
    assert "\n" not in str(error.value)
    with pytest.raises(BadImage) as not_read:
        Background.image(bad)
    assert "\n" not in str(not_read.value)
    with pytest.raises(InvalidOptions, match=r"a background is Background\.colour"):
        cut_out(RGB, mask=np.pad(np.full((20, 30), 255, np.uint8), 5)).on(bad)  # type: ignore[arg-type]


def test_a_folder_is_no_background(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="is a folder"):
        Background.image(tmp_path)


def test_files_of_every_kind(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=100)
    assert Background.image(tmp_path / "cmyk.jpg").fitted((20, 10), None)[5, 5, 0] > 200
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("blue", "red")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert Background.image(tmp_path / "a.gif").fitted((8, 8), None)[0, 0].tolist() == [0, 0, 255]
    half = np.dstack([RGB, np.full(RGB.shape[:2], 128, np.uint8)])
    half[:, :20, 3] = 0
    fitted = Background.image(half).fitted((10, 30), None)
    assert fitted.shape == (30, 10, 4)
    assert (fitted[:, :4, 3] < 20).all()
    assert (fitted[:, 6:, 3] > 110).all()
    odd = tmp_path / os.fsdecode(b"caf\xe9\n.png")
    Image.fromarray(RGB).save(odd)
    assert Background.image(odd).name.encode() == b"caf? .png"


def test_a_disc_is_what_a_point_becomes() -> None:
    point = np.zeros((1, 41, 61), np.float32)
    point[0, 20, 30] = 1
    blurred = disc_mean(point, 6)[0]
    away = np.hypot(*(np.ogrid[:41, :61][axis] - at for axis, at in ((0, 20), (1, 30))))
    inside = blurred[away < 5.5]
    assert np.ptp(inside) < 1e-6
    assert inside[0] == pytest.approx(1 / (np.pi * 6**2), rel=0.05)
    assert np.abs(blurred[away > 7]).max() < 1e-6
    assert blurred.sum() == pytest.approx(1, abs=1e-4)


def test_flat_stays_flat_when_blurred() -> None:
    np.testing.assert_allclose(disc_mean(np.full((2, 9, 13), 0.3, np.float32), 5), 0.3, atol=1e-5)


def test_out_of_focus_keeps_nothing_of_the_subject() -> None:
    y, x = np.mgrid[:300, :400]
    ground = np.stack([np.zeros_like(x), 60 + 60 * (x // 8 % 2) + y // 10, 90 + 0 * x], -1).astype(np.uint8)
    alpha = np.where(np.hypot(x - 200, y - 150) < 70, 255, 0).astype(np.uint8)
    alpha = np.asarray(Image.fromarray(alpha).filter(ImageFilter.GaussianBlur(2)))
    red = np.array([255, 0, 0])
    photo = Background.image(np.round(ground + (red - ground.astype(int)) * (alpha[..., None] / 255)).astype(np.uint8))
    blurred = Background.blurred(photo.photo, alpha).fitted((400, 300), None)
    assert blurred[..., 0].max() <= 3  # the subject was all that is red
    far = np.hypot(x - 200, y - 150) > 100
    assert np.abs(np.diff(blurred[..., 1].astype(int), axis=1))[:, 20:-20].max() < 20  # stripes of 60 are gone
    assert abs(int(blurred[far][:, 1].mean()) - int(ground[far][:, 1].mean())) < 12
    assert (blurred[140:160, 190:210, 1] > 60).all()  # behind the subject, too, there is ground


def test_a_cut_out_has_no_background_to_blur() -> None:
    with pytest.raises(InvalidOptions, match="has no background of its own to blur"):
        cut_out(np.dstack([RGB, np.arange(1200).reshape(30, 40) % 256]).astype(np.uint8)).out_of_focus()


def test_a_mask_that_is_nowhere_quite_black() -> None:
    alpha = np.full((90, 120), 2, np.uint8)
    alpha[30:60, 40:80] = 255
    blurred = Background.blurred(Background.image(np.full((90, 120, 3), 180, np.uint8)).photo, alpha)
    assert np.abs(blurred.photo.rgb.astype(int) - 180).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 2)])
def test_out_of_focus_of_tiny_photos(size: tuple[int, int]) -> None:
    alpha = np.zeros(size[::-1], np.uint8)
    alpha.flat[0] = 255
    photo = Background.image(np.full((*size[::-1], 3), 90, np.uint8)).photo
    assert Background.blurred(photo, alpha).photo.size == size
