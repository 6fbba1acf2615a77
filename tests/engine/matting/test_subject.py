"""Who is the subject: looks, parts, hints, cleaning, and photos without a subject."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from cyclorama import (
    Background,
    BackgroundGenerator,
    BadImage,
    Hints,
    InvalidOptions,
    NoSubject,
    SubjectOptions,
    cut_out,
    find_subject,
    load_photo,
)
from cyclorama.engine.cutout import subject_alpha
from cyclorama.engine.matting.looks import Looks, _reaching_all_sides
from cyclorama.engine.matting.networks import OnnxMask
from cyclorama.engine.matting.parts import GRID
from cyclorama.engine.matting.regions import clean, grown, label
from cyclorama.engine.matting.subject import _is_on_a_part
from cyclorama.engine.notes import collected_notes, note, unheard
from tests.conftest import DATA, PHOTOS

NAMES = ("astronaut", "cat", "coffee")


# The cat's chest is out of focus, and the default network sees the head alone.
@pytest.mark.parametrize(("name", "least"), [("astronaut", 0.9), ("cat", 0.8), ("coffee", 0.9)])
def test_overlaps_a_mask_drawn_by_hand(name: str, least: float) -> None:
    by_hand = np.asarray(Image.open(DATA / f"{name}-mask.png")) > 127
    found = find_subject(load_photo(PHOTOS / f"{name}.jpg").rgb) > 127
    assert (by_hand & found).sum() / (by_hand | found).sum() >= least


def gradient() -> np.ndarray[Any, Any]:
    return np.tile(np.linspace(60, 200, 300).astype(np.uint8)[None, :, None], (200, 1, 3))


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((200, 300, 3), np.uint8),
        np.full((200, 300, 3), 255, np.uint8),
        gradient(),
        np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8),
        np.full((1, 300, 3), 90, np.uint8),
    ],
    ids=["black", "white", "gradient", "noise", "1 pixel high"],
)
def test_no_subject_says_what_to_do(rgb: np.ndarray[Any, Any]) -> None:
    with pytest.raises(NoSubject, match=r"no subject found .*\(`box`\), .*\(`mask_model`\) or give a mask \(`mask`\)"):
        find_subject(rgb)


def test_empty_and_full_masks_are_no_subject() -> None:
    photo = load_photo(np.zeros((40, 40, 3), np.uint8))
    for value, why in ((0, "empty"), (255, "covers the whole photo")):
        with pytest.raises(NoSubject, match=why):
            subject_alpha(photo, SubjectOptions(mask=np.full((40, 40), value, np.uint8)))


def test_own_transparency_is_the_mask_unless_a_model_is_named(caplog: pytest.LogCaptureFixture) -> None:
    photo = load_photo(PHOTOS / "coffee.jpg")
    alpha = np.zeros(photo.rgb.shape[:2], np.uint8)
    alpha[100:200, 100:200] = 255
    cutout = load_photo(np.dstack([photo.rgb, alpha]))
    with caplog.at_level(logging.WARNING, "cyclorama"):
        np.testing.assert_array_equal(subject_alpha(cutout, SubjectOptions()), alpha)
    assert "own transparency" in caplog.text
    assert (subject_alpha(cutout, SubjectOptions(mask_model="u2netp")) > 127).sum() > alpha.sum() / 255


def boxed(rgb: np.ndarray[Any, Any], *edges: float) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(edge * rgb.shape[1 - i % 2]) for i, edge in enumerate(edges))
    return left, top, right - left, bottom - top


def painted(rgb: np.ndarray[Any, Any], *edges: float) -> np.ndarray[Any, Any]:
    left, top, width, height = boxed(rgb, *edges)
    stroke = np.zeros(rgb.shape[:2], np.uint8)
    stroke[top : top + height, left : left + width] = 255
    return stroke


FLOWER = load_photo(PHOTOS / "flower.jpg")  # a large one in the middle, and the top of another at the lower border


def test_a_box_says_which_subject_is_meant_and_a_stroke_adds_one() -> None:
    middle = find_subject(FLOWER.rgb) > 127
    assert middle[213, 300]
    assert not middle[400:].any()
    lower = Hints.read(FLOWER.size, box=boxed(FLOWER.rgb, 0.43, 0.86, 0.75, 1))
    keep = Hints.read(FLOWER.size, keep=painted(FLOWER.rgb, 0.55, 0.93, 0.65, 0.96))
    in_box, both = (find_subject(FLOWER.rgb, hints=hints) > 127 for hints in (lower, keep))
    assert 0.02 < in_box.mean() < 0.035
    assert not (in_box & middle).any()
    assert (both & middle).sum() == middle.sum()
    added = both & ~middle
    assert (added & in_box).sum() / (added | in_box).sum() > 0.7


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "drum"])
def test_what_is_kept_only_adds_and_what_is_dropped_only_takes_away(name: str) -> None:
    rgb = load_photo(PHOTOS / f"{name}.jpg").rgb
    looks = Looks()
    before = find_subject(rgb, looks=looks)
    size = rgb.shape[1], rgb.shape[0]
    for x in (0.1, 0.5, 0.9):
        stroke = painted(rgb, x - 0.02, 0.1, x + 0.02, 0.3)
        more = find_subject(rgb, hints=Hints.read(size, keep=stroke), looks=looks)
        less = find_subject(rgb, hints=Hints.read(size, drop=stroke), looks=looks)
        assert (more >= before).all()
        assert (less <= before).all()
        # Both at once: far from the one the other still does what it does alone.
        apart = painted(rgb, x - 0.02, 0.85, x + 0.02, 0.95)
        both = find_subject(rgb, hints=Hints.read(size, keep=stroke, drop=apart), looks=looks)
        alone = find_subject(rgb, hints=Hints.read(size, drop=apart), looks=looks)
        assert (both >= alone).all()


@pytest.mark.parametrize("name", ["cat", "flower"])
def test_a_stroke_acts_where_it_is(name: str) -> None:
    """A dab on the background, far from the subject, leaves the subject as it was."""
    rgb = load_photo(PHOTOS / f"{name}.jpg").rgb
    before = find_subject(rgb)
    rows, columns = np.nonzero(np.asarray(Image.fromarray(before).filter(ImageFilter.MaxFilter(61))) == 0)
    middle = len(rows) // 2
    dab = np.zeros(before.shape, bool)
    dab[rows[middle] - 4 : rows[middle] + 4, columns[middle] - 4 : columns[middle] + 4] = True
    after = find_subject(rgb, hints=Hints(drop=dab))
    np.testing.assert_array_equal(after[~dab], before[~dab])


def test_what_is_dropped_is_gone_and_what_is_kept_stays() -> None:
    stroke = painted(FLOWER.rgb, 0.4, 0.4, 0.5, 0.6) > 0
    dropped = find_subject(FLOWER.rgb, hints=Hints(drop=stroke))
    assert (dropped[stroke] == 0).all()
    assert (dropped > 127).mean() > 0.15
    corner = painted(FLOWER.rgb, 0.3, 0.3, 0.5, 0.5) > 0
    kept = find_subject(FLOWER.rgb, hints=Hints(keep=corner))
    assert (kept[corner] == 255).all()


def test_a_stroke_over_a_missed_piece_adds_to_the_subject() -> None:
    middle = find_subject(FLOWER.rgb) > 127
    stroke = np.zeros(middle.shape, bool)
    bottom = int(np.flatnonzero(middle.any(1))[-1])
    stroke[bottom + 4 : bottom + 10, 290:310] = True  # below the flower, where its stem is
    found = find_subject(FLOWER.rgb, hints=Hints(keep=stroke)) > 127
    assert found[stroke].all()
    assert (found & middle).sum() > 0.95 * middle.sum()


def test_a_stroke_at_the_edge_takes_a_leak_off_and_no_more() -> None:
    """Though there is another part, which might have taken the subject's place."""
    canvas = np.empty((500, 800, 3), np.uint8)
    canvas[:] = FLOWER.rgb[20, 40]
    canvas[100:370, 400:700] = FLOWER.rgb[80:350, 160:460]
    canvas[300:390, 60:160] = np.asarray(Image.fromarray(FLOWER.rgb[80:350, 160:460]).resize((100, 90)))
    stroke = np.zeros(canvas.shape[:2], bool)
    stroke[100:130, 400:700] = True
    alpha = find_subject(canvas, hints=Hints(drop=stroke))
    assert not alpha[stroke].any()
    assert alpha[235, 550] == 255


def test_a_small_gap_brushed_out_stays_out() -> None:
    stroke = np.zeros(FLOWER.rgb.shape[:2], bool)
    stroke[210:216, 300:306] = True
    assert not find_subject(FLOWER.rgb, hints=Hints(drop=stroke))[stroke].any()


def test_outside_a_box_there_is_nothing() -> None:
    hints = Hints.read(FLOWER.size, box=(250, 100, 120, 150))
    alpha = find_subject(FLOWER.rgb, hints=hints)
    inside = np.zeros(alpha.shape, bool)
    inside[100:250, 250:370] = True
    assert (alpha[~inside] == 0).all()
    assert (alpha[inside] > 127).mean() > 0.5


def test_a_stroke_at_the_side_of_a_box_stays_inside() -> None:
    """Though what is there goes on outside."""
    x, y, width, height = 250, 100, 120, 150
    stroke = np.zeros(FLOWER.rgb.shape[:2], bool)
    stroke[y + 60 : y + 90, x + width - 12 : x + width] = True
    hints = Hints.read(FLOWER.size, box=(x, y, width, height), keep=Image.fromarray(stroke))
    alpha = find_subject(FLOWER.rgb, hints=hints)
    assert (alpha[stroke] == 255).all()
    assert not alpha[hints.outside(alpha.shape)].any()


def test_a_stroke_takes_a_whole_part_but_never_the_largest_that_was_found() -> None:
    first = np.zeros((GRID, GRID), np.float32)
    first[20:300, 20:160], first[80:160, 200:280] = 0.95, 0.95  # the larger was left out
    found = np.zeros((GRID, GRID), np.uint8)
    found[80:160, 200:280] = 255
    drop = np.zeros((GRID, GRID), bool)
    drop[152:158, 236:244] = True
    assert not _is_on_a_part(drop, first, found)
    found[20:300, 20:160] = 255
    assert _is_on_a_part(drop, first, found)


@pytest.mark.parametrize("name", NAMES)
def test_a_box_around_what_is_found_anyway_loses_none_of_it(name: str, caplog: pytest.LogCaptureFixture) -> None:
    rgb = load_photo(PHOTOS / f"{name}.jpg").rgb
    looks = Looks()
    found = find_subject(rgb, looks=looks)
    rows, columns = (np.flatnonzero((found > 127).any(axis)) for axis in (1, 0))
    left, top, width, height = int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
    box = find_subject(rgb, hints=Hints((left, top, width, height)), looks=looks)
    inside = (slice(top, top + height), slice(left, left + width))
    assert (box[inside] >= found[inside]).all()
    caplog.clear()
    # A box that means a part is no confirmation of the whole: less than all of what was found is in it.
    half = find_subject(rgb, hints=Hints((left, top, width, height // 2)), looks=looks)
    within = (slice(top, top + height // 2), slice(left, left + width))
    assert not (half[within] >= found[within]).all()


def test_of_what_is_only_tried_nothing_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    canvas = np.empty((500, 800, 3), np.uint8)
    canvas[:] = FLOWER.rgb[20, 40]
    canvas[100:370, 60:360] = canvas[100:370, 400:700] = FLOWER.rgb[80:350, 160:460]
    with collected_notes() as notes:
        find_subject(canvas, hints=Hints((60, 90, 640, 290)))  # "2 subjects were found" is no news there
        with unheard():
            note("one")
            note("two")
        note("three")
    assert notes == ["three"]
    assert [record.message for record in caplog.records] == ["three"]


def test_a_box_in_which_there_is_nothing() -> None:
    sky = np.full((400, 600, 3), (120, 160, 220), np.uint8)
    with pytest.raises(NoSubject, match="no subject found"):
        find_subject(sky, hints=Hints((100, 100, 300, 200)))


def test_what_is_seen_faintly_reaches_the_sides_of_its_box() -> None:
    confidence = np.zeros((100, 80), np.float32)
    confidence[10:90, 30:50] = 0.9
    assert _reaching_all_sides(confidence) == 0.5  # nothing does; as it was
    confidence[3:97, 15:70] = np.maximum(confidence[3:97, 15:70], 0.15)
    assert _reaching_all_sides(confidence) == 0.1
    confidence[3:97, 15:70] = 0.6
    assert _reaching_all_sides(confidence) == 0.5
    assert _reaching_all_sides(np.zeros((3, 3), np.float32)) == 0.5


def test_a_box_on_a_very_thin_photo() -> None:
    strip = np.repeat(FLOWER.rgb[210:212], 5, axis=1)[:, :3000]
    alpha = find_subject(strip, hints=Hints.read((3000, 2), box=(800, 0, 1400, 2)))
    assert alpha.shape == (2, 3000)
    assert not alpha[:, :800].any()


def test_hints_that_cannot_be_are_refused() -> None:
    for box in ((700, 0, 10, 10), (0, 0, 1, 50), (-30, 5, 20, 20), (0, 430, 10, 10)):
        with pytest.raises(InvalidOptions, match="within the photo's 640x427, got"):
            Hints.read(FLOWER.size, box=box)
    assert Hints.read(FLOWER.size, box=(-10, -10, 100, 1000)).box == (0, 0, 90, 427)
    stroke = painted(FLOWER.rgb, 0.1, 0.1, 0.2, 0.2)
    with pytest.raises(InvalidOptions, match="overlap"):
        Hints.read(FLOWER.size, keep=stroke, drop=stroke)
    with pytest.raises(BadImage, match="10x10"):
        Hints.read(FLOWER.size, keep=np.zeros((10, 10), np.uint8))
    with pytest.raises(InvalidOptions, match="the mask to keep is nowhere white"):
        Hints.read(FLOWER.size, keep=np.zeros_like(stroke))
    with pytest.raises(InvalidOptions, match="reaches out of the box"):
        Hints.read(FLOWER.size, box=(300, 300, 50, 50), keep=stroke)
    with pytest.raises(InvalidOptions, match="leave out either"):
        BackgroundGenerator.load("nano").prepare(PHOTOS / "flower.jpg", mask=stroke, box=(0, 0, 50, 50))


def test_the_sharp_one_in_the_middle_is_meant(caplog: pytest.LogCaptureFixture) -> None:
    """Two flowers: one out of focus at the border, one sharp; and two sharp ones side by side, which both are."""
    flower = FLOWER.rgb[80:350, 160:460]
    canvas = np.empty((500, 800, 3), np.uint8)
    canvas[:] = FLOWER.rgb[20, 40]
    soft = np.asarray(Image.fromarray(flower).filter(ImageFilter.GaussianBlur(8)))
    canvas[200:470, 0:300] = soft
    canvas[100:370, 400:700] = flower
    alpha = find_subject(canvas) > 127
    assert alpha[235, 550]
    assert not alpha[335, 150]
    canvas[200:470, 0:300] = FLOWER.rgb[20, 40]
    canvas[100:370, 60:360] = flower[:, ::-1]
    with caplog.at_level(logging.WARNING, "cyclorama"):
        alpha = find_subject(canvas) > 127
    assert alpha[235, 550]
    assert alpha[235, 210]
    assert "2 subjects were found and all are kept" in caplog.text


def test_what_is_left_out_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """A flower out of focus beside a sharp one; alone, it is the subject."""
    flower = Image.fromarray(FLOWER.rgb[80:350, 160:460])
    blurred = np.asarray(flower.filter(ImageFilter.GaussianBlur(8)))
    canvas = np.empty((500, 1000, 3), np.uint8)
    canvas[:] = FLOWER.rgb[20, 40]
    canvas[100:370, 50:350] = blurred
    assert find_subject(canvas)[235, 200] > 250
    assert "left out" not in caplog.text
    canvas[100:370, 600:900] = np.asarray(flower)
    found = find_subject(canvas)
    assert found[235, 750] == 255
    assert not found[:, :400].any()
    assert "what is blurred or cut off by the border beside the subject was left out" in caplog.text


def test_doubt_is_told_where_it_is_known(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cup on a table is sure; a cat half out of focus is less so. Hints and other networks have no number."""
    rgb = load_photo(PHOTOS / "coffee.jpg").rgb
    sure, unsure = cut_out(rgb), cut_out(PHOTOS / "cat.jpg")
    assert sure.doubt is not None
    assert unsure.doubt is not None
    assert sure.doubt < 0.1
    assert unsure.doubt > 0.2
    assert "doubtful" not in caplog.text
    monkeypatch.setattr("cyclorama.engine.matting.subject._DOUBTFUL", sure.doubt / 2)
    assert any("the mask is doubtful" in note for note in cut_out(rgb).notes)
    assert cut_out(rgb, box=(100, 50, 400, 300)).doubt is None
    assert cut_out(rgb, mask_model="u2netp").doubt is None
    picture = sure.on(Background.colour("white"))
    assert picture.summary()["doubt"] == round(sure.doubt, 3)


def test_a_dark_photo_is_looked_at_brightened_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    confidence = OnnxMask.confidence

    def watched(self: OnnxMask, image: Image.Image) -> np.ndarray[Any, Any]:
        seen.append(float(np.asarray(image.convert("L")).mean()))
        return confidence(self, image)

    monkeypatch.setattr(OnnxMask, "confidence", watched)
    rgb = load_photo(PHOTOS / "coffee.jpg").rgb
    dark = (rgb * np.float32(0.25)).astype(np.uint8)
    found = find_subject(dark) > 127
    assert max(seen) > 2 * min(seen)
    usual = find_subject(rgb) > 127
    assert (found & usual).sum() / (found | usual).sum() > 0.95


def test_clean_drops_specks_and_fills_small_holes_only() -> None:
    image = Image.new("L", (600, 400))
    draw = ImageDraw.Draw(image)
    draw.ellipse((100, 50, 500, 350), fill=255)
    draw.ellipse((150, 180, 160, 190), fill=0)  # a hole in the mask
    draw.ellipse((280, 150, 360, 250), fill=0)  # the gap of a handle
    draw.rectangle((20, 20, 30, 30), fill=255)  # a speck
    draw.rectangle((540, 20, 590, 90), fill=90)  # a ghost: nowhere sure
    alpha = clean(np.asarray(image))
    assert alpha[185, 155] == 255
    assert alpha[200, 320] == 0
    assert alpha[25, 25] == 0
    assert alpha[50, 560] == 0
    assert alpha[60, 300] == 255
    kept = np.asarray(image) == 255
    kept[15:35, 15:35] = False
    assert (alpha[kept] == 255).all()


def test_clean_leaves_a_soft_edge_alone() -> None:
    ramp = np.tile(np.clip(np.arange(-100, 400), 0, 255).astype(np.uint8), (300, 1))
    row = clean(ramp)[150].astype(int)
    assert (np.diff(row) >= 0).all()
    assert np.abs(row - ramp[0]).max() <= 13
    assert len(np.unique(row)) > 200


@pytest.mark.parametrize("name", NAMES)
def test_the_inside_of_a_subject_is_certain(name: str) -> None:
    """Where alpha is not 255 a pixel of the subject is not kept to the bit."""
    by_hand = Image.open(DATA / f"{name}-mask.png").filter(ImageFilter.MinFilter(15))
    alpha = find_subject(load_photo(PHOTOS / f"{name}.jpg").rgb)
    share = {"astronaut": 0.98, "coffee": 0.99, "cat": 0.7}[name]  # the cat's chest is out of focus
    assert (alpha[np.asarray(by_hand) > 127] == 255).mean() > share


@pytest.mark.parametrize("pixels", [1, 2, 3, 16])
def test_grown_is_what_pillows_largest_of_a_square_is(pixels: int) -> None:
    mask = np.random.default_rng(pixels).random((90, 140)) < 0.003
    expected = Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(2 * pixels + 1))
    np.testing.assert_array_equal(grown(mask, pixels), np.asarray(expected) > 0)


def test_label_numbers_8_connected_parts() -> None:
    from scipy import ndimage

    rng = np.random.default_rng(1)
    for density in (0.1, 0.4, 0.6, 0.9):
        mask = rng.random((60, 83)) < density
        ours = label(mask)
        theirs, count = ndimage.label(mask, np.ones((3, 3)))
        assert ours.max() == count
        pairs = {(int(a), int(b)) for a, b in zip(ours.ravel(), theirs.ravel(), strict=True)}
        assert len(pairs) == count + int((~mask).any())
    assert label(np.zeros((3, 4), bool)).max() == 0
    assert (label(np.ones((3, 4), bool)) == 1).all()
