"""Work against likeness: what steps, caching and a guidance interval give for the time they take.

On nano's float32 network, because it is trained; the noise is the same, so that nothing but these options differs.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cyclorama import BackgroundGenerator, Result
from cyclorama.benchmarks.fidelity import exported, painted
from cyclorama.engine.presets import RECIPES
from cyclorama.export import Calibration
from cyclorama.export.drift import drift
from cyclorama.models.atomic import write_atomically
from cyclorama.models.store import writable_home

_SHALLOW = 0.125  # of a whole evaluation of the UNet, as measured on SD1.5's shapes in int8: docs/decisions/presets.md
_STEPS = (4, 6, 8, 10, 12, 14, 16, 20)
_INTERVALS = ((0.0, 1.0), (0.0, 0.75), (0.0, 0.5), (0.1, 0.75))
_PLAIN: dict[str, Any] = {"cache_interval": 1, "guidance_interval": (0.0, 1.0)}


def ways() -> Iterator[dict[str, Any]]:
    """Options that differ in what they cost."""
    for steps, interval, cache in itertools.product(_STEPS, _INTERVALS, (1, 2, 3)):
        yield {"num_inference_steps": steps, "guidance_interval": interval, "cache_interval": cache}


def work(options: dict[str, Any]) -> float:
    """Of the UNet for a picture, in whole evaluations: two for a step with guidance, less where features are reused."""
    steps, (start, stop), every = (
        options["num_inference_steps"],
        options["guidance_interval"],
        options["cache_interval"],
    )
    total, kept = 0.0, 0
    for step in range(steps):
        batch = 2 if start * steps <= step < stop * steps else 1
        is_reused = step % every > 0 and kept >= batch
        total += batch * (_SHALLOW if is_reused else 1)
        kept = min(kept, batch) if is_reused else batch
    return total


def measure(folder: Path, pictures: int) -> list[dict[str, Any]]:
    """A row for each way: its options, `work`, and the drift of its pictures (`of_most`: from those of most work, 20
    full steps; `of_same`: from those of as many full steps).

    folder: where nano's export is kept.
    """
    generator = BackgroundGenerator.load(exported(folder, "fp32", "openvino", click.echo), exact=True)
    calibration = Calibration.load()
    scenes = calibration.scenes(generator)
    full: dict[int, list[Result]] = {
        steps: painted(generator, scenes, calibration, pictures, {**_PLAIN, "num_inference_steps": steps})
        for steps in _STEPS
    }
    rows = []
    for options in ways():
        steps = options["num_inference_steps"]
        is_full = options == {**_PLAIN, "num_inference_steps": steps}
        results = full[steps] if is_full else painted(generator, scenes, calibration, pictures, options)
        of_most, of_same = (drift(full[reference], results) for reference in (_STEPS[-1], steps))
        rows.append({**options, "work": work(options), "of_most": of_most, "of_same": of_same})
    return rows


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """PSNR and SSIM, of 20 full steps, against work; the presets for models that were not distilled stand out."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    presets = {preset: {**_PLAIN, **RECIPES[None, preset]} for preset in ("balanced", "quality")}
    figure, panes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for pane, (measure_of, name) in zip(panes, (("psnr", "PSNR in dB"), ("ssim", "SSIM")), strict=True):
        for every, colour in ((1, "tab:blue"), (2, "tab:orange"), (3, "tab:red")):
            shown = [row for row in rows if row["cache_interval"] == every and row["of_most"]["psnr"] < 100]
            points = [(row["work"], row["of_most"][measure_of]) for row in shown]
            label = (
                "every step in full" if every == 1 else f"in full on each {every}{'nd' if every == 2 else 'rd'} step"
            )
            pane.plot(*zip(*points, strict=True), ".", color=colour, label=label)
        for preset, options in presets.items():
            for row in rows:
                if all(row[key] == options[key] for key in ("num_inference_steps", *_PLAIN)):
                    at = row["work"], row["of_most"][measure_of]
                    pane.plot(*at, "o", markersize=11, fillstyle="none", color="black")
                    pane.annotate(preset, at, xytext=(8, -14), textcoords="offset points")
        pane.set_xlabel("whole evaluations of the UNet")
        pane.set_ylabel(f"{name}, of 20 full steps")
        pane.spines[["top", "right"]].set_visible(False)
    panes[1].legend(loc="lower right")
    figure.savefig(path, dpi=100)
    plt.close(figure)


@click.command()
@click.option("--pictures", default=12, help="Painted each way.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The rows, as JSON.")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Work against likeness.")
def main(pictures: int, output: Path | None, picture: Path | None) -> None:
    """Measure every way, and tell the cheapest first."""
    rows = sorted(measure(writable_home() / "benchmark", pictures), key=lambda row: float(row["work"]))
    if output:
        write_atomically(output, (json.dumps(rows, indent=1) + "\n").encode())
    if picture:
        plot(rows, picture)
    for row in rows:
        click.echo(
            f"{row['num_inference_steps']:2} steps, cache {row['cache_interval']}, guided {row['guidance_interval']}"
            f": {row['work']:.1f} evaluations; "
            f"{row['of_most']['psnr']:.1f} dB {row['of_most']['ssim']:.3f} of 20 full steps, "
            f"{row['of_same']['psnr']:.1f} dB {row['of_same']['ssim']:.3f} of as many"
        )


if __name__ == "__main__":
    main()
