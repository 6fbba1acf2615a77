"""click's options, made of the engine's declaration (`engine.options`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

import click

from cyclorama.commands.files import FileType
from cyclorama.engine.checks import declared
from cyclorama.engine.options import GenerationKeywords, Layout, SubjectOptions

P = ParamSpec("P")
T = TypeVar("T")

# Where an option is called otherwise than its name says.
_FLAGS = {"num_inference_steps": ("--steps",), "colour_match": ("--colour-match", "--color-match")}
_METAVARS = {"box": "X,Y,W,H", "subject_position": "X,Y", "canvas": "SHAPE|WxH", "good_enough": "SHARE"}
_EXAMPLES = {
    "box": "x,y,width,height in pixels, for example 120,80,300,400",
    "subject_position": "x,y, each 0 to 1, for example 0.5,1",
    "guidance_interval": "two shares of the steps, for example 0,0.75",
}
_LEFT_TO_THE_PRESET = {
    name for name, kind in get_type_hints(GenerationKeywords).items() if type(None) in get_args(kind)
}


def options_of(*kinds: type, but: tuple[str, ...] = ()) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator that gives a command an option for every field of some option classes, in their order."""

    def decorate(command: Callable[P, T]) -> Callable[P, T]:
        own = {field.name: (kind, field) for kind in kinds for field in fields(kind) if field.name not in but}
        for kind, field in reversed(own.values()):
            command = _option(kind, field)(command)
        return command

    return decorate


def picked(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a command's values that are fields of an option class and were not left open."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names and value is not None}


def model_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--model`."""
    return click.option(
        "--model", default="nano", show_default=True, help="A name from `models list`, or a model folder."
    )(command)


def _option(owner: type, field: Field[Any]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    name = field.name
    kind, _, _ = declared(owner)[name]
    default = None if name in _LEFT_TO_THE_PRESET else field.default
    settings: dict[str, Any] = {"help": _help(field)}
    flags = _FLAGS.get(name, (_flag(name),))
    if kind is bool and default is None:
        flags = (f"{flags[0]}/--no-{flags[0][2:]}",)
        settings["default"] = None
    elif kind is bool:
        settings["is_flag"] = True
    elif default is not None:
        settings |= {"default": default, "show_default": True}
    if get_origin(kind) is Literal:
        settings["type"] = click.Choice(get_args(kind))
    elif get_origin(kind) is tuple:
        settings["callback"] = _numbers(get_args(kind), _EXAMPLES[name])
    elif kind in (int, float, str):
        settings["type"] = kind
    elif name in ("mask_model", "matting_model"):
        settings["callback"] = _mask_model
    elif kind is not bool:
        settings["type"] = FileType()
    if name in _METAVARS:
        settings["metavar"] = _METAVARS[name]
    return click.option(*flags, name, **settings)


def _help(field: Field[Any]) -> str:
    """The description with the command line's names, and the limits that are worth telling."""
    text = re.sub(
        r"\b[a-z]+(_[a-z]+)+\b",
        lambda match: _FLAGS.get(match[0], (_flag(match[0]),))[0],
        field.metadata["description"],
    )
    low, high = (field.metadata.get(limit) for limit in ("ge", "le"))
    return f"{text}  [{low:g} to {high:g}]" if low is not None and high is not None and abs(high) < 1e6 else text


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _numbers(kinds: tuple[Any, ...], example: str) -> Callable[..., tuple[Any, ...] | None]:
    def read(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[Any, ...] | None:
        if value is None:
            return None
        try:
            return tuple(kind(word) for kind, word in zip(kinds, value.split(","), strict=True))
        except ValueError:
            raise click.BadParameter(f"wanted {example}; got {value!r}") from None

    return read


def _mask_model(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | Path | None:
    return None if value is None else mask_model_named(value)


def mask_model_named(text: str) -> str | Path:
    """A mask or matting model as `cut_out` takes it: a name, or a file, which has an ending."""
    return Path(text) if text.lower().endswith(".onnx") else text


mask_options = options_of(SubjectOptions, but=("mask", *(field.name for field in fields(Layout))))
