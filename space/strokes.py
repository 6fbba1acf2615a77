"""A mask's corrections as the editor sends them: vectors in pixels of the photo, of which the later ones count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from cyclorama.engine.errors import InvalidOptions

MOST_STROKES, MOST_POINTS = 500, 50_000
_WIDEST = 0.15  # radius of a brush, as a share of the photo's longer side
_MOST_PAINT = 40  # times the photo's area, of all strokes together
_ENCODING = {"compress_level": 1}


def checked(given: Any, size: tuple[int, int]) -> tuple[dict[str, Any], ...]:
    """Strokes from a browser, which may send anything.

    A brush stroke is `{"kind": "add" | "remove", "radius": r, "points": [[x, y], ...]}`, a box
    `{"kind": "box", "box": [x, y, width, height]}` or with None for no box any more; numbers are whole pixels.
    Raises InvalidOptions.
    """
    if not isinstance(given, list) or len(given) > MOST_STROKES:
        raise InvalidOptions(f"at most {MOST_STROKES} strokes are taken; undo some", option="keep")
    strokes = tuple(_stroke(one, size) for one in given)
    if sum(len(one.get("points", ())) for one in strokes) > MOST_POINTS:
        raise InvalidOptions(f"the strokes have more than {MOST_POINTS} points; undo some", option="keep")
    paint = sum(len(_spread(one)) * (2 * one["radius"] + 1) ** 2 for one in strokes if one["kind"] != "box")
    if paint > _MOST_PAINT * max(size[0] * size[1], 100_000):
        raise InvalidOptions("the strokes are too many and too wide; undo some", option="keep")
    return strokes


def _stroke(given: Any, size: tuple[int, int]) -> dict[str, Any]:
    try:
        if given["kind"] == "box":
            return {"kind": "box", "box": None if given["box"] is None else _box(given["box"], size)}
        if given["kind"] not in ("add", "remove"):
            raise ValueError
        points = [[_whole(x), _whole(y)] for x, y in given["points"]]
        radius = _whole(given["radius"])
        if not points or not 1 <= radius <= max(1, _WIDEST * max(size)):
            raise ValueError
        return {"kind": given["kind"], "radius": radius, "points": points}
    except (TypeError, ValueError, KeyError, IndexError):
        raise InvalidOptions("a stroke came that is none; load the page again", option="keep") from None


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return max(-100_000, min(100_000, round(value)))


def _box(given: Any, size: tuple[int, int]) -> list[int]:
    x, y, width, height = (_whole(value) for value in given)
    left, top = max(0, x), max(0, y)
    right, bottom = min(size[0], x + width), min(size[1], y + height)
    if right - left < 2 or bottom - top < 2:
        raise ValueError
    return [left, top, right - left, bottom - top]


def hints(strokes: Sequence[dict[str, Any]], size: tuple[int, int]) -> dict[str, Any]:
    """What strokes say, as an order has it: `box`, and `keep` and `drop` as the bytes of PNGs.

    size: of the photo. Where strokes to add and to remove overlap, the later one counts; a box is widened to hold what
    was added. What says nothing is left out.
    """
    last = [stroke["box"] for stroke in strokes if stroke["kind"] == "box"]
    box = last[-1] if last else None
    if not any(stroke["kind"] in ("add", "remove") for stroke in strokes):
        return {} if box is None else {"box": tuple(box)}
    painted = Image.new("L", size)
    draw = ImageDraw.Draw(painted)
    values = {"add": 255, "remove": 128}
    for stroke in strokes:
        if stroke["kind"] == "box":
            continue
        value, radius = values[stroke["kind"]], stroke["radius"]
        points = _spread(stroke)
        if len(points) > 1:
            draw.line(points, value, 2 * radius + 1, joint="curve")
        for x, y in points:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), value)
    pixels = np.asarray(painted)
    said: dict[str, Any] = {}
    for name, value in (("keep", values["add"]), ("drop", values["remove"])):
        where = pixels == value
        if where.any():
            said[name] = _png(where)
            if name == "keep" and box is not None:
                rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
                left, top = min(box[0], int(columns[0])), min(box[1], int(rows[0]))
                right = max(box[0] + box[2], int(columns[-1]) + 1)
                bottom = max(box[1] + box[3], int(rows[-1]) + 1)
                box = [left, top, right - left, bottom - top]
    return said if box is None else {**said, "box": tuple(box)}


def _spread(stroke: dict[str, Any]) -> list[tuple[int, int]]:
    """A stroke's points, less those so near the one before that they show nowhere."""
    (x, y), *rest = stroke["points"]
    points, least = [(x, y)], (stroke["radius"] / 4) ** 2
    for number, (x, y) in enumerate(rest, 1):
        gap = (x - points[-1][0]) ** 2 + (y - points[-1][1]) ** 2
        if (gap >= least and gap > 0) or (number == len(rest) and gap > 0):
            points.append((x, y))
    return points


def _png(where: np.ndarray[Any, np.dtype[np.bool_]]) -> bytes:
    with BytesIO() as file:
        Image.fromarray(where.astype(np.uint8) * 255).save(file, "png", **_ENCODING)
        return file.getvalue()
