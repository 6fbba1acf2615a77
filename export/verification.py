"""Does the exported network compute what PyTorch computes?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.backends import open_session, random_feeds
from export.errors import ExportFailed
from export.request import Format
from export.trace import Stored

# Largest error over the largest value, per component. fp16 weights carry 3 decimal digits.
TOLERANCE: dict[Stored, float] = {"fp32": 1e-3, "fp16": 2e-2}


def relative_error(network: Any, path: Path, format: Format, size: int) -> float:
    """Runs both on the same random inputs; max |exported - PyTorch| / max |PyTorch|, worst of the outputs.

    NaN when either gives a value that is not finite.
    size: height and width of the images or latents that go in.
    """
    session = open_session(path, format)
    feeds = random_feeds(session, size=size, batch=2)
    if "input_ids" in feeds:
        feeds["input_ids"] = np.asarray(feeds["input_ids"]) % int(network.config.vocab_size)
    with torch.no_grad():
        reference = network(**{name: torch.from_numpy(np.asarray(value)) for name, value in feeds.items()})
    expected = list(reference.values()) if hasattr(reference, "values") else [reference[0]]
    actual = session.run(feeds)
    worst = 0.0
    for name, want in zip(actual, expected, strict=True):
        wanted = want.numpy()
        got = np.asarray(actual[name], np.float32)
        if got.shape != wanted.shape:
            raise ExportFailed(f"{path.parent.name} gives {name} of shape {got.shape}, PyTorch {wanted.shape}")
        if not (np.isfinite(got).all() and np.isfinite(wanted).all()):
            return float("nan")
        worst = max(worst, float(np.abs(got - wanted).max() / max(float(np.abs(wanted).max()), 1e-12)))
    return worst


def check(component: str, error: float, precision: Stored) -> None:
    """Raises ExportFailed when an error is above the precision's tolerance, or no number."""
    if np.isnan(error):
        raise ExportFailed(f"the {component} gives values that are not finite; are its weights or a LoRA damaged?")
    if error > TOLERANCE[precision]:
        raise ExportFailed(
            f"the exported {component} is off by {error:.2g} of its range against PyTorch, more than the "
            f"{TOLERANCE[precision]:g} allowed for {precision}; nothing was kept. Please report this checkpoint"
        )
