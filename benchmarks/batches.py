"""How many photos an hour? `python -m cyclorama.benchmarks.batches FOLDER`: workers and threads, and the peers.

Each way runs over the same photos in turn, `--rounds` times. The engine's own loop is one process that finds, paints
and saves; a batch's worker also measures growth, hashes, and draws the review's pictures. Rates leave out the loading:
they count from each process's first photo to the last. From the better way to share the cores a table is computed for
other machines.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import click
from PIL import Image

from cyclorama import BackgroundGenerator, load_photo
from cyclorama.engine.machine import available_cores
from cyclorama.engine.options import Preset
from cyclorama.models.catalogue import SHIPPED_MASK_MODELS
from cyclorama.models.store import named_or_folder

_PROMPT = "grey studio backdrop"
_PRESET: Preset = "fast"
_MORE_CORES = (4, 8, 16, 32, 64)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", default="nano", show_default=True, help="A name or a model folder.")
@click.option("--rounds", default=2, show_default=True, help="Of each way, in turn.")
@click.option("--photos", "wanted", default=20_000, show_default=True, help="For the computed table.")
@click.option("--price", default=0.04, show_default=True, help="Of a core for an hour, in your currency.")
@click.option("--output", type=click.Path(path_type=Path), help="All figures (.json).")
def main(folder: Path, model: str, rounds: int, wanted: int, price: float, output: Path | None) -> None:
    """Measure, and print tables in Markdown."""
    cores = available_cores()
    photos = sorted(folder.glob("*.jpg"))
    if len(photos) <= cores:
        raise click.UsageError(
            f"{folder} has {len(photos)} .jpg files; more than {cores}, one for each core, are wanted"
        )
    ways: dict[str, Callable[[Path], float]] = {
        f"the engine alone, {cores} threads": lambda out: _loop("loop", out, photos, model, str(cores)),
        f"batch, 1 worker of {cores} threads": lambda out: _batch(photos, out, model, 1, cores),
        f"batch, {cores} workers of 1 thread": lambda out: _batch(photos, out, model, cores, 1),
        f"batch --only-masks, {cores} workers of 1 thread": lambda out: _batch(
            photos, out, model, cores, 1, masks=True
        ),
    }
    if find_spec("rembg"):
        ways["rembg, u2netp, masks alone"] = lambda out: _loop("rembg_loop", out, photos, home=_rembg_home(out))
        if find_spec("openvino_genai") and (Path(model) / "unet" / "openvino_model.xml").is_file():
            ways["openvino-genai, rembg's u2netp for the masks"] = lambda out: _loop(
                "genai_loop", out, photos, model, home=_rembg_home(out)
            )
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as out:
                rates[name].append(way(Path(out)))
                click.echo(f"{name}: {rates[name][-1]:.3f}/s", err=True)
    click.echo(
        f"{len(photos)} photos, {cores} cores, {model}\n\n| | photos a second | the engine alone = 1 |\n|---|---|---|"
    )
    base = statistics.median(next(iter(rates.values())))
    for name, given in rates.items():
        rate = statistics.median(given)
        click.echo(f"| {name} | {rate:.2f} ({min(given):.2f} to {max(given):.2f}) | {rate / base:.2f} |")
    rate = max(statistics.median(rates[name]) for name in list(rates)[1:3])
    click.echo(f"\nComputed, not measured: {wanted} photos at {price:g} for a core's hour.\n")
    click.echo("| cores | hours, all else equal | hours, if a tenth of the work waits for what is shared | price |")
    click.echo("|---|---|---|---|")
    for row in computed(rate, cores, wanted, price):
        click.echo("| {} | {:.1f} | {:.1f} | {:.2f} |".format(*row))
    if output:
        output.write_text(json.dumps({"photos": len(photos), "cores": cores, "model": model, "rates": rates}, indent=1))


def computed(rate: float, cores: int, photos: int, price: float) -> list[tuple[int, float, float, float]]:
    """For more cores: their number, hours where they are as fast as the measured ones, hours where a tenth of the
    work waits for something that all share (Amdahl), and what the first costs.

    rate: photos a second, measured on `cores` cores.  price: of a core for an hour.
    """
    rows = []
    for more in sorted({cores, *_MORE_CORES}):
        alone = photos / rate / 3600
        ideal = alone * cores / more
        rows.append((more, ideal, alone * (0.1 + 0.9 * cores / more), ideal * more * price))
    return rows


def _rate(finished: list[float], processes: int = 1) -> float:
    """Photos a second after each process's first. finished: when each was, in seconds."""
    finished.sort()
    return (len(finished) - processes) / (finished[-1] - finished[processes - 1])


def _loop(name: str, out: Path, photos: list[Path], *given: str, home: Path | None = None) -> float:
    """One of ours below, in a process of its own: networks that are loaded already would be an advantage."""
    words = [sys.executable, "-c", f"from {__spec__.name} import {name}; {name}()", *given, str(out), *map(str, photos)]
    environment = _ours() | ({"U2NET_HOME": str(home)} if home else {})
    told = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    return _rate(json.loads(told.stdout))


def loop() -> None:
    """The engine's own: what a user writes who has never heard of batches."""
    model, threads, out, *photos = sys.argv[1:]
    finished = []
    with BackgroundGenerator.load(named_or_folder(model), threads=int(threads)) as generator:
        for photo in photos:
            result = generator.generate(generator.prepare(load_photo(photo)), _PROMPT, _PRESET, seed=0)
            result.save(Path(out) / f"{Path(photo).stem}.png")
            finished.append(time.monotonic())
    click.echo(json.dumps(finished))


def _batch(photos: list[Path], out: Path, model: str, workers: int, threads: int, masks: bool = False) -> float:
    what = ["--only-masks"] if masks else ["-p", _PROMPT, "--preset", _PRESET]
    words = [sys.executable, "-m", "cyclorama", "batch", *map(str, photos), "-o", str(out), "--model", model, *what]
    subprocess.run(
        [*words, "--workers", str(workers), "--threads", str(threads)], check=True, capture_output=True, env=_ours()
    )
    return _rate([path.stat().st_mtime for path in out.glob("*.png")], workers)


def rembg_loop() -> None:
    """What `rembg p` does, by rembg's own calls, with the network that we ship."""
    from rembg import new_session, remove

    out, *photos = sys.argv[1:]
    session, finished = new_session("u2netp"), []
    for photo in photos:
        with Image.open(photo) as image:
            remove(image, session=session, only_mask=True).save(Path(out) / f"{Path(photo).stem}.png")
        finished.append(time.monotonic())
    click.echo(json.dumps(finished))


def genai_loop() -> None:
    """The same steps and guidance at the model's size, on rembg's mask; the painting enlarged behind the subject."""
    import numpy as np
    import openvino
    import openvino_genai
    from rembg import new_session, remove

    model, out, *photos = sys.argv[1:]
    with BackgroundGenerator.load(named_or_folder(model)) as generator:
        options, side = generator.resolve(_PROMPT, _PRESET), generator.folder.native_size
    pipeline = openvino_genai.InpaintingPipeline(model, "CPU")
    session, finished = new_session("u2netp"), []
    for photo in photos:
        with Image.open(photo) as opened:
            image = opened.convert("RGB")
        mask = remove(image, session=session, only_mask=True)
        to_paint = mask.point(lambda value: 255 - value).convert("RGB")
        small, hole = (openvino.Tensor(np.asarray(one.resize((side, side)))[None].copy()) for one in (image, to_paint))
        painted = pipeline.generate(
            _PROMPT, small, hole, width=side, height=side, strength=1.0,
            num_inference_steps=options.num_inference_steps, guidance_scale=options.guidance_scale,
        )  # fmt: skip
        behind = Image.fromarray(np.asarray(painted.data)[0]).resize(image.size, Image.Resampling.LANCZOS)
        Image.composite(image, behind, mask).save(Path(out) / f"{Path(photo).stem}.png")
        finished.append(time.monotonic())
    click.echo(json.dumps(finished))


def _rembg_home(out: Path) -> Path:
    """Where it finds its network, which it would download."""
    home = out / "u2net"
    home.mkdir()
    shutil.copy(SHIPPED_MASK_MODELS["u2netp"], home / "u2netp.onnx")
    return home


def _ours() -> dict[str, str]:
    import cyclorama

    root = str(Path(cyclorama.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


if __name__ == "__main__":
    main()
