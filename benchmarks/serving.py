"""What serving costs over the same work in Python, and how a server holds up: `cyclorama benchmark --serve`."""

from __future__ import annotations

import io
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image

from cyclorama import BackgroundGenerator, load_photo

Progress = Callable[[str], None]

_PROMPT = "a sandy beach at sunset"
_STEPS = 4
_SIZES = {"2 megapixels": (1732, 1155), "12 megapixels": (4242, 2828)}
_ROUNDS = 7
_CLIENTS = (1, 4, 16)
_REQUESTS = 32  # for each number of clients
_IN_A_ROW = 300
_FIRST = 100  # of these, after which memory is looked at
_SMALL = (451, 300)


def measure_serving(progress: Progress) -> dict[str, Any]:
    """Seconds over Python per photo size, throughput by clients, memory over many requests, and the health page's.

    nano with few steps, so that what serving adds is not lost in the painting. Each photo is another one, so nothing
    that is kept helps.
    """
    with server("--no-page", "--queue", "64") as (client, process), BackgroundGenerator.load("nano") as generator:
        photos = new_photos()
        overhead = {}
        for name, size in _SIZES.items():
            sides: dict[str, list[float]] = {"python": [], "http": []}
            for number in range(_ROUNDS + 1):  # the first warms up
                progress(f"{name}: {number} of {_ROUNDS}")
                data = photos(size)
                sides["python"].append(_seconds(partial(_in_python, generator, data)))
                sides["http"].append(_seconds(partial(_ask, client, data)))
            python, http = (np.array(seconds[1:]) for seconds in sides.values())
            overhead[name] = {
                "python": float(np.median(python)), "http": float(np.median(http)),
                "added": float(np.median(http - python)), "spread": np.quantile(http - python, (0.25, 0.75)).tolist(),
            }  # fmt: skip
        clients = []
        for count in _CLIENTS:
            progress(f"{count} clients")
            clients.append(_by_clients(client, photos, count))
        memory = []
        for number in range(_IN_A_ROW):
            if number % 50 == 0:
                progress(f"in a row: {number} of {_IN_A_ROW}")
            _ask(client, photos(_SMALL))
            memory.append(process.memory_info().rss)
    return {
        "steps": _STEPS, "overhead": overhead, "clients": clients, "in_a_row": _IN_A_ROW,
        "memory": [memory[0], memory[_FIRST], memory[-1]], "growth": memory[-1] / memory[_FIRST] - 1,
    }  # fmt: skip


def serving_tables(figures: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    rows = ["| photo | in Python | over HTTP | added, median (quartiles) |", "|---|---|---|---|"]
    for name, row in figures["overhead"].items():
        added, low, high = (f"{1000 * value:.0f}" for value in (row["added"], *row["spread"]))
        rows.append(f"| {name} | {row['python']:.2f} s | {row['http']:.2f} s | {added} ms ({low} to {high}) |")
    rows += ["", "| clients | pictures a second | p50 | p95 | refused | health, p99 |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {row['clients']} | {row['rate']:.2f} | {row['p50']:.2f} s | {row['p95']:.2f} s | {row['refused']} | "
        f"{1000 * row['health_p99']:.0f} ms |"
        for row in figures["clients"]
    ]
    first, warm, last = (value / 1e6 for value in figures["memory"])
    rows += [
        "",
        f"{figures['in_a_row']} pictures in a row: {first:.0f} MB after the first, {warm:.0f} after {_FIRST}, "
        f"{last:.0f} after all ({figures['growth']:+.1%} since).",
    ]
    return "\n".join(rows)


@contextmanager
def server(*words: str, **variables: str) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """`cyclorama serve` with the embedded model in a process of its own, with these words and environment variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cyclorama", "serve", "--port", str(port), *words]
    environment = {name: value for name, value in os.environ.items() if name != "CYCLORAMA_TOKENS"} | variables
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600)
        try:
            while True:
                try:
                    client.get("/readyz").raise_for_status()
                    break
                except httpx.TransportError:
                    if process.poll() is not None:
                        raise
                    time.sleep(0.1)
            yield client, psutil.Process(process.pid)
        finally:
            client.close()
            process.terminate()


def new_photos() -> Callable[[tuple[int, int]], bytes]:
    """Makes photos of a size as JPEG, no two alike: a cup before noise of another seed each time."""
    with Image.open(Path(__file__).resolve().parent.parent / "docs" / "photos" / "coffee.jpg") as image:
        cup = image.convert("RGB")
    number = 0

    def made(size: tuple[int, int]) -> bytes:
        nonlocal number
        number += 1
        shown = cup.resize(size)
        shown.putpixel((0, 0), (number % 256, number // 256, 0))
        with io.BytesIO() as file:
            shown.save(file, "jpeg", quality=92, comment=f"{number}".encode())
            return file.getvalue()

    return made


def _in_python(generator: BackgroundGenerator, data: bytes) -> bytes:
    scene = generator.prepare(load_photo(data))
    return generator.generate(scene, _PROMPT, num_inference_steps=_STEPS, seed=1).encode("png")


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _ask(client: httpx.Client, data: bytes) -> httpx.Response:
    answer = client.post(
        "/v1/images/edits", files={"image": data},
        data={"prompt": _PROMPT, "num_inference_steps": str(_STEPS), "seed": "1"},
    )  # fmt: skip
    if answer.status_code != 429:
        answer.raise_for_status()
    return answer


def _by_clients(client: httpx.Client, photos: Callable[[tuple[int, int]], bytes], count: int) -> dict[str, Any]:
    given = [photos(_SMALL) for _ in range(_REQUESTS)]
    health: list[float] = []

    def ask(data: bytes) -> tuple[float, int]:
        start = time.perf_counter()
        status = _ask(client, data).status_code
        return time.perf_counter() - start, status

    start = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(ask, data) for data in given]
        while not all(one.done() for one in asked):
            health.append(_seconds(partial(client.get, "/healthz")))
            time.sleep(0.05)
    wall = time.perf_counter() - start
    done = [seconds for seconds, status in (one.result() for one in asked) if status == 200]
    return {
        "clients": count, "rate": len(done) / wall, "p50": statistics.median(done), "p95": _quantile(done, 0.95),
        "refused": len(given) - len(done), "health_p99": _quantile(health, 0.99),
    }  # fmt: skip


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share))
