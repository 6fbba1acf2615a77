"""Does the exported network compute what PyTorch computes?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cyclorama.engine.backends import Session, Tensor, random_feeds
from cyclorama.export.errors import ExportFailed
from cyclorama.export.trace import Stored

# Largest error over the largest value, per component. fp16 weights carry 3 decimal digits.
TOLERANCE: dict[Stored, float] = {"fp32": 1e-3, "fp16": 2e-2}


@dataclass(frozen=True)
class Reference:
    """What PyTorch makes of random inputs, one array per output."""

    feeds: dict[str, Tensor]
    expected: list[NDArray[np.float32]]

    @classmethod
    def of(cls, network: Any, session: Session, size: int) -> Reference:
        """session: the exported network, whose inputs are wanted.  size: height and width of what goes in."""
        feeds = random_feeds(session, size=size, batch=2)
        if "input_ids" in feeds:
            feeds["input_ids"] = np.asarray(feeds["input_ids"]) % int(network.config.vocab_size)
        with torch.no_grad():
            outputs = network(**{name: torch.from_numpy(np.asarray(value)) for name, value in feeds.items()})
        values = list(outputs.values()) if hasattr(outputs, "values") else [outputs[0]]
        return cls(feeds, [np.asarray(value.numpy(), np.float32) for value in values])

    def relative_error(self, session: Session) -> float:
        """max |exported - PyTorch| / max |PyTorch|, worst of the outputs; NaN where one is not finite."""
        worst = 0.0
        for got, wanted in self._outputs(session):
            if not (np.isfinite(got).all() and np.isfinite(wanted).all()):
                return float("nan")
            worst = max(worst, float(np.abs(got - wanted).max() / max(float(np.abs(wanted).max()), 1e-12)))
        return worst

    def psnr(self, session: Session) -> float:
        """Decibels, worst of the outputs; the peak is the largest value that PyTorch gives. NaN as above."""
        decibels = 200.0
        for got, wanted in self._outputs(session):
            error = float(np.mean((got.astype(np.float64) - wanted) ** 2))
            peak = float(np.abs(wanted).max())
            if not np.isfinite(error + peak):
                return float("nan")
            decibels = min(decibels, 10 * float(np.log10(max(peak, 1e-12) ** 2 / max(error, 1e-30))))
        return decibels

    def _outputs(self, session: Session) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """What the session gives, and what PyTorch does."""
        for (name, tensor), wanted in zip(session.run(self.feeds).items(), self.expected, strict=True):
            got = np.asarray(tensor, np.float32)
            if got.shape != wanted.shape:
                raise ExportFailed(f"the export gives {name} of shape {got.shape}, PyTorch {wanted.shape}")
            yield got, wanted


def check(component: str, error: float, precision: Stored) -> None:
    """Raises ExportFailed when an error is above the precision's tolerance, or no number."""
    if np.isnan(error):
        raise ExportFailed(f"the {component} gives values that are not finite; are its weights or a LoRA damaged?")
    if error > TOLERANCE[precision]:
        raise ExportFailed(
            f"the exported {component} is off by {error:.2g} of its range against PyTorch, more than the "
            f"{TOLERANCE[precision]:g} allowed for {precision}; nothing was kept. Please report this checkpoint"
        )
