"""The subject's own colours at its edge, beside pymatting's."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from cyclorama import BackgroundGenerator, cut_out
from cyclorama.engine.compositing.composite import composite
from cyclorama.engine.matting.foreground import foreground_colours
from tests.conftest import PHOTOS


def scene(size: tuple[int, int] = (320, 240)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A soft-edged patterned disc: its colours, its alpha, and the green ground it was photographed on."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse((60, 30, 260, 210), fill=255)
    alpha = np.asarray(mask.filter(ImageFilter.GaussianBlur(4)))
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    colours = np.stack([170 + 50 * np.sin(x / 25), 80 + 40 * np.sin(y / 20), 90 + 0 * x], -1).astype(np.uint8)
    ground = np.stack([40 + 0 * x, 180 + 40 * np.sin(x / 30), 60 + y / 8], -1).astype(np.uint8)
    return colours, alpha, ground


def test_the_old_background_does_not_bleed_into_the_new_one() -> None:
    import pymatting

    colours, alpha, ground = scene()
    photo = composite(colours, alpha, ground)
    other = np.full_like(photo, (30, 40, 220))
    truth = composite(colours, alpha, other).astype(int)
    soft = (alpha > 0) & (alpha < 255)
    theirs = pymatting.estimate_foreground_ml(photo / 255, alpha / 255) * 255
    off = {
        name: np.abs(composite(np.clip(chosen, 0, 255).astype(np.uint8), alpha, other) - truth)[soft].mean()
        for name, chosen in (("pasted", photo), ("ours", foreground_colours(photo, alpha)), ("pymatting", theirs))
    }
    assert off["ours"] < 0.2 * off["pasted"]
    assert off["ours"] < 1.7 * off["pymatting"]


def test_only_mixed_pixels_change() -> None:
    colours, alpha, ground = scene()
    photo = composite(colours, alpha, ground)
    own = foreground_colours(photo, alpha)
    untouched = (alpha == 0) | (alpha == 255)
    np.testing.assert_array_equal(own[untouched], photo[untouched])
    assert (own[~untouched] != photo[~untouched]).any()
    for flat in (0, 255):
        np.testing.assert_array_equal(foreground_colours(photo, np.full_like(alpha, flat)), photo)


def test_large_photos_give_what_small_ones_give() -> None:
    colours, alpha, ground = (np.asarray(Image.fromarray(x).resize((1600, 1200))) for x in scene())
    photo = composite(colours, alpha, ground)
    soft = (alpha > 20) & (alpha < 235)
    off = np.abs(foreground_colours(photo, alpha).astype(int) - colours)[soft].mean()
    assert off < 0.35 * np.abs(photo.astype(int) - colours)[soft].mean()


@pytest.mark.parametrize("thin", [(3, 200), (200, 2), (1, 1)])
def test_tiny_photos(thin: tuple[int, int]) -> None:
    photo, alpha = np.full((*thin, 3), 90, np.uint8), np.full(thin, 120, np.uint8)
    assert foreground_colours(photo, alpha).shape == photo.shape


def test_a_result_is_composited_from_them_and_keeps_the_subject() -> None:
    generator = BackgroundGenerator.load("nano")
    prepared = generator.prepare(PHOTOS / "flower.jpg")
    cutout = prepared.cutout
    result = generator.generate(prepared, "a beach", seed=0, num_inference_steps=2)
    image, alpha = np.asarray(result.image), np.asarray(result.alpha)
    np.testing.assert_array_equal(image[alpha == 255], cutout.photo.rgb[alpha == 255])
    expected = composite(cutout.foreground, alpha, np.asarray(result.background))
    np.testing.assert_array_equal(image, expected)
    assert (cutout.foreground != cutout.photo.rgb).any()
    assert result.seconds["edges"] > 0


def test_a_cut_outs_own_colours_are_left_alone() -> None:
    colours, alpha, _ = scene()
    cutout = cut_out(np.dstack([colours, alpha]))
    np.testing.assert_array_equal(cutout.foreground, colours)
