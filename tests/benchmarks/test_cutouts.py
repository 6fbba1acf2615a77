"""The masks' test set and what is measured on it, with small packages drawn here in the place of Debian's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw, ImageFilter

from cyclorama.benchmarks import cutouts, masks
from cyclorama.benchmarks.report import tables
from cyclorama.cli import main
from cyclorama.engine.compositing.composite import composite
from cyclorama.models.debian import fetch_package
from cyclorama.models.errors import DownloadFailed
from cyclorama.models.store import home


@pytest.fixture
def packages() -> Path:
    """Packages with a drawn flower for each stamp and speckled grounds."""
    folder = home() / "benchmark"
    stamp = Image.new("RGBA", (300, 200))
    draw = ImageDraw.Draw(stamp)
    draw.ellipse((40, 30, 260, 170), fill=(230, 60, 40, 255))
    draw.ellipse((110, 70, 190, 130), fill=(250, 220, 60, 255))
    stamp = stamp.filter(ImageFilter.GaussianBlur(1.5))
    for name in cutouts.names()[:3]:
        path = folder / "tuxpaint-stamps-default" / "usr/share/tuxpaint/stamps" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        stamp.save(path)
    rng = np.random.default_rng(0)
    for package, (inside, listed) in cutouts._BACKGROUNDS.items():
        for name in listed.split():
            path = folder / package / inside / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            ground = np.clip(rng.normal((60, 120, 70), 15, (300, 400, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(ground).save(path)
    return folder


def test_a_cutout_is_what_it_says(packages: Path) -> None:
    assert len(cutouts.names()) >= 40
    assert len(set(cutouts.names())) == len(cutouts.names())
    cutout, again = (cutouts.load(cutouts.names()[1]) for _ in range(2))
    np.testing.assert_array_equal(cutout.photo, again.photo)
    assert cutout.photo.shape == (1024, 768, 3)
    mixed = composite(cutout.foreground, cutout.alpha, cutout.background).astype(int)
    assert np.abs(mixed - cutout.photo).max() <= 1
    x, y, width, height = cutout.box
    inside = np.zeros(cutout.alpha.shape, bool)
    inside[y : y + height, x : x + width] = True
    assert ((cutout.alpha > 127) <= inside).all()
    assert (cutout.alpha[y, x : x + width] > 127).any()
    assert cutout.band[(cutout.alpha > 12) & (cutout.alpha < 243)].all()
    assert 0.01 < cutout.band.mean() < 0.2


def test_errors_are_those_of_their_definitions(packages: Path) -> None:
    cutout = cutouts.load(cutouts.names()[0])
    assert masks.errors(cutout, cutout.alpha) == masks.Errors(0, 1, 0)
    nothing = masks.errors(cutout, np.zeros_like(cutout.alpha))
    assert nothing.mae == pytest.approx(cutout.alpha.mean() / 255)
    assert nothing.iou == 0
    assert nothing.band == pytest.approx(cutout.alpha[cutout.band].mean() / 255)


def test_by_the_command(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutouts, "_STAMPS", {"animals/birds": "crowned_crane peacock"})
    monkeypatch.setattr(masks, "_ATTEMPTS", 2)
    output = tmp_path / "masks.json"
    outcome = CliRunner().invoke(main, ["benchmark", "--masks", "--output", str(output)], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    report: dict[str, Any] = json.loads(output.read_text())
    assert tables(report) in outcome.output
    plain, ours, boxed = report["masks"]["masks"]
    assert (plain["way"], plain["photos"]) == ("as rembg gives it", 2)
    assert max(plain["band"], ours["band"], boxed["band"]) < 0.2
    assert min(ours["worst_iou"], boxed["worst_iou"]) > 0.9
    edges = report["masks"]["edges"]
    assert edges["true alpha, estimated colours"] < 0.9 * edges["true alpha, pasted colours"]
    assert report["masks"]["extension"]["photos"] == 2
    # The choice is by hundredths, then by the seam.
    assert report["masks"]["extension"]["best_of_2"] <= report["masks"]["extension"]["single"] + 0.005


def test_options_that_do_not_go_together() -> None:
    for words in (["--mask-model", "u2net"], ["--masks", "--quick"]):
        outcome = CliRunner().invoke(main, ["benchmark", *words])
        assert outcome.exit_code == 2
        assert "--masks" in outcome.output


def test_packages_are_fetched_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(words: list[Any], cwd: Path | None = None, **_: Any) -> None:
        asked.append(words[0])
        if words[0] == "apt-get":
            ((cwd or Path()) / "grass_1.2_all.deb").write_bytes(b"")
        else:
            (Path(words[3]) / "usr").mkdir(parents=True)

    monkeypatch.setattr("subprocess.run", run)
    folder = fetch_package("grass", tmp_path)
    assert fetch_package("grass", tmp_path) == folder
    assert asked == ["apt-get", "dpkg-deb"]
    assert [path.name for path in tmp_path.iterdir()] == ["grass"]
    assert (folder / "usr").is_dir()


def test_a_package_that_cannot_be_fetched_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise subprocess.CalledProcessError(100, "apt-get", stderr="W: notice\nE: Unable to locate package grass\n")

    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", "apt-get")

    for run, why in ((fail, "E: Unable to locate package grass"), (missing, "needs apt-get, which is not on")):
        monkeypatch.setattr("subprocess.run", run)
        with pytest.raises(DownloadFailed, match=why):
            fetch_package("grass", tmp_path)
    assert list(tmp_path.iterdir()) == []
