"""Where the subject goes: sizes and places worked out by hand, pixels as they were."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from cyclorama.engine.compositing.placement import Placement, placement
from cyclorama.engine.compositing.shadow import contact_shadow
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.options import Layout

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def block(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """The alpha of a subject in a photo of 60x40."""
    alpha = np.zeros((40, 60), np.uint8)
    alpha[top:bottom, left:right] = 255
    return alpha


@pytest.mark.parametrize(
    ("canvas", "size"),
    [
        (None, (60, 40)), ("square", (60, 60)), ("1:1", (60, 60)), ("3:1", (120, 40)), ("4:5", (60, 75)),
        ("1.91:1", (76, 40)), ("90x30", (90, 30)),
    ],
)  # fmt: skip
def test_canvases(canvas: str | None, size: tuple[int, int]) -> None:
    assert placement(Layout(canvas), block(10, 10, 20, 20)).canvas == size


def test_left_alone_nothing_moves() -> None:
    alpha = block(7, 11, 31, 37)
    moved = placement(Layout(), alpha)
    assert moved == Placement((60, 40), 1, 0, 0)
    rgb, placed = moved.place(RGB, alpha)
    assert rgb is RGB
    assert placed is alpha


@pytest.mark.parametrize(
    ("position", "corner"), [((0, 0), (0, 0)), ((0.5, 0.5), (40, 20)), ((1, 1), (80, 40)), ((0.5, 1), (40, 40))]
)
def test_positions(position: tuple[float, float], corner: tuple[int, int]) -> None:
    alpha = block(10, 10, 30, 30)
    moved = placement(Layout("100x60", subject_position=position), alpha)
    rgb, placed = moved.place(RGB, alpha)
    x, y = corner
    assert placed.shape == (60, 100)
    np.testing.assert_array_equal(np.argwhere(placed)[0], (y, x))
    assert np.count_nonzero(placed) == 400
    np.testing.assert_array_equal(rgb[y : y + 20, x : x + 20], RGB[10:30, 10:30])


@pytest.mark.parametrize(
    ("alpha", "edge"),
    [
        (block(20, 25, 40, 40), np.s_[-1, :]), (block(20, 0, 40, 15), np.s_[0, :]),
        (block(0, 5, 20, 30), np.s_[:, 0]), (block(45, 5, 60, 30), np.s_[:, -1]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scale", [0.37, 0.5, 1, 1.9])
def test_what_the_photo_s_edge_cuts_off_stays_at_the_edge(
    alpha: np.ndarray, edge: Any, scale: float, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "cyclorama"):
        placed = placement(Layout("150x130", subject_scale=scale), alpha).place(RGB, alpha)[1]
    assert placed[edge].max() == 255
    side = {1: "lower", 0: "upper"}[int(edge[0] == -1)] if edge[0] in (0, -1) else "right" if edge[1] == -1 else "left"
    assert [record.getMessage() for record in caplog.records] == [
        f"the photo's {side} edge cuts the subject off, so it stays at that edge of the canvas; "
        "give a subject position to move it"
    ]


SLIVERS = {
    "apart": np.s_[300:340, :2],
    "specks along the edge": np.s_[100:500:40, :5],
    "hanging on by a thread": np.s_[299:300, :300],
    "at the other edge": np.s_[300:340, -2:],
    "two pixels at the top": np.s_[:1, 398:400],
}


@pytest.mark.parametrize("sliver", SLIVERS)
def test_slivers_do_not_count(sliver: str, caplog: pytest.LogCaptureFixture) -> None:
    y, x = np.mgrid[:600, :800]
    alpha = np.where(np.hypot(x - 380, y - 320) < 240, 255, 0).astype(np.uint8)
    with caplog.at_level(logging.WARNING, "cyclorama"):
        expected = placement(Layout("16:9"), alpha)
        alpha[SLIVERS[sliver]] = 255
        moved = placement(Layout("16:9"), alpha)
        assert moved.canvas == expected.canvas
        assert abs(moved.left - expected.left) <= 2
        assert moved.top == expected.top
        assert contact_shadow(alpha).any()
    assert not caplog.records
    assert expected.left > 0


def test_what_is_more_than_a_sliver_counts(caplog: pytest.LogCaptureFixture) -> None:
    """An arm that the edge cuts off, and a subject of many small pieces."""
    y, x = np.mgrid[:600, :800]
    alpha = np.where(np.hypot(x - 380, y - 320) < 240, 255, 0).astype(np.uint8)
    alpha[300:330, :200] = 255
    with caplog.at_level(logging.WARNING, "cyclorama"):
        assert placement(Layout("16:9"), alpha).left == 0
    assert "the photo's left edge cuts the subject off, so it stays at that edge" in caplog.text
    dust = np.zeros((600, 800), np.uint8)
    dust[10:590:14, 10:790:14] = dust[11:590:14, 10:790:14] = 255
    assert placement(Layout(), dust) == Placement((800, 600), 1, 0, 0)
    assert placement(Layout("16:9"), dust).left > 0


def test_an_edge_that_shows_is_told(caplog: pytest.LogCaptureFixture) -> None:
    alpha = block(20, 25, 40, 40)
    with caplog.at_level(logging.WARNING, "cyclorama"):
        placement(Layout("square", subject_position=(0.5, 0.5)), alpha)
    assert "the photo's edge cuts the subject off (lower), which shows" in caplog.text


def test_a_smaller_canvas_shrinks_the_photo_until_it_fits() -> None:
    moved = placement(Layout("30x30"), block(10, 10, 20, 20))
    assert moved.scale == 0.5
    assert placement(Layout("30x30", subject_scale=1), block(10, 10, 20, 20)).scale == 1


def test_resized_it_brings_none_of_the_old_background_along() -> None:
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[..., 1] = 255  # a red subject on a green ground
    alpha = block(20, 10, 40, 30)
    rgb[alpha == 255] = (255, 0, 0)
    for scale in (0.45, 1.7):
        colours, placed = placement(Layout(subject_scale=scale, subject_position=(0.4, 0.6)), alpha).place(rgb, alpha)
        assert (placed > 127).sum() == pytest.approx(400 * scale**2, rel=0.15)
        assert (colours[placed > 10] == (255, 0, 0)).all()


def test_a_subject_larger_than_its_canvas_is_cropped() -> None:
    alpha = block(10, 10, 50, 30)
    rgb, placed = placement(Layout("20x20", subject_scale=1, subject_position=(1, 0)), alpha).place(RGB, alpha)
    assert (placed == 255).all()
    np.testing.assert_array_equal(rgb, RGB[10:30, 30:50])


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"canvas": "wide"}, "a canvas is `square`, a ratio like 4:5 or a size like 1080x1350, got 'wide'"),
        ({"canvas": "0x10"}, "1 to 89 million pixels, got 0x10"),
        ({"canvas": "100000x100000"}, "1 to 89 million pixels"),
        ({"canvas": "1:0"}, "a shape from 1:20 to 20:1"),
        ({"canvas": "90:1"}, "a shape from 1:20 to 20:1"),
        ({"subject_scale": 0.0}, "subject_scale must be 0.01 to 10, got 0.0"),
        ({"subject_scale": float("nan")}, "subject_scale must be 0.01 to 10"),
        ({"subject_position": (0.5, 1.2)}, "subject_position must be 0 to 1, got 1.2"),
        ({"subject_position": (0.5,)}, "subject_position must be two numbers, got"),
        ({"canvas": "9" * 5000 + "x1"}, "a canvas is `square`"),
        ({"fill": 1.2}, "fill must be 0.05 to 1, got 1.2"),
        ({"fill": 0.5, "subject_scale": 1.0}, "fill and subject_scale both say how large"),
    ],
)
def test_impossible_layouts(layout: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOptions, match=message):
        Layout(**layout)  # type: ignore[arg-type]


def test_a_ratio_may_be_too_much_for_a_photo_and_a_scale_too_little() -> None:
    wide = np.full((8000, 8000), 255, np.uint8)
    with pytest.raises(InvalidOptions, match="1 to 89 million pixels, got 16000x8000"):
        placement(Layout("2:1"), wide)
    with pytest.raises(InvalidOptions, match=r"nothing is left of a subject scaled by 0\.01, on a canvas of 60x40"):
        placement(Layout(subject_scale=0.01), block(10, 10, 20, 20))


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.7, 1.1, 1.5])
def test_no_line_is_left_under_what_is_cut_off(scale: float) -> None:
    for height in range(37, 49):
        alpha = np.zeros((height, 33), np.uint8)
        alpha[10:, 8:20] = 255
        rgb = np.zeros((height, 33, 3), np.uint8)
        placed = placement(Layout("90x101", subject_scale=scale), alpha).place(rgb, alpha)[1]
        assert placed[-1].max() == 255, height


@pytest.mark.parametrize(
    ("layout", "canvas", "scale", "corner"),
    [
        # A canvas in pixels: the subject is brought to it. 20x10 on 100x100, 80 % of it: 80x40 would be four times.
        (Layout("40x40", fill=0.8), (40, 40), 1.6, (4, 12)),
        (Layout("40x40", fill=0.8, subject_position=(0.5, 1)), (40, 40), 1.6, (4, 24)),
        (Layout("10x40", fill=0.5), (10, 40), 0.25, (2.5, 18.75)),
        # A shape, or none: the canvas is brought to the subject, whose pixels stay.
        (Layout("square", fill=0.5), (40, 40), 1, (10, 15)),
        (Layout("1:2", fill=0.5), (40, 80), 1, (10, 35)),
        (Layout(fill=0.25), (80, 53), 1, (30, 21.5)),
        (Layout(fill=1), (20, 13), 1, (0, 1.5)),
    ],
)
def test_the_subject_fills_a_share_of_the_canvas(
    layout: Layout, canvas: tuple[int, int], scale: float, corner: tuple[float, float]
) -> None:
    placed = placement(layout, block(10, 12, 30, 22))
    assert placed.canvas == canvas
    assert placed.scale == pytest.approx(scale)
    assert placed.left + 10 * scale == pytest.approx(corner[0], abs=1)
    assert placed.top + 12 * scale == pytest.approx(corner[1], abs=1)


def test_filling_keeps_every_pixel_where_it_can() -> None:
    alpha = block(10, 12, 30, 22)
    rgb, placed_alpha = placement(Layout("square", fill=0.5), alpha).place(RGB, alpha)
    assert np.count_nonzero(placed_alpha) == 200
    np.testing.assert_array_equal(rgb[placed_alpha == 255].reshape(10, 20, 3), RGB[12:22, 10:30])


def test_filling_stays_at_an_edge_that_cuts_the_subject_off(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cyclorama"):
        placed = placement(Layout("1:2", fill=0.5), block(20, 20, 40, 40))
    assert placed.top + 40 == placed.canvas[1] == 80
    assert placed.left + 20 == 10
    assert "lower edge cuts the subject off" in caplog.text


def test_a_subject_is_enlarged_to_fill_at_most_twice() -> None:
    with pytest.raises(InvalidOptions, match=r"of 20x10 pixels would be enlarged 2.5 times to fill 50% of 100x100"):
        placement(Layout("100x100", fill=0.5), block(10, 12, 30, 22))
    assert placement(Layout("100x100", fill=0.4), block(10, 12, 30, 22)).scale == 2
