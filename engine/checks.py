"""Values from outside: of the right kind and within their limits, or an InvalidOptions that says what was got."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable
from numbers import Real

import numpy as np

from cyclorama.engine.errors import InvalidOptions

_COUNTS = {2: "two", 4: "four"}


def whole_number(name: str, value: object, low: int, high: int, remark: str = "") -> int:
    """An int, or NumPy's, from low to high. Raises InvalidOptions."""
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        highest = "2**63 - 1" if high == 2**63 - 1 else high
        raise InvalidOptions(f"{name} must be a whole number from {low} to {highest}{remark}, got {shown(value)}")
    return number


def number(name: str, value: object, low: float, high: float, *, above: bool = False, remark: str = "") -> float:
    """A number from low to high; above: `low` itself is too little. Raises InvalidOptions."""
    is_number = isinstance(value, Real | np.floating | np.integer) and not isinstance(value, bool)
    result = float(value) if is_number else float("nan")  # type: ignore[arg-type]
    if not low <= result <= high or (above and result == low):
        limits = f"above {low:g} and at most {high:g}" if above else f"{low:g} to {high:g}"
        raise InvalidOptions(f"{name} must be {limits}, got {shown(value)}{remark}")
    return result


def text(name: str, value: object) -> str:
    """A string. Raises InvalidOptions."""
    if not isinstance(value, str):
        raise InvalidOptions(f"{name} must be text, got {shown(value)}")
    return value


def yes_or_no(name: str, value: object) -> bool:
    """A bool, or NumPy's. Raises InvalidOptions."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidOptions(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def several(name: str, value: object, count: int) -> tuple[object, ...]:
    """A tuple, list or array of so many. Raises InvalidOptions."""
    items = tuple(value) if isinstance(value, tuple | list | np.ndarray) and np.ndim(value) == 1 else ()
    if len(items) != count:
        raise InvalidOptions(f"{name} must be {_COUNTS.get(count, count)} numbers, got {shown(value)}")
    return items


def one_of(name: str, value: object, choices: Iterable[str]) -> str:
    """One of several words. Raises InvalidOptions, with the word that is nearest."""
    known = list(choices)
    if isinstance(value, str) and value in known:
        return value
    near = difflib.get_close_matches(value, known, 1) if isinstance(value, str) else []
    meant = f"; did you mean {near[0]}?" if near else ""
    raise InvalidOptions(f"{name} must be one of {', '.join(known)}, got {shown(value)}{meant}")


def no_others(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuses names of options that there are not, with the nearest that there is. Raises InvalidOptions."""
    names = list(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise InvalidOptions(f"there is no option {name}; {hint}")


def shown(value: object) -> str:
    """A value as an error shows it: on one line, and short."""
    line = " ".join(repr(value).split())
    return line if len(line) <= 80 else f"{line[:77]}..."
