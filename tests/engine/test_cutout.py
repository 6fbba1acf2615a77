"""The promise on every path: where alpha is 255 the subject's pixels are the photo's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from cyclorama import Background, BackgroundGenerator, InvalidOptions, Picture, cut_out
from cyclorama.engine.compositing.composite import composite
from tests.conftest import DATA, PHOTOS

CUP, MASK = PHOTOS / "coffee.jpg", DATA / "coffee-mask.png"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def check_untouched(picture: Picture, photo: np.ndarray, alpha: np.ndarray, corner: tuple[int, int] = (0, 0)) -> None:
    """corner: left and top of the photo on the canvas, whose pixels are the photo's."""
    left, top = corner
    image = np.asarray(picture.image)[top : top + photo.shape[0], left : left + photo.shape[1]]
    on_canvas = np.asarray(picture.alpha)[top : top + photo.shape[0], left : left + photo.shape[1]]
    np.testing.assert_array_equal(on_canvas, alpha)
    assert (alpha == 255).sum() > 1000
    np.testing.assert_array_equal(image[alpha == 255][:, :3], photo[alpha == 255])
    if image.shape[2] == 4:
        assert (image[alpha == 255][:, 3] == 255).all()


@pytest.mark.parametrize("background", [str(PHOTOS / "flower.jpg"), "#336699", "transparent", "own"])
@pytest.mark.parametrize("canvas", [None, "square", "16:9", "700x500"])
@pytest.mark.parametrize("shadow", [False, True])
def test_given_backgrounds(background: str, canvas: str | None, shadow: bool) -> None:
    cutout = cut_out(CUP, mask=MASK, canvas=canvas)
    given = {
        "own": cutout.out_of_focus(),
        "transparent": Background.transparent(),
        "#336699": Background.colour("#336699"),
    }.get(background) or Background.image(background)
    picture = cutout.on(given, shadow=shadow, colour_match=background.endswith("jpg"))
    assert picture.image.size == picture.background.size == cutout.size
    assert picture.image.mode == ("RGBA" if background == "transparent" else "RGB")
    corner = (cutout.placement.left, cutout.placement.top)
    check_untouched(picture, cutout.photo.rgb, cutout.photo_alpha, corner)
    image, behind = np.asarray(picture.image), np.asarray(picture.background)
    nothing_of_it = np.asarray(picture.alpha) == 0
    np.testing.assert_array_equal(image[nothing_of_it], behind[nothing_of_it])


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_profiles_and_orientation(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    turned = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    with Image.open(CUP) as photo, Image.open(MASK) as mask:
        photo.convert("RGB").transpose(turned).save(tmp_path / "turned.png", exif=exif, icc_profile=SRGB)
        upright, alpha = np.asarray(photo.convert("RGB")), np.asarray(mask.convert("L"))
    cutout = cut_out(tmp_path / "turned.png", mask=MASK, canvas="square")
    picture = cutout.on(Background.image(CUP), shadow=True, colour_match=True)
    check_untouched(picture, upright, alpha, (cutout.placement.left, cutout.placement.top))
    picture.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as written:
        assert written.info["icc_profile"] == SRGB
        assert ExifTags.Base.Orientation not in written.getexif()
        np.testing.assert_array_equal(np.asarray(written), np.asarray(picture.image))
        assert written.info["parameters"].startswith(
            "Background: coffee.jpg, Contact shadow: yes, Colour match: yes, Version: cyclorama "
        )


def test_a_painted_background_with_all_of_it() -> None:
    generator = BackgroundGenerator.load("nano")
    scene = generator.prepare(CUP, mask=MASK, canvas="4:5", subject_scale=1, subject_position=(0.5, 0.8))
    options: dict[str, Any] = {"seed": 0, "num_inference_steps": 2}
    plain = generator.generate(scene, "a wooden table", **options)
    result = generator.generate(scene, "a wooden table", **options, shadow=True, colour_match=True)
    assert result.image.size == (600, 750)
    photo = scene.cutout.photo.rgb
    for picture in (plain, result):
        canvas, alpha = np.asarray(picture.image), np.asarray(picture.alpha)
        placed = np.zeros((750, 600, 3), np.uint8)
        left, top = scene.cutout.placement.left, scene.cutout.placement.top
        rows, columns = np.nonzero(scene.cutout.photo_alpha == 255)
        placed[rows + top, columns + left] = photo[rows, columns]
        np.testing.assert_array_equal(canvas[alpha == 255], placed[alpha == 255])
    assert (np.asarray(plain.background) != np.asarray(result.background)).any()
    assert "Contact shadow: yes, Colour match: yes" in result.parameters
    assert "shadow" not in plain.parameters.lower()
    assert result.summary()["shadow"] is True
    with pytest.raises(InvalidOptions, match="lets the old background through"):
        generator.generate(scene, "a wooden table", strength=0.5)


def test_a_preview_has_the_shadow_too() -> None:
    generator = BackgroundGenerator.load("nano")
    scene = generator.prepare(CUP, mask=MASK, canvas="square")
    with_and_without = [
        next(generator.steps(scene, "white marble", seed=0, num_inference_steps=2, shadow=shadow)).preview()
        for shadow in (True, False)
    ]
    with_shadow, without = (np.asarray(preview, np.int16) for preview in with_and_without)
    assert (with_shadow <= without).all()
    assert (with_shadow < without - 20).any()


def test_over_transparency() -> None:
    """As Porter and Duff have it, with colours not multiplied by alpha."""
    rng = np.random.default_rng(1)
    foreground, behind = (rng.integers(0, 256, (60, 70, n), dtype=np.uint8) for n in (3, 4))
    alpha = rng.integers(0, 256, (60, 70), dtype=np.uint8)
    alpha[:10], behind[:20, :, 3] = 0, 0
    ours = composite(foreground, alpha, behind).astype(int)
    own = alpha[..., None] / 255
    through = (1 - own) * behind[..., 3:] / 255
    np.testing.assert_allclose(ours[..., 3:] / 255, own + through, atol=0.6 / 255)
    colours = (own * foreground + through * behind[..., :3]) / np.maximum(own + through, 1e-9)
    assert np.abs((ours[..., :3] - colours) * (own + through)).max() <= 1.1
    np.testing.assert_array_equal(ours[alpha == 255][:, :3], foreground[alpha == 255])


def test_shadow_on_transparency_serves_any_ground() -> None:
    """Put on white, it is what the same cut-out on white has."""
    cutout = cut_out(CUP, mask=MASK, canvas="square")
    free = cutout.on(Background.transparent(), shadow=True).image
    white = Image.new("RGBA", free.size, "white")
    there = np.asarray(cutout.on(Background.colour("white"), shadow=True).image, int)
    assert np.abs(np.asarray(Image.alpha_composite(white, free), int)[..., :3] - there).max() <= 2
    assert (there[np.asarray(free)[..., 3] == 0] == 255).all()


def test_a_colour_is_kept_as_asked(tmp_path: Path) -> None:
    cutout = cut_out(CUP, mask=MASK)
    with pytest.raises(InvalidOptions, match="would change the colour that was asked for, #336699"):
        cutout.on(Background.colour("#336699"), colour_match=True)
    with pytest.raises(InvalidOptions, match=r"JPEG has no transparency; name a \.png or \.webp file"):
        cutout.on(Background.transparent()).save(tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())
    cutout.on(Background.transparent()).save(tmp_path / "a.webp")
    with Image.open(tmp_path / "a.webp") as written:
        assert written.mode == "RGBA"
