"""`cyclorama models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cyclorama.commands.console import clear_errors, print_json, print_path, stages

if TYPE_CHECKING:
    from cyclorama.models.catalogue import ModelEntry


@click.group()
def models() -> None:
    """List, show, fetch and check models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@clear_errors
def list_models(as_json: bool) -> None:
    """List the models that have a name."""
    from dataclasses import asdict

    from cyclorama.models.catalogue import CATALOGUE, MASK_MODELS
    from cyclorama.models.store import format_size

    if as_json:
        print_json(
            {
                "models": [_facts(entry) for entry in CATALOGUE.values()],
                "mask_models": [asdict(mask) for mask in MASK_MODELS.values()],
            }
        )
        return
    for entry in CATALOGUE.values():
        click.echo(f"{entry.name:<22} {_state(entry):<12} {entry.what}")
        size = "" if entry.embedded else f"{format_size(entry.download)}; "
        click.echo(f"{'':<35} {size}{entry.licence}")
    click.echo("\nmask models (--mask-model), of rembg but for the first:")
    for mask in MASK_MODELS.values():
        click.echo(f"{mask.name:<22} {'embedded' if mask.download is None else '':<12} {mask.what}; {mask.side} px")
        size = "" if mask.download is None else f"{format_size(mask.download)}; "
        click.echo(f"{'':<35} {size}{mask.licence}")


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@clear_errors
def show(name: str, as_json: bool) -> None:
    """Show all that is known about a model."""
    from cyclorama.models.catalogue import find_entry

    facts = _facts(find_entry(name))
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        if value is not None:
            click.echo(f"{key:<12} {value}")


@models.command()
@click.argument("name")
@click.option("--format", type=click.Choice(["openvino", "onnx"]), help="Default: openvino.")
@clear_errors
def pull(name: str, format: Any) -> None:
    """Fetch a model, export it to the local store and check it."""
    from cyclorama.models.catalogue import find_entry

    find_entry(name)
    from cyclorama.export.request import stages as stages_of

    with stages(total=2 + len(stages_of())) as progress:
        from cyclorama.export import pull as pull_model

        folder = pull_model(name, format=format, progress=progress)
    print_path(folder)


@models.command()
@click.argument("model")
@clear_errors
def verify(model: str) -> None:
    """Check a model's files against the sums in its manifest."""
    from cyclorama.models.store import named_or_folder, resolve
    from cyclorama.models.store import verify as verify_files

    with stages("reading the files"):
        number = verify_files(resolve(named_or_folder(model)))
    click.echo(f"{model}: {number} files as they should be")


def _state(entry: ModelEntry) -> str:
    from cyclorama.models.store import is_present

    if entry.is_part:
        return entry.kind
    if entry.embedded:
        return "embedded"
    return "here" if is_present(entry) else "to pull"


def _facts(entry: ModelEntry) -> dict[str, Any]:
    from cyclorama.models.store import format_size, is_present, stored

    return {
        "name": entry.name,
        "what": entry.what,
        "kind": entry.kind,
        "state": _state(entry),
        "licence": entry.licence,
        "repository": entry.repository,
        "revision": entry.revision,
        "download": None if entry.embedded else format_size(entry.download),
        "preset": entry.preset,
        "paints": entry.paints,
        "fails at": entry.fails_at,
        "card": str(entry.card) if entry.card else None,
        "folder": str(stored(entry.name)) if is_present(entry) else None,
    }
