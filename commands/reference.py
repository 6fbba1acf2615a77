"""docs/cli.md, made of the commands' own help: `python -m cyclorama.commands.reference`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

FILE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
_WIDTH = 110
_INTRODUCTION = """\
# The command line

Made by `python -m cyclorama.commands.reference` of the commands' own help.

Data goes to stdout, notes and progress to stderr; `--json` prints one object. Exit codes: 0 done; 2 wrong use; 1
anything else, with one line that says what to do. What can be known from the options and the photo's size is refused
before any work.

Files are written by an atomic write: whole or not at all. Without `-o` a new name in the current folder is taken, and
nothing is replaced; a file named with `-o` is, but never one of the inputs. Links are followed, and a replaced file
keeps its mode. `-` is standard input for one of the files, and standard output for `-o`.

Models, downloads and compiled networks are kept under `~/.cache/cyclorama`, or where `CYCLORAMA_HOME` says; without
either, nano runs all the same.
"""


def reference() -> str:
    """The page."""
    from cyclorama.cli import main

    parts = [_INTRODUCTION]
    whole = click.Context(main, info_name="cyclorama", terminal_width=_WIDTH, **main.context_settings)
    for name, command, context in _commands(main, whole):
        parts.append(f"## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.commands[name]
        inner = click.Context(command, context, info_name=name, terminal_width=_WIDTH)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
        else:
            yield inner.command_path, command, inner


if __name__ == "__main__":
    FILE.write_text(reference(), encoding="utf-8")
