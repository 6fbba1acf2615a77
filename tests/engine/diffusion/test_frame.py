"""The working frame and the composite."""

from __future__ import annotations

import numpy as np
import pytest

from cyclorama import InvalidOptions
from cyclorama.engine.compositing.composite import composite
from cyclorama.engine.diffusion.frame import Frame


@pytest.mark.parametrize(
    "size", [(512, 512), (451, 300), (300, 451), (6000, 4000), (4000, 1), (1, 4000), (37, 41), (1, 1)]
)
@pytest.mark.parametrize(("side", "multiple"), [(512, 64), (128, 32), (100, 32)])
def test_any_aspect_fits_without_stretching(size: tuple[int, int], side: int, multiple: int) -> None:
    frame = Frame.fit(size, side, multiple)
    assert frame.width % multiple == frame.height % multiple == 0
    assert 0.5 * side**2 <= frame.width * frame.height <= 2 * side**2
    left, top, right, bottom = frame.box
    assert 0 <= left < right <= frame.width
    assert 0 <= top < bottom <= frame.height
    scale = min(frame.width / size[0], frame.height / size[1])
    assert right - left == max(1, round(size[0] * scale))
    assert bottom - top == max(1, round(size[1] * scale))


def test_common_shapes_of_sd15() -> None:
    assert (Frame.fit((1000, 1000), 512, 64).width, Frame.fit((1000, 1000), 512, 64).height) == (512, 512)
    frame = Frame.fit((4000, 3000), 512, 64)
    assert (frame.width, frame.height) == (576, 448)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(InvalidOptions, match="size must be a whole number from 64 to 2048 for this model, got 10"):
        Frame.fit((100, 100), 10, 64)


def test_placing_and_cutting_are_inverse() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    frame = Frame(128, 128, (16, 32, 112, 96))
    canvas = frame.place_photo(rgb)
    assert canvas.shape == (1, 3, 128, 128)
    assert canvas.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(frame.cut_photo(canvas)), rgb)
    np.testing.assert_array_equal(canvas[0, :, 0, 64], canvas[0, :, 32, 64])


def test_painted_area_reaches_into_the_subject_and_over_the_margin() -> None:
    alpha = np.zeros((512, 512), np.uint8)
    alpha[100:400, 100:400] = 255
    mask = Frame(512, 576, (0, 32, 512, 544)).place_mask(alpha)
    assert mask.shape == (1, 1, 576, 512)
    assert mask.min() == 0.0
    assert mask.max() == 1.0
    assert (mask[0, 0, :30] == 1).all()  # margin
    row = mask[0, 0, 32 + 250]
    assert row[99] == 1.0  # the whole background
    assert row[102] > 0.5  # and the subject's rim
    assert row[116] == 0.0
    assert 0 < row[106] < 1  # feathered


def test_composite_is_the_photo_bit_for_bit_where_alpha_is_255() -> None:
    rng = np.random.default_rng(0)
    foreground, background = (rng.integers(0, 256, (700, 31, 3), dtype=np.uint8) for _ in range(2))
    alpha = rng.choice(np.array([0, 1, 100, 254, 255], np.uint8), (700, 31))
    result = composite(foreground, alpha, background)
    np.testing.assert_array_equal(result[alpha == 255], foreground[alpha == 255])
    np.testing.assert_array_equal(result[alpha == 0], background[alpha == 0])
    share = alpha[..., None] / 255
    exact = share * foreground + (1 - share) * background
    assert np.abs(result - exact).max() <= 0.5 + 1e-9
