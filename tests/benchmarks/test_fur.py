"""Keyed photos, with a package drawn here in the place of Debian's."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw, ImageFilter

from cyclorama.benchmarks import cutouts, fur
from cyclorama.benchmarks.photos import truths
from cyclorama.engine.compositing.composite import composite
from cyclorama.models.store import home

SIZE = (960, 540)


def hairy() -> tuple[Image.Image, Image.Image]:
    """A brown ball with hairs before a smooth green ground, and its true alpha."""
    large = Image.new("L", (2 * SIZE[0], 2 * SIZE[1]))
    draw = ImageDraw.Draw(large)
    draw.ellipse((700, 300, 1220, 820), fill=255)
    for turn in np.linspace(0, 2 * np.pi, 90):
        centre = np.array([960 + 255 * np.cos(turn), 560 + 255 * np.sin(turn)])
        draw.line([*centre, *(centre + 28 * np.array([np.cos(turn + 0.3), np.sin(turn + 0.3)]))], fill=255, width=3)
    alpha = large.resize(SIZE, Image.Resampling.BOX)
    ground = Image.new("RGB", SIZE, (60, 130, 60))
    ImageDraw.Draw(ground).rectangle((0, 0, 400, 540), fill=(90, 150, 70))
    photo = Image.composite(Image.new("RGB", SIZE, (150, 90, 40)), ground.filter(ImageFilter.GaussianBlur(60)), alpha)
    return photo, alpha


def resource_archive(path: str, content: bytes) -> bytes:
    """One file as Qt's resource compiler packs it, format 1."""
    names, nodes = b"", b""
    parts = path.split("/")
    for depth, part in enumerate(("", *parts)):
        name_at = len(names)
        names += struct.pack(">HI", len(part), 0) + part.encode("utf-16-be")
        if depth < len(parts):
            nodes += struct.pack(">IHII", name_at, 2, 1, depth + 1)
        else:
            nodes += struct.pack(">IHHHI", name_at, 0, 0, 1, 0)
    data = struct.pack(">I", len(content)) + content
    return b"qres" + struct.pack(">4I", 1, 20, 20 + len(nodes), 20 + len(nodes) + len(data)) + nodes + data + names


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = home() / "benchmark"
    photo, alpha = hairy()
    file = BytesIO()
    photo.save(file, "WEBP", lossless=True)
    archive = folder / "gcompris-qt-data/usr/share/gcompris-qt/rcc/animals.rcc"
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(resource_archive("some/where/ball.webp", file.getvalue()))
    monkeypatch.setattr(fur, "_PHOTOS", {"ball": fur._Keyed("animals:some/where/ball", 8, 24)})
    monkeypatch.setattr(fur, "_SILHOUETTES", tmp_path)
    alpha.filter(ImageFilter.MedianFilter(9)).point(lambda value: 255 * (value > 127)).save(tmp_path / "ball.png")
    for package, (inside, listed) in cutouts._BACKGROUNDS.items():
        for name in listed.split():
            path = folder / package / inside / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (1200, 800), (70, 80, 160)).save(path)
    return folder


def test_alpha_is_that_of_the_photo_it_was_keyed_from(packages: Path) -> None:
    true = np.asarray(hairy()[1], np.float32) / 255
    picture = fur.load("ball/sharp")
    off = np.abs(picture.alpha / 255 - true)
    assert off.mean() < 0.002
    hairs = (true > 0.3) & (np.hypot(*np.mgrid[-280:260, -480:480]) > 137)
    assert hairs.sum() > 200
    assert (picture.alpha[hairs] / 255).mean() == pytest.approx(true[hairs].mean(), abs=0.15)


def test_the_picture_is_made_of_its_alpha(packages: Path) -> None:
    for name in fur.names():
        picture = fur.load(name)
        mixed = composite(picture.foreground, picture.alpha, picture.background).astype(int)
        assert np.abs(mixed - picture.photo).max() <= 1
        assert picture.background.mean((0, 1)) == pytest.approx((70, 80, 160), abs=2)


def test_written_as_the_benchmark_reads_them(packages: Path, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(fur.main, [str(tmp_path / "fur")], catch_exceptions=False)
    assert outcome.exit_code == 0
    part = "tuning" if fur.is_for_tuning("ball/sharp") else "reporting"
    found = list(truths(tmp_path / "fur" / part))
    assert [truth.name for truth in found] == ["ball-blurred", "ball-sharp"]
    np.testing.assert_array_equal(found[1].alpha, fur.load("ball/sharp").alpha)


def test_every_photo_has_its_silhouette() -> None:
    for name in fur._PHOTOS:
        with Image.open(fur._SILHOUETTES / f"{name}.png") as image:
            assert image.width == SIZE[0]
            share = np.asarray(image.convert("L")).mean() / 255
        assert 0.02 < share < 0.6
