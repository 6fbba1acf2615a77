"""`cyclorama doctor`."""

from __future__ import annotations

import sys

import click

from cyclorama.commands.console import clear_errors, print_json, stages


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@clear_errors
def doctor(as_json: bool) -> None:
    """Tell what this machine offers, and try the engine out on it."""
    from cyclorama.engine.doctor import examine

    with stages("trying the backends"):
        report = examine()
    if as_json:
        print_json(report)
    else:
        for section, facts in report.items():
            click.echo(section)
            for key, value in facts.items():
                shown = " ".join(map(str, value)) if isinstance(value, list) else value
                click.echo(f"  {key:<22} {shown}")
    if not all(outcome.startswith("works") for outcome in report["self-test"].values()):
        sys.exit(1)
