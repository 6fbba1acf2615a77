"""`python -m training STEP`; the steps and their order are in README.md beside this."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import numpy as np

from cyclorama.engine.options import PRESETS, Preset

_WORK = click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("out/nano"),
    show_default=True,
    help="Where everything is kept.",
)
_DEVICE = click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
_BF16 = click.option("--bf16", is_flag=True, help="Mixed precision, for a GPU or a CPU with AMX.")
_SEED = click.option("--seed", default=0, show_default=True)
_MODEL = click.option("--model", default="nano", show_default=True, help="A model's folder, or its name.")
_PRESET = click.option("--preset", type=click.Choice(PRESETS), help="The model's own where none is named.")


@click.group()
def main() -> None:
    """Makes nano again, from drawn scenes and free photographs to a checkpoint that `export` reads."""


@main.command()
@click.option("--work", type=click.Path(path_type=Path), default=Path("out/mask"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("models/u2net/u2net_int8.onnx"), show_default=True)
def mask(work: Path, out: Path) -> None:
    """Fetches U²-Net and quantises it: the default mask network, which is no part of nano. Five minutes."""
    from training import mask_network

    mask_network.quantise(work, out)


@main.command()
@_WORK
@click.option("--scale", default=1.0, show_default=True, help="Draws this many times the usual number of pictures.")
@click.option("--workers", default=os.cpu_count() or 2, show_default=True)
def draw(work: Path, scale: float, workers: int) -> None:
    """Fetches the photographs and draws the training set."""
    from training import dataset, photos

    photos.fetch(work / "photos")
    dataset.draw(work / "data", work / "photos", scale=scale, workers=workers)


@main.command()
@_WORK
def words(work: Path) -> None:
    """Chooses the vocabulary and writes the tokenizer."""
    from training import dataset, vocabulary

    captions = [said for bucket in dataset.load(work / "data").values() for said in bucket.captions]
    chosen = vocabulary.choose(captions, vocabulary.fetch_dictionary(work / "dictionary"))
    vocabulary.write_tokenizer(chosen, work / "tokenizer")
    click.echo(f"{len(chosen)} words")


@main.command()
@_WORK
@_DEVICE
@_SEED
@click.option("--steps", default=2000, show_default=True)
def decoder(work: Path, device: str, seed: int, steps: int) -> None:
    """Trains the autoencoder's decoder (its encoder needs no training)."""
    from training import autoencoder, dataset

    quality = autoencoder.train(dataset.load_pictures(work / "data"), work, steps=steps, device=device, seed=seed)
    click.echo(f"{quality:.2f} dB on pictures that were not trained on")


@main.command()
@_WORK
@_DEVICE
@_SEED
@click.option("--steps", default=9300, show_default=True, help="Where to stop; a later end goes on from there.")
@click.option("--cooldown", default=2300, show_default=True, help="The last steps, over which the learning rate falls.")
@click.option("--cells", default=12288, show_default=True, help="Latent cells a step: 256 make a picture of 128x128.")
@click.option("--checkpoint", type=click.Path(path_type=Path, exists=True), help="A checkpoint of nano to go on from.")
@_BF16
def denoiser(
    work: Path, device: str, seed: int, steps: int, cooldown: int, cells: int, checkpoint: Path | None, bf16: bool
) -> None:
    """Trains text encoder and UNet.  Under torchrun every process takes its share of each batch."""
    from training import denoiser

    denoiser.train(
        work / "data", work / "tokenizer", work, steps=steps, cooldown=cooldown, cells=cells, start=checkpoint,
        device=device, bf16=bf16, seed=seed,
    )  # fmt: skip


@main.command()
@_WORK
@_DEVICE
@_SEED
@click.option("--steps", default=1000, show_default=True)
@click.option("--rank", default=24, show_default=True, help="Of the LoRA.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("models/nano/lcm-lora.safetensors"), show_default=True
)
@_BF16
def distil(work: Path, device: str, seed: int, steps: int, rank: int, out: Path, bf16: bool) -> None:
    """Distils the UNet into a LoRA for four steps without guidance."""
    from training import distil

    distil.train(work, out, steps=steps, rank=rank, device=device, bf16=bf16, seed=seed)


@main.command()
@_WORK
@click.option("--out", type=click.Path(path_type=Path), default=Path("models/nano/checkpoint"), show_default=True)
def assemble(work: Path, out: Path) -> None:
    """Writes the checkpoint that `make nano` exports."""
    from training.assemble import assemble

    assemble(work, out)


@main.command()
@_WORK
@_SEED
@click.option("--epochs", default=10, show_default=True)
def readers(work: Path, seed: int, epochs: int) -> None:
    """Trains the classifier that `evaluate` reads painted scenes with."""
    from training import readers

    measured = readers.accuracy(readers.train(work, epochs=epochs, seed=seed), work)
    for scene, share in sorted(measured.by_scene.items(), key=lambda item: item[1]):
        click.echo(f"{scene:12} {share:.3f}")
    click.echo(f"drawings {measured.drawn:.3f}, photographs {measured.photographed:.3f}")


@main.command()
@_WORK
@_MODEL
@_PRESET
@click.option("--quick", is_flag=True, help="A quarter of the prompts.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures, and what was mistaken.")
def evaluate(work: Path, model: str, preset: Preset | None, quick: bool, json_file: Path | None) -> None:
    """Measures a model folder; wants `readers` first."""
    from training import evaluation

    figures = evaluation.evaluate(model, work, preset=preset, quick=quick)
    click.echo(evaluation.table(figures))
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


@main.command()
@_MODEL
@_PRESET
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The picture to write.")
def sheet(model: str, preset: Preset | None, out: Path) -> None:
    """Paints every scene and ten studio colours with four seeds, on one contact sheet."""
    from training import evaluation

    evaluation.sheet(model, evaluation.sheet_prompts(), range(4), preset).save(out)


@main.command()
@_MODEL
def timing(model: str) -> None:
    """Times UNet and whole picture at 256x256 on this machine: median, least and most."""
    from training import timing

    for what, seconds in (("UNet forward", timing.unet_forward(model)), ("picture", timing.whole_picture(model))):
        low, middle, high = (f"{1000 * float(q):.0f}" for q in np.quantile(seconds, (0, 0.5, 1)))
        click.echo(f"{what:14} {middle} ms ({low} to {high})")


if __name__ == "__main__":
    main()
