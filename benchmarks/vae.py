"""`python -m cyclorama.benchmarks.vae`: SD1.5's VAE as optimum-intel exports it, as we do, and in int8.

Random weights, 512x512, each network on all cores by turns; seconds are medians of five, with the least and the most.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np

from cyclorama.benchmarks.shapes import Folders
from cyclorama.engine.arrays import Array
from cyclorama.engine.backends import OPENVINO_FILE, open_session
from cyclorama.engine.machine import cpu_features, cpu_name
from cyclorama.models.store import writable_home

_ROUNDS = 5
_FED = {"vae_encoder": ("sample", (1, 3, 512, 512)), "vae_decoder": ("latent_sample", (1, 4, 64, 64))}


@click.command(help=__doc__)
def main() -> None:
    """Prints a table."""
    folders = Folders(writable_home() / "benchmark" / "sd15", lambda stage: click.echo(f"{stage} ...", err=True))
    kinds = {"optimum-intel's": folders.peers, "ours, fp16": folders.fp16, "ours, int8": folders.int8}
    click.echo(f"{cpu_name()}, {', '.join(cpu_features())}\n")
    click.echo("|  | " + " | ".join(kinds) + " |\n| --- |" + " --- |" * len(kinds))
    for half in _FED:
        for name, is_exact in (("bf16 where the CPU has it", False), ("float32", True)):
            cells = _timed(half, kinds, is_exact)
            click.echo(f"| {half}, {name} for what is not int8 | " + " | ".join(cells) + " |")


def _timed(half: str, kinds: dict[str, Path], is_exact: bool) -> list[str]:
    name, shape = _FED[half]
    fed = {name: np.random.default_rng(0).standard_normal(shape, np.float32)}
    sessions = [open_session(folder / half / OPENVINO_FILE, "openvino", exact=is_exact) for folder in kinds.values()]
    seconds: list[list[float]] = [[] for _ in sessions]
    outputs: list[Array] = [np.asarray(next(iter(session.run(fed).values()))) for session in sessions]  # and compile
    for _ in range(_ROUNDS):
        for session, taken in zip(sessions, seconds, strict=True):
            start = time.perf_counter()
            session.run(fed)
            taken.append(time.perf_counter() - start)
    cells = []
    for output, taken in zip(outputs, seconds, strict=True):
        error = float(np.mean((output - outputs[0]) ** 2))
        decibels = f", {10 * np.log10(np.ptp(outputs[0]) ** 2 / error):.0f} dB" if error else ""
        cells.append(f"{np.median(taken):.2f} s ({min(taken):.2f} to {max(taken):.2f}){decibels}")
    return cells


if __name__ == "__main__":
    main()
