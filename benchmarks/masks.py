"""Masks, edges and growth, on photos whose subject is known: ours beside what rembg gives with the same network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama import BackgroundGenerator, NoSubject
from cyclorama.benchmarks import cutouts
from cyclorama.benchmarks.cutouts import Composite
from cyclorama.engine.arrays import Pixels
from cyclorama.engine.compositing.composite import composite
from cyclorama.engine.growth import best, object_extension
from cyclorama.engine.matting.foreground import foreground_colours
from cyclorama.engine.matting.hints import Hints
from cyclorama.engine.matting.networks import mask_network
from cyclorama.engine.matting.subject import find_subject
from cyclorama.engine.options import MaskModel

Progress = Callable[[str], None]

PROMPTS = (
    "a sandy beach at sunset",
    "green leaves with soft light",
    "plain blue studio backdrop",
    "city lights at night",
    "snowy mountains under a blue sky",
    "on a wooden table in a cafe",
    "red brick wall",
    "white marble",
    "golden bokeh lights",
    "cozy living room",
)
_ATTEMPTS = 3  # that the best is taken of


@dataclass(frozen=True)
class Errors:
    """How far an alpha is from the truth.

    mae, band: mean absolute error over the photo, and in its unknown band (`Composite.band`).  iou: of what is
    more than half subject.
    """

    mae: float
    iou: float
    band: float


def errors(cutout: Composite, alpha: Pixels) -> Errors:
    """The errors of an alpha (H, W) for a cut-out."""
    off = np.abs(alpha.astype(np.float32) - cutout.alpha) / 255
    ours, truth = alpha > 127, cutout.alpha > 127
    return Errors(
        float(off.mean()),
        float((ours & truth).sum() / max(1, (ours | truth).sum())),
        float(off[cutout.band].mean()),
    )


def plain(rgb: Pixels, mask_model: MaskModel) -> Pixels:
    """The mask as rembg gives it: the network once, stretched to 0..255, enlarged."""
    image = Image.fromarray(rgb)
    confidence = mask_network(mask_model).confidence(image)
    low, high = float(confidence.min()), float(confidence.max())
    stretched = ((confidence - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(stretched).resize(image.size, Image.Resampling.LANCZOS))


WAYS: dict[str, Callable[[Composite, str], Pixels]] = {
    "as rembg gives it": lambda cutout, model: plain(cutout.photo, model),
    "ours": lambda cutout, model: find_subject(cutout.photo, model),
    "ours, with a box": lambda cutout, model: find_subject(cutout.photo, model, Hints(cutout.box)),
}


def measure(mask_models: Sequence[str], progress: Progress, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Over the test set, or the named cut-outs of it: masks, edges and extension.

    masks: a row for each mask model and way of using it, with the means of the errors, the worst IoU and the median
    seconds.  edges: see `edge_errors`.  extension: what nano's pictures grew by, by the default preset.
    Raises DownloadFailed, and what a mask model raises.
    """
    chosen = list(names or cutouts.names())
    rows = []
    for model in mask_models:
        plain(cutouts.load(chosen[0]).photo, model)  # loaded, and warm
        found: dict[str, list[tuple[Errors, float]]] = {way: [] for way in WAYS}
        for number, name in enumerate(chosen):
            progress(f"masks of {model}: {number + 1} of {len(chosen)}")
            cutout = cutouts.load(name)
            for way, find in WAYS.items():
                start = time.perf_counter()
                try:
                    alpha = find(cutout, model)
                except NoSubject:
                    alpha = np.zeros(cutout.alpha.shape, np.uint8)
                seconds = time.perf_counter() - start
                found[way].append((errors(cutout, alpha), seconds))
        rows += [_row(model, way, results) for way, results in found.items()]
    generator = BackgroundGenerator.load("nano")
    colours: list[dict[str, float]] = []
    single: list[float] = []
    best_of: list[float] = []
    for number, name in enumerate(chosen):
        progress(f"edges and extension: {number + 1} of {len(chosen)}")
        cutout = cutouts.load(name)
        colours.append(edge_errors(cutout, cutouts.load(chosen[(number + 1) % len(chosen)]).background))
        try:
            scene = generator.prepare(cutout.photo)
        except NoSubject:
            continue
        prompt = PROMPTS[number % len(PROMPTS)]
        painted = [generator.generate(scene, prompt, seed=seed) for seed in range(_ATTEMPTS)]
        single.append(object_extension(painted[0]))
        best_of.append(object_extension(best(painted)))
    return {
        "masks": rows,
        "edges": {kind: statistics.mean(one[kind] for one in colours) for kind in colours[0]},
        "extension": {
            "photos": len(single),
            "single": statistics.mean(single),
            "single_median": statistics.median(single),
            f"best_of_{_ATTEMPTS}": statistics.mean(best_of),
        },
    }


def edge_errors(cutout: Composite, background: Pixels) -> dict[str, float]:
    """Mean absolute error in the unknown band, in grey levels, of the cut-out on another background.

    By its true alpha and by ours, of u2netp; with the photo's own colours, as plain pasting has them, and with the
    subject's.
    """
    height, width = cutout.alpha.shape
    other = np.asarray(Image.fromarray(background).resize((width, height), Image.Resampling.LANCZOS))
    truth = composite(cutout.foreground, cutout.alpha, other).astype(np.int16)
    try:
        found = find_subject(cutout.photo)
    except NoSubject:
        found = np.zeros(cutout.alpha.shape, np.uint8)
    result = {}
    for name, alpha in (("true", cutout.alpha), ("our", found)):
        for kind, colours in (("pasted", cutout.photo), ("estimated", foreground_colours(cutout.photo, alpha))):
            off = np.abs(composite(colours, alpha, other) - truth)[cutout.band]
            result[f"{name} alpha, {kind} colours"] = float(off.mean())
    return result


def _row(model: str, way: str, results: list[tuple[Errors, float]]) -> dict[str, Any]:
    every: npt.NDArray[np.float64] = np.array([list(asdict(one).values()) for one, _ in results])
    return {
        "model": model,
        "way": way,
        "photos": len(results),
        **dict(zip(asdict(results[0][0]), every.mean(0).tolist(), strict=True)),
        "worst_iou": float(every[:, 1].min()),
        "seconds": statistics.median(seconds for _, seconds in results),
    }
