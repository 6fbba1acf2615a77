"""The colour match: a cast on a background is taken off again by half."""

from __future__ import annotations

import numpy as np
import pytest

from cyclorama import cut_out, load_photo
from cyclorama.engine.compositing.light import light, matched
from tests.conftest import DATA, PHOTOS


def under(rgb: np.ndarray, gains: tuple[float, float, float]) -> np.ndarray:
    """Linear gains, as another light would give them."""
    linear = (rgb / 255) ** 2.2 * gains
    return np.round(255 * np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def angle(one: np.ndarray, other: np.ndarray) -> float:
    """Degrees between two lights, the usual error of colour constancy."""
    cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def test_the_light_is_that_of_the_brightest() -> None:
    flat = np.full((50, 60, 3), 20, np.uint8)
    flat[10:20, 10:20] = (255, 186, 127)
    found = light(flat)
    np.testing.assert_allclose(found / found[0], np.array([1, 186 / 255, 127 / 255]) ** 2.2, atol=0.01)
    counted = np.zeros((50, 60), np.uint8)
    counted[30:] = 255
    np.testing.assert_allclose(light(flat, counted), (20 / 255) ** 2.2, rtol=1e-3)


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "drum", "flower"])
@pytest.mark.parametrize("cast", [(1.0, 0.75, 0.55), (0.6, 0.8, 1.0), (0.8, 1.0, 0.8)])
def test_a_cast_is_halved(name: str, cast: tuple[float, float, float]) -> None:
    rgb = load_photo(PHOTOS / f"{name}.jpg").rgb
    tinted = under(rgb, cast)
    before, after = (angle(light(rgb), light(background)) for background in (tinted, matched(tinted, light(rgb))))
    assert before > 5
    assert after < 0.7 * before


def test_in_the_same_light_nothing_changes() -> None:
    rgb = load_photo(PHOTOS / "coffee.jpg").rgb
    assert np.abs(matched(rgb, light(rgb)).astype(int) - rgb).max() <= 1


def test_it_stays_within_bounds() -> None:
    rgb = load_photo(PHOTOS / "astronaut.jpg").rgb
    assert not matched(np.zeros_like(rgb), light(rgb)).any()
    darker = matched(np.full_like(rgb, 255), np.zeros(3))
    assert darker.min() == darker.max() == round(255 * (1 / 1.2) ** (1 / 2.2))
    ramp = np.repeat(np.arange(128, dtype=np.uint8)[None, :, None], 3, 2)
    brighter = matched(ramp, np.ones(3)).astype(int)[0, :, 0]
    assert (np.diff(brighter) >= 0).all()
    assert (brighter[1:] > ramp[0, 1:, 0]).mean() > 0.95


def test_transparency_is_left() -> None:
    rgb = load_photo(PHOTOS / "coffee.jpg").rgb
    alpha = np.arange(rgb[..., 0].size).reshape(rgb.shape[:2]) % 256
    behind = np.dstack([under(rgb, (1, 0.7, 0.5)), alpha]).astype(np.uint8)
    np.testing.assert_array_equal(matched(behind, light(rgb))[..., 3], alpha)
    unseen = np.full((40, 40, 4), 255, np.uint8)
    unseen[:, :20, :3], unseen[:, 20:, 3] = 60, 0  # white where it is transparent
    matched_as_seen = matched(unseen, light(unseen[:, :20, :3].copy()))
    np.testing.assert_array_equal(matched_as_seen[:, :20, :3], 60)


def test_of_a_cut_out_only_the_subject_counts() -> None:
    rgb = np.full((40, 40, 3), (200, 100, 50), np.uint8)
    rgb[:, 20:] = (0, 0, 255)
    alpha = np.full((40, 40), 255, np.uint8)
    alpha[:, 20:] = 0
    assert cut_out(np.dstack([rgb, alpha])).light.argmax() == 0
    assert cut_out(PHOTOS / "coffee.jpg", mask=DATA / "coffee-mask.png").light.shape == (3,)
