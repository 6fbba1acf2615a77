"""The `cyclorama` command: the group; the commands are in `commands/`, one file each."""

from __future__ import annotations

import click

from cyclorama.commands.batch import batch
from cyclorama.commands.benchmark import benchmark
from cyclorama.commands.check import check
from cyclorama.commands.doctor import doctor
from cyclorama.commands.export import export
from cyclorama.commands.generate import generate
from cyclorama.commands.mask import mask
from cyclorama.commands.models import models
from cyclorama.commands.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="cyclorama", prog_name="cyclorama")
def main() -> None:
    """The same photo on a new background: subject untouched, pixel for pixel; no GPU needed.

    \b
    Examples:
      cyclorama generate cat.jpg -p "a sandy beach at sunset"
      cyclorama batch photos -o out -p "grey studio backdrop"
      cyclorama mask cat.jpg --cutout -o cat.png
      cyclorama models list
    """


for command in (generate, batch, mask, check, export, models, serve, benchmark, doctor):
    main.add_command(command)

if __name__ == "__main__":
    main()
