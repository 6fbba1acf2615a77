"""Would another setting have been better? `python -m cyclorama.benchmarks.settings FOLDER`, with nano.

FOLDER has photos with their subjects, as `cyclorama benchmark --masks --photos` takes them. The given masks are used:
what a mask gets wrong does not count here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from cyclorama import BackgroundGenerator
from cyclorama.benchmarks.photos import Truth, truths
from cyclorama.engine.growth import object_extension, seam
from cyclorama.engine.options import GenerationKeywords

_PHOTOS, _PROMPTS_EACH = 40, 2
_PROMPTS = (
    "a sandy beach at sunset", "grey studio backdrop", "a green garden in spring", "snowy mountains", "a city at night",
    "a wooden table by a window", "an autumn forest", "a blue sky with clouds", "a cosy living room", "a stone wall",
)  # fmt: skip
_WAYS: dict[str, tuple[float, GenerationKeywords]] = {
    "as it is": (1, {}),
    "next seed": (1, {"seed": 1}),
    "the seed after": (1, {"seed": 2}),
    "guidance 2": (1, {"guidance_scale": 2.0}),
    "guidance 6": (1, {"guidance_scale": 6.0}),
    "8 steps": (1, {"num_inference_steps": 8}),
    "40 steps": (1, {"num_inference_steps": 40}),
    "smaller": (0.75, {}),
    "larger": (1.25, {}),
}
"""Each way's working size, as a share of the model's own, and its options."""
_MATTERS = 0.02  # of growth; of equals the seam decides, by a tenth


def main(folder: Path) -> None:
    """Paints all, and prints a table and the figures as JSON."""
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in _WAYS}
    with BackgroundGenerator.load("nano") as generator:
        photos = list(truths(folder))
        chosen = photos[:: max(1, len(photos) // _PHOTOS)][:_PHOTOS]
        for number, truth in enumerate(tqdm(chosen)):
            prompts = [_PROMPTS[(number * _PROMPTS_EACH + i) % len(_PROMPTS)] for i in range(_PROMPTS_EACH)]
            for name, figures in _painted(generator, truth, prompts):
                rows[name].append(figures)
    base = np.array(rows["as it is"])
    click.echo("| | growth | over .05 | seam | better | worse |\n|---|---|---|---|---|---|")
    for name, figures in rows.items():
        better, worse = _compared(base, np.array(figures))
        growth, edge = np.array(figures).T
        click.echo(
            f"| {name} | {growth.mean():.3f} | {np.mean(growth > 0.05):.0%} | {edge.mean():.1f} "
            f"| {better:.0%} | {worse:.0%} |"
        )
    click.echo(json.dumps({"pictures": len(base), "ways": rows}), err=True)


def _painted(generator: BackgroundGenerator, truth: Truth, prompts: list[str]) -> Iterator[tuple[str, Any]]:
    native, multiple = generator.folder.native_size, generator.folder.size_multiple
    scenes: dict[float, Any] = {}
    for name, (share, options) in _WAYS.items():
        if share not in scenes:
            size = round(native * share / multiple) * multiple
            scenes[share] = generator.prepare(truth.rgb, mask=truth.alpha, size=size)
        for prompt in prompts:
            result = generator.generate(scenes[share], prompt, **{"seed": 0, **options})  # type: ignore[arg-type]
            yield name, (object_extension(result), seam(result))


def _compared(base: Any, other: Any) -> tuple[float, float]:
    """The share of pictures that another way made better, and worse: by growth, and of equals by the seam."""
    growth, edge = (other - base).T
    is_equal = np.abs(growth) < _MATTERS
    by_edge = edge / base[:, 1]
    better = np.where(is_equal, by_edge < -0.1, growth < 0)
    worse = np.where(is_equal, by_edge > 0.1, growth > 0)
    return float(better.mean()), float(worse.mean())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
