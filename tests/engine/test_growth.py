"""Growth of the subject: measured where it is known, and the choice by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cyclorama import BackgroundGenerator, InvalidOptions, Result, find_subject, load_photo
from cyclorama.cli import main
from cyclorama.engine.growth import best, object_extension, seam
from cyclorama.engine.options import GenerationOptions
from tests.conftest import PHOTOS

RGB = load_photo(PHOTOS / "flower.jpg").rgb
ALPHA = find_subject(RGB)


def picture(
    image: np.ndarray, alpha: np.ndarray = ALPHA, seed: int = 0, background: np.ndarray | None = None
) -> Result:
    return Result(
        image=Image.fromarray(image), alpha=Image.fromarray(alpha),
        background=Image.fromarray(image if background is None else background),
        background_name="a beach", options=GenerationOptions("a beach", seed=seed), model="", backend="",
        working_size=(64, 64), seconds={}, peak_memory=0,
    )  # fmt: skip


def test_what_did_not_grow_and_what_did() -> None:
    assert object_extension(picture(RGB)) < 0.01
    # The same flower, where only its left half is said to be the old subject: its own size of it has grown on.
    half = ALPHA.copy()
    half[:, : int(np.median(np.nonzero(ALPHA > 127)[1]))] = 0
    assert 0.8 < object_extension(picture(RGB, half)) < 1.1


def test_the_seam_is_what_the_paint_misses_the_subject_by() -> None:
    assert seam(picture(RGB)) == 0
    off = np.clip(RGB.astype(int) + 20, 0, 255).astype(np.uint8)
    assert 15 < seam(picture(RGB, background=off)) <= 20


def test_the_best_grew_least_then_has_the_best_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    growth, seams = (0.3, 0.012, 0.014, 0.2), (0.0, 9.0, 3.0, 0.0)
    monkeypatch.setattr("cyclorama.engine.growth.object_extension", lambda result: growth[result.seed])
    monkeypatch.setattr("cyclorama.engine.growth.seam", lambda result: seams[result.seed])
    painted = []

    def results() -> Iterator[Result]:
        for seed in range(4):
            painted.append(seed)
            yield picture(RGB, seed=seed)

    assert best(results()).seed == 2
    painted.clear()
    assert best(results(), good_enough=0.05).seed == 1
    assert painted == [0, 1]


def test_generate_paints_several_and_keeps_one() -> None:
    generator = BackgroundGenerator.load("nano")
    scene = generator.prepare(PHOTOS / "flower.jpg")
    options: dict[str, Any] = {"num_inference_steps": 3}
    singles = [generator.generate(scene, "city lights", seed=seed, **options) for seed in (5, 6)]
    chosen = generator.generate(scene, "city lights", seed=5, best_of=2, **options)
    assert chosen.image.tobytes() == best(singles).image.tobytes()
    with pytest.raises(InvalidOptions, match="best_of must be a whole number from 1 to 10000, got 0"):
        generator.generate(scene, "city lights", best_of=0)
    with pytest.raises(InvalidOptions, match="good_enough goes with best_of"):
        generator.generate(scene, "city lights", good_enough=0.1)
    with pytest.raises(InvalidOptions, match="leave out count and best_of"):
        generator.generate(scene, "city lights", best_of=2, latents=np.zeros((1, 4, 32, 32), np.float32))


def test_by_the_command(tmp_path: Path) -> None:
    words = ["generate", str(PHOTOS / "flower.jpg"), "-p", "a beach", "--steps", "2", "--seed", "3", "--json"]
    outcome = CliRunner().invoke(main, [*words, "-o", str(tmp_path / "a.png"), "--best-of", "2", "--count", "2"])
    assert outcome.exit_code == 0, outcome.output
    first, second = json.loads(outcome.stdout)["images"]
    assert first["seed"] in (3, 4)
    assert second["seed"] in (5, 6)
    assert 0 <= first["extension"] < 5
    outcome = CliRunner().invoke(main, [*words, "--good-enough", "0.1"])
    assert outcome.exit_code == 2
    assert "--good-enough goes with --best-of" in outcome.output
