"""Hundreds of requests to one process: what grows? `python -m tests.reliability.soak [--plot FILE.png]`.

A mix of sizes, options, errors and cancelled jobs goes to `cyclorama serve`, and another to the engine in one Python
process. A finding is memory that grows by more than 2 % after the first tenth, or a descriptor, a thread or a temporary
file that stays.
"""

from __future__ import annotations

import io
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import click
import httpx
import psutil
from PIL import Image

from cyclorama import BackgroundGenerator, CycloramaError, load_photo
from tests.conftest import PHOTOS, ROOT

_SERVED, _CALLED = 600, 300
_NAMES = ("cat", "coffee", "astronaut", "bowl", "drum")


@dataclass(frozen=True)
class State:
    """Of a process: resident bytes, open descriptors, threads, files in its folder of temporary ones."""

    memory: int
    descriptors: int
    threads: int
    files: int

    @classmethod
    def of(cls, process: psutil.Process, scratch: Path) -> State:
        """As it is now."""
        files = sum(path.is_file() for path in scratch.rglob("*"))
        return cls(process.memory_info().rss, process.num_fds(), process.num_threads(), files)


def is_ready(port: int) -> bool:
    """Whether a server answers there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _photo(chance: random.Random) -> bytes:
    with Image.open(PHOTOS / f"{chance.choice(_NAMES)}.jpg") as photo, io.BytesIO() as file:
        side = chance.choice((160, 320, 640, 1200))
        photo.resize((side, round(side * chance.choice((0.75, 1, 1.5))))).save(file, "jpeg")
        return file.getvalue()


def served(count: int, seed: int, scratch: Path) -> Iterator[State]:
    """What `cyclorama serve` is after each request."""
    environment = {**os.environ, "CYCLORAMA_HOME": str(scratch / "home"), "TMPDIR": str(scratch / "tmp")}
    (scratch / "tmp").mkdir()
    port = 18_000 + seed % 1000
    words = [sys.executable, "-m", "cyclorama", "serve", "--no-page", "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT)
    try:
        while not is_ready(port):
            time.sleep(0.1)
        process, chance = psutil.Process(server.pid), random.Random(seed)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=120) as client:
            for _ in range(count):
                _asked(client, chance)
                yield State.of(process, scratch / "tmp")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def _asked(client: httpx.Client, chance: random.Random) -> None:
    files = {"image": _photo(chance)}
    fields = {
        "prompt": "a sandy beach", "num_inference_steps": str(chance.choice((1, 4))),
        "working_size": str(chance.choice((64, 128, 256))), "output_format": chance.choice(("png", "jpeg", "webp")),
    }  # fmt: skip
    what = chance.random()
    if what < 0.5:
        answer = client.post("/images/edits", files=files, data=fields)
    elif what < 0.65:
        answer = client.post("/masks", files=files)
    elif what < 0.75:
        answer = client.post("/images/edits", files=files, data={**fields, "canvas": "square", "shadow": "true"})
    elif what < 0.9:
        answer = client.post("/images/edits", files={"image": chance.randbytes(500)}, data=fields)
        assert answer.status_code == 400
        return
    else:
        answer = client.post("/jobs", files=files, data={**fields, "num_inference_steps": "100"})
        time.sleep(chance.uniform(0, 0.3))
        answer = client.delete(f"/jobs/{answer.json()['id']}")
    assert answer.status_code < 400 or answer.json()["error"]["code"] == "no_subject", answer.text


def called(count: int, seed: int, scratch: Path) -> Iterator[State]:
    """What a Python process is after each picture."""
    process, chance = psutil.Process(), random.Random(seed)
    with BackgroundGenerator.load("nano") as generator:
        for _ in range(count):
            cancelled = Event()
            try:
                data = _photo(chance) if chance.random() < 0.85 else chance.randbytes(500)
                scene = generator.prepare(load_photo(data), size=chance.choice((64, 128, 256)))
                for progress in generator.paint(scene, "a sandy beach", num_inference_steps=4, cancelled=cancelled):
                    if chance.random() < 0.05:
                        cancelled.set()
                    if progress.result is not None:
                        progress.result.encode(chance.choice(("png", "jpeg", "webp")))
            except CycloramaError:
                continue
            finally:
                yield State.of(process, scratch)


def wrong(states: list[State]) -> list[str]:
    """What grew after the first tenth: medians of the second tenth against those of the last."""
    tenth = len(states) // 10
    early, late = states[tenth : 2 * tenth], states[-tenth:]
    findings = []
    for name in ("memory", "descriptors", "threads", "files"):
        before, after = (statistics.median(getattr(state, name) for state in part) for part in (early, late))
        if after > before * (1.02 if name == "memory" else 1):
            findings.append(f"{name}: {before:g} to {after:g}")
    return findings


_TRIALS: dict[str, tuple[Callable[[int, int, Path], Iterator[State]], int]] = {
    "serve": (served, _SERVED), "one Python process": (called, _CALLED),
}  # fmt: skip


@click.command()
@click.option("--seed", default=0, show_default=True)
@click.option("--share", default=1.0, show_default=True, help="Of the requests, for a shorter look.")
@click.option("--plot", type=click.Path(path_type=Path), help="Memory after each request, as a picture.")
def main(seed: int, share: float, plot: Path | None) -> None:
    """Ask, watch, and print a table in Markdown. Ends with 1 where there are findings."""
    click.echo("| | requests | memory after a tenth, at the end | descriptors | threads | files | findings |")
    click.echo("|---|---|---|---|---|---|---|")
    curves, found = {}, []
    for name, (trial, usual) in _TRIALS.items():
        count = max(20, round(usual * share))
        with tempfile.TemporaryDirectory(prefix="cyclorama-soak-") as folder:
            states = list(trial(count, seed, Path(folder)))
        findings = wrong(states)
        found += [f"{name}: {told}" for told in findings]
        curves[name] = [state.memory / 1e6 for state in states]
        first, last = states[count // 10], states[-1]
        click.echo(
            f"| {name} | {count} | {first.memory / 1e6:.0f} MB, {last.memory / 1e6:.0f} MB | {first.descriptors}, "
            f"{last.descriptors} | {first.threads}, {last.threads} | {first.files}, {last.files} | {len(findings)} |"
        )
    if plot:
        _plotted(curves, plot)
    for told in found:
        click.echo(told, err=True)
    sys.exit(bool(found))


def _plotted(curves: dict[str, list[float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    for name, values in curves.items():
        axes.plot(range(1, len(values) + 1), values, label=name)
    axes.set(xlabel="requests", ylabel="resident memory, MB", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
