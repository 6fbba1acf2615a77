"""`cyclorama check`."""

from __future__ import annotations

from pathlib import Path

import click

from cyclorama.commands.console import clear_errors, print_json
from cyclorama.commands.places import place_option
from cyclorama.places.place import Place

BROKEN = 3
"""Exit code where a picture breaks a rule, or could not be read."""


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PICTURE...")
@place_option("The place:", required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
@clear_errors
def check(context: click.Context, pictures: tuple[Path, ...], place: Place, as_json: bool) -> None:
    """Say which rules of a place each PICTURE breaks, and by how much. Exits with 3 if any does.

    The rules, where they come from and when they were read are in docs/places.md.

    \b
    Examples:
      cyclorama check shoe.jpg --for amazon-main
      cyclorama check out/*.jpg --for walmart --json
    """
    from cyclorama.engine.errors import BadImage
    from cyclorama.places.check import broken_rules

    told: dict[str, list[str]] = {}
    for picture in pictures:
        try:
            told[str(picture)] = broken_rules(picture, place)
        except BadImage as error:
            told[str(picture)] = [str(error)]
    if as_json:
        print_json({"place": place.name, "source": place.source, "breaks": told})
    else:
        for name, breaks in told.items():
            click.echo(f"{name}: {'; '.join(breaks) or 'fine'}")
    if any(told.values()):
        context.exit(BROKEN)
