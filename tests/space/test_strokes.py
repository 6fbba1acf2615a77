"""Strokes: what a browser may send, and what they say."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cyclorama import InvalidOptions
from cyclorama.space.strokes import MOST_STROKES, checked, hints
from tests.space.conftest import opened

SIZE = (300, 200)


def dab(kind: str, x: int, y: int, radius: int = 5) -> dict[str, Any]:
    return {"kind": kind, "radius": radius, "points": [[x, y]]}


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(opened(data)) > 127


def test_a_dab_is_a_disc() -> None:
    keep = pixels(hints([dab("add", 100, 50, 10)], SIZE)["keep"])
    assert keep.shape == (200, 300)
    rows, columns = np.nonzero(keep)
    distance = np.hypot(columns - 100, rows - 50)
    assert distance.max() <= 11
    assert keep.sum() == pytest.approx(np.pi * 10.5**2, rel=0.05)


def test_a_line_has_no_gaps_and_its_own_width() -> None:
    line = {"kind": "add", "radius": 4, "points": [[20, 20], [120, 60], [200, 20]]}
    keep = pixels(hints([line], SIZE)["keep"])
    for share in np.linspace(0, 1, 50):
        assert keep[round(20 + 40 * share), round(20 + 100 * share)]
    assert 7 <= keep[:, 70].sum() <= 11


def test_the_later_stroke_counts_where_two_overlap() -> None:
    said = hints([dab("add", 100, 50), dab("remove", 103, 50), dab("add", 200, 50)], SIZE)
    keep, drop = pixels(said["keep"]), pixels(said["drop"])
    assert not (keep & drop).any()
    assert drop[50, 103]
    assert not keep[50, 103]
    assert keep[50, 200]
    assert set(hints([dab("add", 100, 50, 3), dab("remove", 100, 50, 6)], SIZE)) == {"drop"}
    assert hints([], SIZE) == {}


def test_the_last_box_counts_and_holds_what_is_added() -> None:
    first, last, none = ({"kind": "box", "box": box} for box in ([1, 1, 9, 9], [50, 40, 60, 60], None))
    assert hints([first, last], SIZE) == {"box": (50, 40, 60, 60)}
    assert hints([first, none], SIZE) == {}
    x, y, width, height = hints([last, dab("add", 150, 50, 5)], SIZE)["box"]
    assert (x, y, height) == (50, 40, 60)
    assert width == 106
    assert hints([last, dab("remove", 150, 50, 5)], SIZE)["box"] == (50, 40, 60, 60)


@pytest.mark.parametrize(
    "given",
    [
        None, {}, "x", 5, [None], [5], [{}], [{"kind": "box"}], [{"kind": "box", "box": [1, 2, 3]}],
        [{"kind": "box", "box": [290, 10, 1, 50]}], [{"kind": "box", "box": ["a", 1, 2, 3]}],
        [{"kind": "add", "radius": 5, "points": []}], [{"kind": "add", "radius": 0, "points": [[1, 1]]}],
        [{"kind": "add", "radius": 999, "points": [[1, 1]]}], [{"kind": "add", "radius": True, "points": [[1, 1]]}],
        [{"kind": "add", "radius": 5, "points": [[1]]}], [{"kind": "add", "radius": 5, "points": [[float("nan"), 1]]}],
        [{"kind": "erase", "radius": 5, "points": [[1, 1]]}], [dab("add", 1, 1)] * (MOST_STROKES + 1),
        [{"kind": "add", "radius": 5, "points": [[1, 1]] * 60_000}],
    ],
)  # fmt: skip
def test_what_is_no_stroke_is_refused(given: Any) -> None:
    with pytest.raises(InvalidOptions):
        checked(given, SIZE)


def test_what_is_taken_stays_as_json_has_it() -> None:
    strokes = checked(
        [dab("add", 10, -5), {"kind": "box", "box": [-10, 5, 100, 900]}, {"kind": "box", "box": None}], SIZE
    )
    assert json.loads(json.dumps(strokes)) == list(strokes)
    assert strokes[1]["box"] == [0, 5, 90, 195]
