"""Values from outside: of the right kind and within their limits, or an InvalidOptions that says what was got."""

from __future__ import annotations

import difflib
import operator
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from numbers import Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cyclorama.engine.errors import InvalidOptions

_COUNTS = {2: "two", 4: "four"}
_INFINITE = float("inf")


def checked_fields(options: Any) -> None:
    """Holds a dataclass's fields against their types and limits, and makes plain values of NumPy's.

    Types: bool, int, float, str, a Literal, or a tuple of numbers; each may be optional. Others are not looked at.
    Limits are in a field's metadata: `ge`, `gt`, `le`. Raises InvalidOptions.
    """
    owner: type = type(options)
    values = {name: getattr(options, name) for name in declared(owner)}
    for name, value in checked_values(owner, values).items():
        object.__setattr__(options, name, value)


def checked_values(owner: type, values: Mapping[str, object]) -> dict[str, object]:
    """Values for some fields of a dataclass, held against its declaration like `checked_fields`."""
    checked = {}
    for name, value in values.items():
        kind, is_optional, limits = declared(owner)[name]
        checked[name] = None if value is None and is_optional else _checked(name, kind, limits, value)
    return checked


@cache
def declared(owner: type) -> dict[str, tuple[Any, bool, dict[str, float]]]:
    """Of each field: its type, whether it may be None, and its limits."""
    hints = get_type_hints(owner)
    declared = {}
    for own in fields(owner):
        kind, is_optional = hints[own.name], False
        if get_origin(kind) in (Union, types.UnionType):
            members = [member for member in get_args(kind) if member is not type(None)]
            is_optional = len(members) < len(get_args(kind))
            literals = tuple(word for member in members if get_origin(member) is Literal for word in get_args(member))
            kind = members[0] if len(members) == 1 else Literal[literals] if literals else Any
        declared[own.name] = kind, is_optional, {key: own.metadata[key] for key in _LIMITS if key in own.metadata}
    return declared


_LIMITS = ("ge", "gt", "le")


def _checked(name: str, kind: Any, limits: dict[str, float], value: object) -> object:
    if kind is str:
        return text(name, value)
    low, high = limits.get("gt", limits.get("ge", -_INFINITE)), limits.get("le", _INFINITE)
    if kind is bool:
        return yes_or_no(name, value)
    if kind is int:
        return whole_number(name, value, low, high)
    if kind is float:
        return number(name, value, low, high, above="gt" in limits)
    if get_origin(kind) is Literal:
        return one_of(name, value, get_args(kind))
    if get_origin(kind) is tuple:
        members = get_args(kind)
        items = several(name, value, len(members))
        return tuple(_checked(name, member, limits, item) for member, item in zip(members, items, strict=True))
    return value


def whole_number(name: str, value: object, low: float, high: float, remark: str = "") -> int:
    """An int, or NumPy's, from low to high. Raises InvalidOptions."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        limits = f" from {low:.0f} to {high:.0f}" if high < _INFINITE else f" of at least {low:.0f}"
        limits = limits.replace(f"{2**63 - 1:.0f}", "2**63 - 1")
        raise InvalidOptions(f"{name} must be a whole number{limits}{remark}, got {shown(value)}", option=name)
    return number


def number(name: str, value: object, low: float, high: float, *, above: bool = False, remark: str = "") -> float:
    """A number from low to high; above: `low` itself is too little. Raises InvalidOptions."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)  # NumPy's numbers are registered as such
    result = float(value) if is_number else float("nan")  # type: ignore[arg-type]
    if not low <= result <= high or (above and result == low):
        limits = f"above {low:g} and at most {high:g}" if above else f"{low:g} to {high:g}"
        limits = limits if high < _INFINITE else f"at least {low:g}"
        raise InvalidOptions(f"{name} must be {limits}, got {shown(value)}{remark}", option=name)
    return result


def text(name: str, value: object) -> str:
    """A string. Raises InvalidOptions."""
    if not isinstance(value, str):
        raise InvalidOptions(f"{name} must be text, got {shown(value)}", option=name)
    return value


def yes_or_no(name: str, value: object) -> bool:
    """A bool, or NumPy's. Raises InvalidOptions."""
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
        raise InvalidOptions(f"{name} must be True or False, got {shown(value)}", option=name)
    return bool(value)


def several(name: str, value: object, count: int) -> tuple[object, ...]:
    """A tuple, list or one-dimensional array of `count` items. Raises InvalidOptions."""
    items: tuple[object, ...] = ()
    if isinstance(value, tuple | list):
        items = tuple(value)
    elif getattr(value, "ndim", None) == 1:
        items = tuple(value)  # type: ignore[arg-type]
    if len(items) != count:
        raise InvalidOptions(f"{name} must be {_COUNTS.get(count, count)} numbers, got {shown(value)}", option=name)
    return items


def one_of(name: str, value: object, choices: Iterable[str]) -> str:
    """One of several words. Raises InvalidOptions, with the word that is nearest."""
    known = list(choices)
    if isinstance(value, str) and value in known:
        return value
    near = difflib.get_close_matches(value, known, 1) if isinstance(value, str) else []
    meant = f"; did you mean {near[0]}?" if near else ""
    raise InvalidOptions(f"{name} must be one of {', '.join(known)}, got {shown(value)}{meant}", option=name)


def no_others(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuses names of options that there are not, with the nearest that there is. Raises InvalidOptions."""
    names = list(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise InvalidOptions(f"there is no option {name}; {hint}", option=name)


def shown(value: object) -> str:
    """A value as an error shows it: on one line, and short."""
    line = " ".join(repr(value).split())
    return line if len(line) <= 80 else f"{line[:77]}..."
