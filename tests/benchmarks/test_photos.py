"""Masks on real photos with their truth: the measures beside known values, steps left out, the command's tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageFilter

from cyclorama import InvalidOptions, find_subject, load_photo
from cyclorama.benchmarks import photos
from cyclorama.cli import main
from tests.conftest import DATA, PHOTOS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shipped photos with masks drawn by hand."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("cat", "coffee"):
        shutil.copy(PHOTOS / f"{name}.jpg", folder / f"{name}-1.jpg")
        shutil.copy(DATA / f"{name}-mask.png", folder / f"{name}-1.png")
    shutil.copy(PHOTOS / "drum.jpg", folder)  # without a truth
    return folder


def test_measures_are_what_they_should_be() -> None:
    truth = np.zeros((60, 80), np.uint8)
    truth[10:50, 20:60] = 255
    same = photos.errors(truth, truth)
    assert (same["mae"], same["iou"], same["recall"], same["band"]) == (0, 1, 1, 0)
    assert same["s_measure"] == pytest.approx(1, abs=1e-6)
    half = truth.copy()
    half[:, 40:] = 0
    off = photos.errors(truth, half)
    assert (off["iou"], off["recall"]) == (0.5, 0.5)
    assert off["mae"] == pytest.approx(800 / 4800)
    assert 0.3 < off["s_measure"] < 0.8
    empty = photos.errors(truth, np.zeros_like(truth))
    assert empty["iou"] == empty["recall"] == 0
    assert empty["s_measure"] < off["s_measure"]
    # Nothing to find, and nothing found; then something.
    assert photos.s_measure(np.zeros_like(truth), np.zeros_like(truth)) == 1
    assert photos.s_measure(np.zeros_like(truth), truth) == pytest.approx(1 - 1600 / 4800)


def test_truths_are_pairs(folder: Path, tmp_path: Path) -> None:
    found = list(photos.truths(folder))
    assert [truth.name for truth in found] == ["cat-1", "coffee-1"]
    assert found[0].group == "cat"
    x, y, width, height = found[1].box
    assert (found[1].alpha[y : y + height, x : x + width] > 127).sum() == (found[1].alpha > 127).sum()
    with pytest.raises(InvalidOptions, match=r"has no NAME\.jpg beside a NAME\.png"):
        list(photos.truths(tmp_path))


@pytest.mark.parametrize("step", photos.STEPS)
def test_each_step_can_be_left_out_and_comes_back(step: str) -> None:
    rgb = load_photo(PHOTOS / "flower.jpg").rgb
    flower = Image.fromarray(rgb[80:350, 160:460])
    canvas = np.empty((700, 1100, 3), np.uint8)
    canvas[:] = rgb[20, 40]
    canvas[80:350, 700:1000] = np.asarray(flower)
    canvas[400:670, 60:360] = np.asarray(flower.filter(ImageFilter.GaussianBlur(8)))
    whole = find_subject(canvas)
    with photos.without(step):
        less = find_subject(canvas)
    assert (whole != less).any()
    np.testing.assert_array_equal(find_subject(canvas), whole)


def test_the_command(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "_DABS", 2)
    words = ["--photos", str(folder), "--output", str(tmp_path / "figures.json"), "--plots", str(tmp_path)]
    outcome = CliRunner().invoke(main, ["benchmark", "--masks", *words], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    figures = json.loads((tmp_path / "figures.json").read_text())["real_photos"]
    rows = {row["way"]: row for row in figures["rows"]}
    dabs = ["ours, 1 dab", "ours, 2 dabs"]
    in_box = [f"ours, with a box{dabs}" for dabs in ("", ", 1 dab", ", 2 dabs")]
    steps = [f"ours, no {step}" for step in photos.STEPS]
    assert list(rows) == ["plain", "ours", in_box[0], *steps, *dabs, *in_box[1:]]
    assert rows["ours, 2 dabs"]["iou"] >= rows["ours, 1 dab"]["iou"] - 0.005
    assert rows["plain"]["difference"] == 0
    assert rows["ours"]["iou"] > 0.85
    assert rows["ours"]["groups"].keys() == {"cat", "coffee"}
    low, high = rows["ours"]["interval"]
    assert low <= rows["ours"]["difference"] <= high
    assert "| u2net-int8 | ours |" in outcome.stdout
    with Image.open(tmp_path / "photos.jpg") as sheet:
        assert sheet.width > 2000
    for wrong in (["--photos", str(folder)], ["--masks", "--plots", str(tmp_path)]):
        assert CliRunner().invoke(main, ["benchmark", *wrong]).exit_code == 2
