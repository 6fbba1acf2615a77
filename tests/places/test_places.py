"""What places ask for: what is made meets it, and each rule is told where it is broken."""

from __future__ import annotations

import datetime
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageCms

from cyclorama import Background, BadImage, InvalidOptions, cut_out
from cyclorama.cli import main
from cyclorama.engine.files import FORMATS
from cyclorama.engine.options import EncodeOptions, Layout
from cyclorama.places import page
from cyclorama.places.check import broken_rules
from cyclorama.places.place import Place, place, places
from tests.conftest import PHOTOS


def run(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture(scope="module")
def large_cup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "cup.jpg"
    photo = Image.open(PHOTOS / "coffee.jpg")
    photo.resize((photo.width * 3, photo.height * 3)).save(path, quality=92)
    return path


def square(side: int = 2000, share: float = 0.9, **more: int) -> np.ndarray:
    """A dark square in the middle of white."""
    pixels = np.full((more.get("height", side), more.get("width", side), 3), 255, np.uint8)
    half = round(side * share / 2)
    middle = pixels.shape[0] // 2, pixels.shape[1] // 2
    pixels[middle[0] - half : middle[0] + half, middle[1] - half : middle[1] + half] = 40
    return pixels


def file(pixels: np.ndarray, kind: str = "jpeg", **more: object) -> bytes:
    with BytesIO() as opened:
        Image.fromarray(pixels).save(opened, kind, **more)
        return opened.getvalue()


@pytest.mark.parametrize("name", places())
def test_every_place_is_whole(name: str) -> None:
    one = place(name)
    assert one.title
    assert (one.read is None) == (not one.source)
    assert one.read is None or one.read <= datetime.date.today()
    layout = Layout(**{key: value for key, value in one.make.items() if key in Layout.__dataclass_fields__})
    EncodeOptions(FORMATS[one.ending].lower(), max_bytes=one.make.get("max_bytes"))  # type: ignore[arg-type]
    width, height = layout.canvas_size((1, 1))
    if one.ratio is not None:
        assert width / height == pytest.approx(one.ratio)
    assert one.background in (None, one.make_background)


@pytest.mark.parametrize("name", places())
def test_what_is_made_for_a_place_meets_its_rules(name: str) -> None:
    one = place(name)
    photo = np.random.default_rng(0).integers(0, 200, (1400, 1300, 3), dtype=np.uint8)
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[200:1250, 100:1200] = 255
    layout = {key: value for key, value in one.make.items() if key in Layout.__dataclass_fields__}
    picture = cut_out(photo, mask=mask, **layout).on(Background.colour(one.make_background or "#eeeeee"))
    data = picture.encode(FORMATS[one.ending], srgb=True, max_bytes=one.make.get("max_bytes"))
    assert broken_rules(data, one) == []
    if one.background:
        rgb = np.asarray(Image.open(BytesIO(data)))
        for line in (rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]):
            assert (line == 255).all()


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("amazon-main", file(square(1200)), ["the longest side has 1200 pixels, 400 fewer than 1600"]),
        ("amazon-main", file(square(share=0.5), "png"), ["the subject fills 50.0% of the picture, less than 85%"]),
        ("amazon-main", file(square(), "webp"), ["the file is WEBP, and may be JPEG, PNG, TIFF, GIF"]),
        ("amazon-main", file(255 - square()), ["0 % of the border is #ffffff, and all of it should be"]),
        ("google-merchant", file(square(8200)), ["67.2 million pixels are more than 64"]),
        ("walmart", file(square(2000, width=2500)), ["2500x2000 has not the shape 1:1"]),
        ("ebay", file(square(9200, 0.1)), ["the longest side has 9200 pixels, 200 more than 9000"]),
        ("etsy", file(square(1999)), ["the shortest side has 1999 pixels, 1 fewer than 2000"]),
        ("square", file(square(1080)), []),
        ("amazon-main", file(square()), []),
        ("amazon-main", file(square(), quality=60), []),
    ],
)
def test_each_rule_is_told_with_its_figures(name: str, data: bytes, told: list[str]) -> None:
    assert broken_rules(data, place(name)) == told


def test_bytes_profiles_transparency_and_almost_white() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2400, 2400, 3), dtype=np.uint8)
    (told,) = [rule for rule in broken_rules(file(noise, "png"), place("walmart")) if "bytes" in rule]
    assert "times the 5,000,000 that it may have" in told
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    assert "the colours are not in sRGB" in broken_rules(file(square(), icc_profile=lab), place("amazon-main"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert broken_rules(file(square(), icc_profile=srgb), place("amazon-main")) == []
    clear = np.dstack([square(), np.zeros((2000, 2000, 1), np.uint8)])
    assert broken_rules(file(clear, "png"), place("amazon-main")) == [
        "part of the picture is transparent, and #ffffff is wanted behind the subject"
    ]
    grey = square()
    grey[0, 0] = 254
    assert broken_rules(file(grey, "png"), place("amazon-main")) == [
        "99.9 % of the border is #ffffff, and all of it should be"
    ]
    with pytest.raises(BadImage):
        broken_rules(b"no picture", place("amazon-main"))
    with pytest.raises(InvalidOptions, match="did you mean amazon-main"):
        place("amazon-mian")


def test_by_the_commands(large_cup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("generate", large_cup, "--for", "amazon-main", "--json")
    assert outcome.exit_code == 0, outcome.output
    (made,) = json.loads(outcome.stdout)["images"]
    assert (made["file"], made["size"], made["breaks"]) == ("cup-background.jpg", [1600, 1600], [])
    outcome = run("check", "cup-background.jpg", large_cup, "nothing.jpg", "--for", "amazon-main")
    assert outcome.exit_code == 3
    first, second, third = outcome.stdout.splitlines()
    assert first == "cup-background.jpg: fine"
    assert second.endswith("cup.jpg: 0 % of the border is #ffffff, and all of it should be")
    assert "cannot read nothing.jpg" in third
    assert run("check", "cup-background.jpg", "--for", "amazon-main").exit_code == 0
    told = json.loads(run("check", large_cup, "--for", "walmart", "--json").stdout)
    assert told["place"] == "walmart"
    assert len(told["breaks"][str(large_cup)]) == 3
    # What was given goes before what the place wants, and what that breaks is told.
    outcome = run("generate", large_cup, "--for", "amazon-main", "--fill", "0.5", "-o", "small.png")
    assert "amazon-main: the subject fills 50." in outcome.stderr
    with Image.open("small.png") as small:
        assert small.size == (1600, 1600)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-p", "a beach"), "amazon-main takes a background of #ffffff only"),
        (("--background", "#eeeeee"), "amazon-main takes a background of #ffffff only"),
        (("--shadow",), "amazon-main takes no shadow"),
    ],
)
def test_what_a_place_would_not_take_is_refused(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    for command in (("generate", PHOTOS / "coffee.jpg"), ("batch", PHOTOS / "coffee.jpg", "-o", tmp_path / "out")):
        outcome = run(*command, "--for", "amazon-main", *words)
        assert outcome.exit_code == 2
        assert told in outcome.output


def test_a_photo_that_is_too_small_is_told_with_figures() -> None:
    outcome = run("generate", PHOTOS / "coffee.jpg", "--for", "amazon-main", "-o", "x.jpg")
    assert outcome.exit_code == 2
    assert "would be enlarged 3." in outcome.output


def test_a_batch_for_a_place(large_cup: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run("batch", large_cup, PHOTOS / "coffee.jpg", "-o", out, "--for", "amazon-main")
    assert outcome.exit_code == 3, outcome.output
    records = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    made = {record["output"]: record for record in records}
    assert made["cup.jpg"]["breaks"] == []
    assert made["coffee.jpg"]["error"]["code"] == "invalid_options"
    assert broken_rules(out / "cup.jpg", place("amazon-main")) == []


def test_the_page_is_that_of_the_rules() -> None:
    assert page.FILE.read_text(encoding="utf-8") == page.page(), "run: python -m cyclorama.places.page"
    assert Place("x", "X").ratio is None
