"""`cyclorama models`."""

from __future__ import annotations

from pathlib import Path
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

    from cyclorama.models.catalogue import CATALOGUE, MASK_MODELS, MATTING_MODELS
    from cyclorama.models.errors import NoHome
    from cyclorama.models.store import format_size, home

    try:
        pulled = sorted(index.parent for index in (home() / "models").glob("*--*/model_index.json"))
    except NoHome:
        pulled = []
    names = [folder.name.replace("--", "/", 1) for folder in pulled]
    if as_json:
        print_json(
            {
                "models": [_facts(entry) for entry in CATALOGUE.values()],
                "pulled": names,
                "mask_models": [asdict(mask) for mask in MASK_MODELS.values()],
                "matting_models": [asdict(entry) for entry in MATTING_MODELS.values()],
            }
        )
        return
    for entry in CATALOGUE.values():
        click.echo(f"{entry.name:<22} {_state(entry):<12} {entry.what}")
        size = "" if entry.embedded else f"{format_size(entry.download)}; "
        click.echo(f"{'':<35} {size}{entry.licence}")
    for name in names:
        click.echo(f"{name:<22} {'here':<12} pulled from a hub")
    for title, networks in (
        ("mask models (--mask-model), of rembg but for the first", MASK_MODELS),
        ("matting models (--matting-model), of rembg", MATTING_MODELS),
    ):
        click.echo(f"\n{title}:")
        for network in networks.values():
            state = "embedded" if network.download is None else ""
            click.echo(f"{network.name:<22} {state:<12} {network.what}; {network.side} px")
            size = "" if network.download is None else f"{format_size(network.download)}; "
            click.echo(f"{'':<35} {size}{network.licence}")


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
@click.argument("name", metavar="NAME|OWNER/NAME")
@click.option("--format", type=click.Choice(["openvino", "onnx"]), help="Default: openvino.")
@click.option("--revision", help="OWNER/NAME: branch, tag or commit.")
@clear_errors
def pull(name: str, format: Any, revision: str | None) -> None:
    """Fetch a model into the local store and check it.

    NAME is one of `models list`, which is exported here unless somebody has published it exported; OWNER/NAME is a hub
    repository that is a model folder already, and needs no torch.
    """
    from cyclorama.engine.diffusion.model_folder import ModelFolder
    from cyclorama.engine.errors import InvalidOptions
    from cyclorama.models.catalogue import find_entry
    from cyclorama.models.exported import pull_exported
    from cyclorama.models.store import stored

    entry = None if "/" in name else find_entry(name)
    if entry is None or entry.exported:
        repository, folder = (name, None) if entry is None else (str(entry.exported), stored(name))
        with stages(total=3) as progress:
            pulled = pull_exported(
                repository, revision=revision, format=format, folder=folder, check=ModelFolder, progress=progress
            )
        print_path(pulled)
        return
    if revision is not None:
        raise InvalidOptions("--revision goes with OWNER/NAME; the catalogue pins its own", option="revision")
    from cyclorama.export.request import stages as stages_of

    with stages(total=2 + len(stages_of())) as progress:
        from cyclorama.export import pull as pull_model

        pulled = pull_model(name, format=format, progress=progress)
    print_path(pulled)


@models.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--licence", required=True, help="Of the weights, as the hub names it: creativeml-openrail-m ...")
@click.option("--private", is_flag=True, help="For you alone.")
@clear_errors
def publish(folder: Path, repository: str, licence: str, private: bool) -> None:
    """Upload an exported FOLDER as a hub repository, with a card, for others to pull without torch.

    \b
    Examples:
      cyclorama models publish ./my-model me/my-model --licence creativeml-openrail-m
    """
    from cyclorama.engine.diffusion.model_folder import ModelFolder
    from cyclorama.models.exported import publish as publish_folder

    ModelFolder(folder)
    with stages(total=2) as progress:
        address = publish_folder(folder, repository, licence=licence, private=private, progress=progress)
    click.echo(address)


@models.command()
@click.argument("model")
@click.option("--against", metavar="CHECKPOINT", help="Compare with diffusers on this checkpoint; needs torch.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@clear_errors
def verify(model: str, against: str | None, as_json: bool) -> None:
    """Check a model's files against the sums in its manifest, or its numbers against diffusers.

    With --against: decibels (PSNR) of each component on random inputs, and of a decoded picture from the same noise,
    all in float32. Above 60 dB nothing can be seen; a folder in int8, with a LoRA or another VAE differs by what they
    do.

    \b
    Examples:
      cyclorama models verify nano
      cyclorama models verify ./my-model --against ./my-checkpoint
    """
    from cyclorama.models.store import named_or_folder, resolve
    from cyclorama.models.store import verify as verify_files

    folder = resolve(named_or_folder(model))
    if against is None:
        with stages("reading the files"):
            number = verify_files(folder)
        if as_json:
            print_json({"model": model, "files": number})
        else:
            click.echo(f"{model}: {number} files as they should be")
        return
    with stages("loading torch", total=8) as progress:
        from cyclorama.export.parity import compare

        decibels = compare(folder, against, progress)
    if as_json:
        print_json({"model": model, "against": against, "decibels": decibels})
        return
    for name, value in decibels.items():
        click.echo(f"{name:<14} {value:6.1f} dB")


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
