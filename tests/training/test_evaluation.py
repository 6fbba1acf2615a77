"""What judges nano, on pictures whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from skimage.color import rgb2lab

from training import evaluation, readers, scenes
from training.palette import COLOURS


def flat(rgb: tuple[float, float, float], side: int = 64) -> np.ndarray:
    return np.broadcast_to(np.round(np.array(rgb) * 255).astype(np.uint8), (side, side, 3)).copy()


def test_lab_is_scikit_images() -> None:
    rgb = np.random.default_rng(0).random((50, 3))
    assert np.abs(evaluation.lab(rgb) - rgb2lab(rgb)).max() < 0.05


def test_a_flat_colour_is_read_as_itself() -> None:
    for name in evaluation.STUDIO_COLOURS:
        assert evaluation.nearest_colour(flat(COLOURS[name])) == name
    assert len(evaluation.STUDIO_COLOURS) == 10


def test_prompts_cover_every_scene_and_the_paraphrases_are_others() -> None:
    plain, freer = evaluation.plain_prompts(), evaluation.paraphrases()
    assert set(plain) == set(freer) == set(scenes.SCENES)
    assert sum(map(len, freer.values())) >= 60
    assert not {p for texts in plain.values() for p in texts} & {p for texts in freer.values() for p in texts}


def test_frechet_distance_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5))
    b = rng.normal(size=(400, 5)) + 0.7
    first, second = evaluation.shrunk_covariance(a), evaluation.shrunk_covariance(b)
    means = a.mean(0) - b.mean(0)
    expected = means @ means + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    assert evaluation.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert evaluation.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert evaluation.frechet_distance(a, a + 1) == pytest.approx(5, rel=1e-6)


def test_shrinking_moves_few_samples_more_than_many() -> None:
    rng = np.random.default_rng(1)
    spread = np.diag([9.0, 1.0, 1.0, 1.0])
    few, many = rng.normal(size=(8, 4)) @ spread**0.5, rng.normal(size=(5000, 4)) @ spread**0.5
    assert np.abs(evaluation.shrunk_covariance(many) - spread).max() < 0.5
    plain = np.cov(few.T, bias=True)
    shrunk = evaluation.shrunk_covariance(few)
    assert np.trace(shrunk) == pytest.approx(np.trace(plain))
    assert np.linalg.cond(shrunk) < np.linalg.cond(plain)


def test_a_halo_is_rough_and_a_smooth_backdrop_is_not() -> None:
    y, x = np.mgrid[0:64, 0:64]
    smooth = np.stack([100 + x, 80 + y, 60 + 0.02 * x * y], -1)
    fit = np.ones((64, 64), bool)
    fit[20:40, 20:40] = False
    assert evaluation.smooth_residual(smooth, fit).max() < 1e-6
    smooth[22:38, 22:38] += 30
    residual = evaluation.smooth_residual(smooth, fit)
    assert residual[22:38, 22:38].min() > 25
    assert residual[fit].max() < 1e-6


def test_growth_is_the_new_area_over_the_old() -> None:
    before, after = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    before[:5, :4] = True
    after[:5, 2:6] = True
    assert evaluation._growth(before, after) == 0.5
    assert evaluation._growth(before, before) == 0


def test_the_reader_learns_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "PER_SCENE", 4)
    monkeypatch.setattr(readers, "_TEST_PER_SCENE", 2)
    monkeypatch.setattr(readers, "known_photos", lambda: [])
    reader = readers.train(tmp_path, epochs=12)
    drawn = readers.drawings(tmp_path)
    seen = reader.read(list(drawn.pictures))
    assert len(drawn.labels) == 4 * len(scenes.SCENES)
    assert (seen == drawn.labels).mean() > 5 / len(scenes.SCENES)
    again = readers.load(tmp_path)
    assert np.array_equal(again.read(list(drawn.pictures)), seen)
    with pytest.raises(FileNotFoundError, match=r"python -m training readers"):
        readers.load(tmp_path / "elsewhere")


def test_flaws_keep_range_and_shape() -> None:
    pictures = torch.rand(8, 3, 64, 64) * 2 - 1
    flawed = readers.flawed(pictures, torch.Generator().manual_seed(0))
    assert flawed.shape == pictures.shape
    assert -1 <= flawed.min() <= flawed.max() <= 1
    assert not torch.equal(flawed, pictures)


def test_the_table_has_a_line_for_a_measure() -> None:
    figures: dict[str, dict[str, Any]] = {
        "prompts": {"top1": 0.9, "pictures": 34, "by_scene": {}},
        "VAE": {"psnr": 31.25, "pictures": 64},
    }
    lines = evaluation.table(figures).splitlines()
    assert lines[0].split() == ["prompts", "34", "top1", "0.900"]
    assert "psnr 31.250" in lines[1]


@pytest.mark.parametrize("shape", [(evaluation.SIDE, evaluation.SIDE), *evaluation.OTHER_SHAPES])
def test_a_picture_without_a_subject_is_a_blank_canvas_to_the_network(shape: tuple[int, int]) -> None:
    painter = evaluation.Painter.load("nano")
    scene = painter._empty(shape)
    assert (scene.frame.height, scene.frame.width) == shape
    assert scene.latent_mask(8).min() >= 0.5
    spread = scene.masked_image_latents(painter.generator.vae).std(axis=(2, 3))
    assert spread.max() < 0.05


def test_a_painted_picture_is_kept() -> None:
    painter = evaluation.Painter.load("nano")
    first, again, other = (painter.paint("a beach", seed, (64, 96)) for seed in (0, 0, 1))
    assert first.shape == (64, 96, 3)
    assert first is again
    assert not np.array_equal(first, other)


def test_other_shapes_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reader:
        """Takes everything for the first scene."""

        def read(self, pictures: list[np.ndarray]) -> np.ndarray:
            return np.zeros(len(pictures), int)

    monkeypatch.setattr(evaluation, "OTHER_SHAPES", ((64, 64), (64, 96)))
    monkeypatch.setattr(evaluation, "plain_prompts", lambda: {scenes.SCENES[0]: ["a"], scenes.SCENES[1]: ["b"]})
    figures = evaluation.other_shapes(evaluation.Painter.load("nano"), Reader(), quick=False)  # type: ignore[arg-type]
    assert figures == {"64x64": 0.5, "64x96": 0.5, "pictures": 4}


def test_features_tell_scenes_apart() -> None:
    rng = np.random.default_rng(0)
    brick, other, sky = (
        evaluation._features(
            [evaluation._bytes(scenes.example(rng, 96, 96, scene=scene).picture) for _ in range(6)], "features"
        )
        for scene in ("brick", "brick", "sky")
    )
    assert brick.shape == (6, 64)
    assert evaluation.frechet_distance(brick, other) < evaluation.frechet_distance(brick, sky)
