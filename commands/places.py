"""`--for NAME`: what a place asks for, as options that were not given otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import click

from cyclorama.engine.errors import InvalidOptions
from cyclorama.places.place import Place, places

P = ParamSpec("P")
T = TypeVar("T")


def place_option(help: str, *, required: bool = False) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--for`, as the parameter `place`."""

    def named(_context: click.Context, _parameter: click.Parameter, name: str | None) -> Place | None:
        return None if name is None else places()[name]

    return click.option(
        "--for", "place", type=click.Choice(tuple(places())), metavar="PLACE", required=required, callback=named,
        help=f"{help} {', '.join(places())}.",
    )  # fmt: skip


def given_or_wanted(context: click.Context, values: Mapping[str, Any], place: Place | None) -> dict[str, Any]:
    """The options given on the command line and, beside them, those that a place wants. Raises InvalidOptions."""
    source = click.core.ParameterSource.COMMANDLINE
    given = {name: value for name, value in values.items() if context.get_parameter_source(name) == source}
    if place is None:
        return given
    if given.get("shadow") and not place.shadow:
        raise InvalidOptions(f"{place.name} takes no shadow; leave it out", option="shadow")
    own = {name: value for name, value in place.make.items() if name not in given}
    if "subject_scale" in given:
        own.pop("fill", None)
    return given | own


def background_of(place: Place | None, prompt: str | None, background: str | None, blur: bool) -> str | None:
    """`--background`, or what a place wants where nothing was said. Raises InvalidOptions."""
    ways = [prompt is not None, background is not None, blur].count(True)
    if ways > 1:
        raise InvalidOptions("say what the background is once: either -p PROMPT, --background or --blur")
    if place is None:
        return background
    if place.background is not None and ways:
        raise InvalidOptions(
            f"{place.name} takes a background of {place.background} only; leave out -p, --background and --blur"
        )
    return background if ways else place.make_background
