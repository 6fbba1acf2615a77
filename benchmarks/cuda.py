"""`python -m cyclorama.benchmarks.cuda`: does CUDA paint what the CPU paints, in which type, and how fast?

For an hour with a GPU: it makes what it needs (torch, the extra `export`), fetches nothing, and prints one JSON object.
Seconds are medians of five with the least and the most. `--device cpu` tries the script where there is no GPU.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnxruntime as ort

from cyclorama import BackgroundGenerator, load_photo
from cyclorama.benchmarks.shapes import Folders
from cyclorama.engine.backends import ONNX_FILE, open_session, random_feeds
from cyclorama.engine.machine import cpu_name
from cyclorama.engine.options import SAMPLERS, Device
from cyclorama.export import export_checkpoint
from cyclorama.models.store import writable_home

_ROUNDS = 5
_SAMPLES = Path(__file__).resolve().parents[1] / "export" / "calibration_set"
_PROMPT = "a sandy beach at sunset"


@click.command(help=__doc__)
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--nano-only", is_flag=True, help="Leave out SD1.5's shapes, whose checkpoint and export take minutes.")
@click.option("--photo", type=click.Path(path_type=Path, exists=True), help="Default: one of the calibration's.")
def main(device: Device, nano_only: bool, photo: Path | None) -> None:
    """Prints what was found."""
    photo = photo or min(_SAMPLES.glob("*.jpg"))
    found: dict[str, Any] = {
        "card": _card(), "cpu": cpu_name(), "onnxruntime": ort.__version__, "providers": ort.get_available_providers(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        half = export_checkpoint("nano", Path(scratch) / "nano", format="onnx", for_cuda=True, name="nano")
        found["nano_psnr_against_the_cpu"] = {
            "float32": _parity("nano", device, photo), "half": _parity(half, device, photo),
        }  # fmt: skip
        found["nano"] = _timed(half, device, photo)
        if not nano_only:
            sd15 = Folders(writable_home() / "benchmark" / "sd15", lambda told: click.echo(told, err=True)).for_cuda
            found["sd15_shapes"] = _timed(sd15, device, photo)
            found["sd15_unet_kernels"] = _kernels(sd15 / "unet" / ONNX_FILE, device, Path(scratch))
            found["sd15_unet_step"] = {
                provider: _step(sd15 / "unet" / ONNX_FILE, provider)
                for provider in ort.get_available_providers()
                if provider.startswith(("CUDA", "Tensorrt")) or (device == "cpu" and provider.startswith("CPU"))
            }
    click.echo(json.dumps(found, indent=1))


def _card() -> str | None:
    words = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return _said(words)


def _said(words: Sequence[str]) -> str | None:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None


def _parity(model: str | Path, device: Device, photo: Path) -> dict[str, float]:
    """Decibels between nano in float32 on the CPU and a model on the device, by the same noise, for each sampler."""
    generators = [
        BackgroundGenerator.load("nano", backend="onnx"), BackgroundGenerator.load(model, backend="onnx", device=device)
    ]  # fmt: skip
    scenes = [generator.prepare(photo) for generator in generators]
    found: dict[str, float] = {}
    for sampler in SAMPLERS:
        one, other = (
            np.asarray(generator.generate(scene, _PROMPT, sampler=sampler, seed=0).image, np.float64)
            for generator, scene in zip(generators, scenes, strict=True)
        )
        found[sampler] = round(10 * float(np.log10(255**2 / max(float(np.mean((one - other) ** 2)), 1e-10))), 1)
    return found


def _timed(folder: Path, device: Device, photo: Path) -> dict[str, Any]:
    """From a photo's file to a picture, and a denoising step of 20; memory that the card's processes take."""
    start = time.perf_counter()
    generator = BackgroundGenerator.load(folder, backend="onnx", device=device)
    loaded, whole, steps = time.perf_counter() - start, [], []
    for _ in range(1 + _ROUNDS):
        start = time.perf_counter()
        result = generator.generate(generator.prepare(load_photo(photo)), _PROMPT, num_inference_steps=20, seed=0)
        result.encode("png")
        whole.append(time.perf_counter() - start)
        steps.append(result.seconds["denoise"] / 20)
    return {
        "load": round(loaded, 2), "first": round(whole[0], 2),
        "picture": _spread(whole[1:]), "step": _spread(steps[1:]),
        "memory": _said(["nvidia-smi", "--query-compute-apps=used_memory", "--format=csv,noheader"]),
    }  # fmt: skip


def _kernels(path: Path, device: Device, scratch: Path) -> dict[str, float]:
    """Milliseconds of one run, by provider and by the type of what a kernel gives."""
    options = ort.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(scratch / "profile")
    session = ort.InferenceSession(path, options, providers=_providers(device))
    feeds = _feeds(path)
    session.run(None, feeds)
    file = Path(session.end_profiling())
    spent: Counter[str] = Counter()
    for provider, kind, microseconds in _events(file):
        spent[f"{provider}, {kind}"] += microseconds
    return {name: round(value / 1000, 1) for name, value in spent.most_common()}


def _events(file: Path) -> Iterator[tuple[str, str, int]]:
    for event in json.loads(file.read_text()):
        about = event.get("args", {})
        if event.get("cat") == "Node" and "provider" in about:
            kinds = {kind for output in about.get("output_type_shape", ()) for kind in output}
            yield about["provider"], "/".join(sorted(kinds)), event["dur"]


def _step(path: Path, provider: str) -> dict[str, Any] | str:
    try:
        session = ort.InferenceSession(path, providers=[provider, "CPUExecutionProvider"])
        if session.get_providers()[0] != provider:
            return f"{provider} did not start"
        feeds, seconds = _feeds(path), []
        for _ in range(1 + _ROUNDS):
            start = time.perf_counter()
            session.run(None, feeds)
            seconds.append(time.perf_counter() - start)
    except Exception as error:  # ONNX Runtime's own have no common base
        return " ".join(str(error).split())[:200]
    return _spread(seconds[1:])


def _feeds(path: Path) -> dict[str, Any]:
    session = open_session(path, "onnx")
    return {name: np.asarray(value) for name, value in random_feeds(session, size=64, tokens=77).items()}


def _providers(device: Device) -> list[str]:
    return (["CUDAExecutionProvider"] if device == "cuda" else []) + ["CPUExecutionProvider"]


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(seconds)), 4), "min": round(min(seconds), 4), "max": round(max(seconds), 4)}


if __name__ == "__main__":
    main()
