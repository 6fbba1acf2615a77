"""How good masks are: ours beside what rembg gives with the same network, on photos whose subject is known."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks import cutouts
from benchmarks.cutouts import Cutout
from engine import NoSubject
from engine.mask_networks import mask_network
from engine.photo import Pixels
from engine.subject import Hints, find_subject

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Errors:
    """How far an alpha is from the truth.

    mae, band: mean absolute error over the photo, and over the unknown band (`Cutout.band`), 0 to 1.  iou: of what is
    more than half subject.
    """

    mae: float
    iou: float
    band: float


def errors(cutout: Cutout, alpha: Pixels) -> Errors:
    """The errors of an alpha (H, W) for a cut-out."""
    off = np.abs(alpha.astype(np.float32) - cutout.alpha) / 255
    ours, truth = alpha > 127, cutout.alpha > 127
    return Errors(
        float(off.mean()),
        float((ours & truth).sum() / max(1, (ours | truth).sum())),
        float(off[cutout.band].mean()),
    )


def plain(rgb: Pixels, mask_model: str) -> Pixels:
    """The mask as rembg gives it: the network once, stretched to 0..255, enlarged."""
    image = Image.fromarray(rgb)
    confidence = mask_network(mask_model).confidence(image)
    low, high = float(confidence.min()), float(confidence.max())
    stretched = ((confidence - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(stretched).resize(image.size, Image.Resampling.LANCZOS))


WAYS: dict[str, Callable[[Cutout, str], Pixels]] = {
    "as rembg gives it": lambda cutout, model: plain(cutout.photo, model),
    "ours": lambda cutout, model: find_subject(cutout.photo, model),
    "ours, with a box": lambda cutout, model: find_subject(cutout.photo, model, Hints(cutout.box)),
}


def measure(mask_models: Sequence[str], progress: Progress, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """A row for each mask model and way of using it: means over the test set, the worst IoU, and median seconds.

    names: of the cut-outs; None: all. Raises DownloadFailed, and what a mask model raises.
    """
    chosen = list(names or cutouts.names())
    found: dict[tuple[str, str], list[tuple[Errors, float]]] = {}
    for model in mask_models:
        plain(cutouts.load(chosen[0]).photo, model)  # loaded, and warm
    for number, name in enumerate(chosen):
        progress(f"masks: {number + 1} of {len(chosen)}")
        cutout = cutouts.load(name)
        for model in mask_models:
            for way, find in WAYS.items():
                start = time.perf_counter()
                try:
                    alpha = find(cutout, model)
                except NoSubject:
                    alpha = np.zeros(cutout.alpha.shape, np.uint8)
                seconds = time.perf_counter() - start
                found.setdefault((model, way), []).append((errors(cutout, alpha), seconds))
    return [_row(model, way, results) for (model, way), results in found.items()]


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
