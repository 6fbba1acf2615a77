"""The walk: what the network is unsure of goes by colour and edges; the guided filter brings it to the photo's size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from cyclorama.engine.blur import box_mean
from cyclorama.engine.matting.guided_filter import _coefficients, enlarge_along_edges
from cyclorama.engine.matting.random_walk import settle


def drawn(size: tuple[int, int] = (240, 180)) -> tuple[np.ndarray, np.ndarray]:
    """A reddish cup with a handle on a speckled green ground: image, and what is cup."""
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    draw.ellipse((60, 40, 150, 150), fill=255)
    draw.ellipse((130, 70, 200, 130), fill=255)
    draw.ellipse((148, 84, 186, 116), fill=0)  # the gap of the handle
    rng = np.random.default_rng(0)
    is_cup = np.asarray(mask) > 0
    image = np.where(is_cup[..., None], [190, 70, 60], [70, 130, 70]) + rng.normal(0, 5, (size[1], size[0], 3))
    return np.clip(image, 0, 255).astype(np.uint8), is_cup


def blurred(mask: np.ndarray, radius: float) -> np.ndarray:
    image = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, np.float32) / 255


def iou(alpha: np.ndarray, truth: np.ndarray) -> float:
    found = alpha > 0.5
    return float((found & truth).sum() / (found | truth).sum())


def test_an_unsure_mask_is_settled_by_colour_and_real_gaps_stay() -> None:
    image, is_cup = drawn()
    confidence = 0.05 + 0.9 * blurred(is_cup, 9)
    assert iou(confidence, is_cup) < 0.93
    alpha = settle(image, confidence.astype(np.float32))
    assert iou(alpha, is_cup) > 0.985
    assert alpha[100, 167] < 0.05  # through the handle


def test_strokes_outweigh_the_network() -> None:
    image, is_cup = drawn()
    nothing = np.full(is_cup.shape, 0.3, np.float32)
    keep, drop = np.zeros(is_cup.shape, bool), np.zeros(is_cup.shape, bool)
    keep[80:110, 90:120] = True
    drop[5:25, :] = True
    assert iou(settle(image, nothing, keep, drop), is_cup) > 0.95
    sure = is_cup.astype(np.float32)
    alpha = settle(image, sure, drop=is_cup & (np.arange(240) > 125))
    assert alpha[100, 195] < 0.01
    assert alpha[100, 100] > 0.99


def test_sureness_is_left_alone_and_the_grid_is_bounded() -> None:
    image, is_cup = drawn()
    sure = is_cup.astype(np.float32)
    np.testing.assert_allclose(settle(image, sure), sure, atol=2e-3)
    large = np.asarray(Image.fromarray(image).resize((1920, 1440)))
    assert max(settle(large, sure).shape) == 320
    assert settle(image[:1, :2], sure[:1, :2]).shape == (2, 2)


@pytest.mark.parametrize("radius", [1, 4, 60])
def test_box_mean_is_scipys(radius: int) -> None:
    planes = np.random.default_rng(1).standard_normal((2, 37, 50)).astype(np.float32)
    window = np.ones((1, 2 * radius + 1, 2 * radius + 1))
    sums, counts = (ndimage.convolve(x, window, mode="constant") for x in (planes, np.ones_like(planes)))
    np.testing.assert_allclose(box_mean(planes, radius), sums / counts, atol=1e-5)


def test_coefficients_are_those_of_a_regression_in_each_window() -> None:
    """He et al., eq. 14 and 15, solved window by window."""
    rng = np.random.default_rng(2)
    guide, alpha = rng.random((12, 14, 3), np.float32) - np.float32(0.5), rng.random((12, 14), np.float32)
    slope, offset = np.zeros((3, 12, 14)), np.zeros((12, 14))
    for y in range(12):
        for x in range(14):
            window = (slice(max(0, y - 2), y + 3), slice(max(0, x - 2), x + 3))
            colours, values = guide[window].reshape(-1, 3), alpha[window].ravel()
            covariance = np.cov(colours.T, bias=True) + 5e-4 * np.eye(3)
            mixed = ((colours - colours.mean(0)) * (values - values.mean())[:, None]).mean(0)
            slope[:, y, x] = np.linalg.solve(covariance, mixed)
            offset[y, x] = values.mean() - slope[:, y, x] @ colours.mean(0)
    ours, constant = _coefficients(guide, alpha, 2)
    np.testing.assert_allclose(ours, box_mean(slope.astype(np.float32), 2), atol=2e-3)
    np.testing.assert_allclose(constant, box_mean(offset.astype(np.float32), 2), atol=2e-3)


def test_an_enlarged_alpha_follows_the_photos_edge() -> None:
    image, is_cup = drawn((480, 360))
    small = np.asarray(Image.fromarray(is_cup.astype(np.float32)).resize((60, 45), Image.Resampling.BOX))
    smooth = np.asarray(Image.fromarray(small).resize((480, 360), Image.Resampling.BICUBIC))
    alpha = enlarge_along_edges(small, image) / 255
    assert alpha.shape == is_cup.shape
    assert np.abs(alpha - is_cup).mean() < 0.6 * np.abs(np.clip(smooth, 0, 1) - is_cup).mean()
