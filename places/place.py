"""The places that there are rules of, from places.toml."""

from __future__ import annotations

import datetime
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cyclorama.engine.checks import one_of

_FILE = Path(__file__).with_name("places.toml")


@dataclass(frozen=True)
class Place:
    """What a place asks of a picture; None and empty is nothing. See places.toml for the units.

    make: options for a picture that meets it, by the names of `cyclorama generate`, without `background` and `ending`.
    """

    name: str
    title: str
    source: str = ""
    read: datetime.date | None = None
    first_hand: bool = False
    formats: tuple[str, ...] = ()
    shape: str | None = None
    longest_side: tuple[int, int] | None = None
    shortest_side: tuple[int, int] | None = None
    pixels: float | None = None
    bytes: int | None = None
    background: str | None = None
    fill: tuple[float, float] | None = None
    srgb: bool = False
    shadow: bool = True
    ending: str = ".jpg"
    make_background: str | None = None
    make: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Width over height."""
        if self.shape is None:
            return None
        width, height = self.shape.split(":")
        return float(width) / float(height)


@cache
def places() -> dict[str, Place]:
    """All places by their names."""
    return {name: _place(name, told) for name, told in tomllib.loads(_FILE.read_text(encoding="utf-8")).items()}


def place(name: str) -> Place:
    """A place by its name. Raises InvalidOptions, with the name that is nearest."""
    return places()[one_of("place", name, places())]


def _place(name: str, told: dict[str, Any]) -> Place:
    rules: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
    make = {"srgb": True, **rules.pop("make")}  # no place asks for other colours
    rules |= {"name": name, "make": make, "make_background": make.pop("background", None)}
    if "ending" in make:
        rules["ending"] = make.pop("ending")
    if "bytes" in rules:
        make["max_bytes"] = rules["bytes"]
    if "fill" in make:
        make["subject_position"] = (0.5, 0.5)
    return Place(**rules)
