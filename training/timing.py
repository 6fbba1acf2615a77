"""Seconds that a model takes on this machine, through the engine as it ships."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cyclorama import BackgroundGenerator
from cyclorama.engine.backends import open_session
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.models.store import named_or_folder

_SIDE = 256


def _seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """One run to warm up, then `repeats` that count."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def unet_forward(model: str | Path, repeats: int = 30) -> list[float]:
    """Seconds of single UNet forwards, batch 1, at 256x256."""
    generator = BackgroundGenerator.load(named_or_folder(model))
    folder: ModelFolder = generator.folder
    session = open_session(folder.component("unet", generator.backend), generator.backend)
    rng = np.random.default_rng(0)
    width = int(folder.unet_config["cross_attention_dim"])
    feeds = {
        "sample": rng.standard_normal((1, 9, _SIDE // 8, _SIDE // 8), np.float32),
        "timestep": np.full([1] * len(session.inputs["timestep"].shape), 500, session.inputs["timestep"].dtype),
        "encoder_hidden_states": rng.standard_normal((1, 32, width), np.float32),
    }
    return _seconds(lambda: session.run(feeds), repeats)


def whole_picture(model: str | Path, repeats: int = 5) -> list[float]:
    """Seconds from a prompt to the finished picture at 256x256 by the model's own preset; the mask is there already."""
    generator = BackgroundGenerator.load(named_or_folder(model))
    rng = np.random.default_rng(0)
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    mask[64:, 64:192] = 255
    scene = generator.prepare(rng.integers(0, 256, (_SIDE, _SIDE, 3), np.uint8), mask=mask, size=_SIDE)
    return _seconds(lambda: generator.generate(scene, "a sandy beach at sunset", seed=0), repeats)
