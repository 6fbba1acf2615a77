"""A training's state on disk, so that a kill costs minutes and not hours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def save(path: Path, step: int, **parts: Any) -> None:
    """Writes the step and the state of everything named, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    torch.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}}, unfinished)
    unfinished.rename(path)


def resume(path: Path, device: str = "cpu", **parts: Any) -> int:
    """Loads what `save` wrote into everything named; the step to go on from, 0 where there is nothing."""
    if not path.exists():
        return 0
    saved = torch.load(path, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return int(saved["step"])
