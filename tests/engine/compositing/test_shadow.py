"""The contact shadow: where it must be, and where it must not."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cyclorama.engine.compositing.shadow import contact_shadow


def post(size: tuple[int, int] = (300, 400), ground: int = 300) -> np.ndarray:
    """A post of 60 pixels that stands on the ground."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((120, 100, 179, ground - 1), fill=255)
    return np.asarray(mask)


def test_it_is_darkest_at_the_contact_and_fades_into_nothing() -> None:
    darkness = contact_shadow(post()).astype(int)
    assert darkness.shape == (400, 300)
    below = darkness[300:, 150]
    assert 80 < below[1] < 200
    assert (np.diff(below) <= 0).all()
    assert below[-1] == 0
    beside = darkness[299, 180:]
    assert beside[1] > 50
    assert (np.diff(beside) <= 0).all()


def test_higher_up_there_is_none() -> None:
    darkness = contact_shadow(post())
    assert darkness[:200][post()[:200] == 0].max() <= 2
    assert darkness[299, :20].max() <= 2


def test_it_is_as_wide_as_what_stands_there() -> None:
    mask = Image.new("L", (400, 300))
    draw = ImageDraw.Draw(mask)
    draw.rectangle((60, 60, 340, 100), fill=255)  # a table
    for left in (70, 310):
        draw.rectangle((left, 100, left + 20, 250), fill=255)
    darkness = contact_shadow(np.asarray(mask))
    assert darkness[252, 80] > darkness[252, 200] + 30 < darkness[252, 320] + 60
    assert abs(int(darkness[252, 80]) - int(darkness[252, 320])) <= 3


def drawn(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (400, 400)) -> np.ndarray:
    mask = Image.new("L", size)
    for box in boxes:
        ImageDraw.Draw(mask).rectangle(box, fill=255)
    return np.asarray(mask)


def test_a_head_held_high_darkens_nothing() -> None:
    animal = drawn((120, 150, 340, 220), (40, 120, 120, 180), (150, 220, 170, 319), (300, 220, 320, 319))
    darkness = contact_shadow(animal)
    assert darkness[322, 160] > 100 < darkness[322, 310]
    assert darkness[250:, 40:100].max() < 10


def test_each_wheel_has_its_own_where_it_stands() -> None:
    # The wheel on the right is farther away.
    darkness = contact_shadow(drawn((60, 200, 340, 270), (90, 240, 130, 299), (270, 240, 310, 284))).astype(int)
    assert darkness[301, 110] > 100 < darkness[286, 290]
    assert darkness[301, 110] > darkness[301, 290] + 30
    assert darkness[301, 110] > darkness[301, 65] + 30  # the bumper is above the ground
    assert darkness[288, 200] > 20 + darkness[285, 370]  # under the car it is darker than beside it


def test_a_ball_touches_the_ground_in_one_place() -> None:
    mask = Image.new("L", (400, 400))
    ImageDraw.Draw(mask).ellipse((100, 100, 299, 299), fill=255)
    darkness = contact_shadow(np.asarray(mask)).astype(int)
    assert darkness[301, 200] > darkness[301, 160] + 10 > darkness[301, 130] + 20
    assert np.abs(darkness - darkness[:, ::-1]).max() <= 20  # but for which side of a pixel the middle lies on


def test_large_pictures_get_the_same() -> None:
    small = contact_shadow(post())
    large = contact_shadow(np.asarray(Image.fromarray(post()).resize((1500, 2000), Image.Resampling.NEAREST)))
    back = np.asarray(Image.fromarray(large).resize((300, 400), Image.Resampling.BOX))
    assert np.abs(back.astype(int) - small)[post() == 0].max() < 25


def test_cut_off_by_the_lower_edge_there_is_no_ground(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "cyclorama"):
        assert not contact_shadow(post(ground=400)).any()
    assert "no ground for a shadow" in caplog.text


def test_close_above_the_edge_there_is_ground(caplog: pytest.LogCaptureFixture) -> None:
    large = np.zeros((3000, 4000), np.uint8)
    large[500:2995, 1000:2000] = 255
    assert contact_shadow(large)[2996:].max() > 80
    assert not caplog.records


def test_a_thin_pole_has_one() -> None:
    alpha = np.zeros((3000, 4000), np.uint8)
    alpha[500:2500, 2000:2002] = 255
    assert contact_shadow(alpha)[2500:].max() > 5


@pytest.mark.parametrize("size", [(1, 1), (2, 90), (90, 3), (90, 90)])
def test_tiny_and_empty(size: tuple[int, int]) -> None:
    alpha = np.zeros(size, np.uint8)
    assert contact_shadow(alpha).shape == size
    alpha.flat[0] = 255
    assert contact_shadow(alpha).shape == size
