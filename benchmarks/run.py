"""The benchmark: contenders in turn, round after round, and what this machine could do at best."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from cyclorama import BackgroundGenerator, CycloramaError, InvalidOptions, find_subject, load_photo
from cyclorama.benchmarks import ceiling, fidelity, masks, shapes
from cyclorama.benchmarks.contender import Contender
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.machine import available_cores, cpu_features, cpu_name
from cyclorama.engine.notes import note
from cyclorama.export import Calibration
from cyclorama.models.store import named_or_folder, resolve, writable_home

Progress = Callable[[str], None]

PEERS = ("diffusers", "openvino-genai", "optimum-intel", "optimum-onnx")
PHOTO = Calibration.load().photos[0]
_PACKAGES = (
    "cyclorama", "openvino", "onnxruntime", "torch", "diffusers", "openvino-genai", "optimum-intel", "optimum-onnx",
    "nncf",
)  # fmt: skip
_PLAIN = {"cache_interval": 1, "guidance_interval": [0.0, 1.0]}
_FOUR = {"num_inference_steps": 4, "guidance_scale": 1.0}
_TWENTY = {"num_inference_steps": 20, "guidance_scale": 7.0}
_OTHER_SIZES = (384, 640, 768)
_MEGAPIXELS = (0.25, 1, 4, 12, 24)
# oneDNN's name for CPUs without bf16 and AMX. Capped to AVX2 OpenVINO fails: its own generated code knows no cap.
_CAP = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}


def benchmark(
    model: str | Path | None = None,
    *,
    with_sd15_shapes: bool = False,
    peers: Sequence[str] = PEERS,
    is_quick: bool = False,
    is_profile: bool = False,
    mask_models: Sequence[str] = (),
    progress: Progress = lambda stage: None,
) -> dict[str, Any]:
    """Measures, and returns all of it, fit for JSON.

    model: a name or folder, by each preset and backend; None: nano, unless there is something else to do.
    with_sd15_shapes: a checkpoint of SD1.5's shape with random weights, made in the local store the first time (some
    ten minutes and 14 GB), beside the peers.  peers: of `PEERS`, those to run.  is_quick: one round, the main
    contenders, nothing else.  is_profile: the core contenders alone, under each instruction set.  mask_models: masks
    alone are measured, those of these networks.
    Raises InvalidOptions, and ModelNotFound or BadModel for the model.
    """
    unknown = set(peers) - set(PEERS)
    if unknown:
        raise InvalidOptions(f"unknown peers {', '.join(sorted(unknown))}; choose of {', '.join(PEERS)}")
    where = writable_home() / "benchmark"
    report: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": cpu_name(),
            "instruction_sets": cpu_features(),
            "cores": available_cores(),
            "memory": psutil.virtual_memory().total,
        },
        "versions": {package: _version(package) for package in _PACKAGES},
    }
    if mask_models:
        report["masks"] = masks.measure(mask_models, progress)
        return report
    rounds = 1 if is_quick else 2

    def wanted(contenders: list[Contender]) -> list[Contender]:
        return [one for one in contenders if one.kind == "cyclorama" or one.kind in peers]

    with tempfile.TemporaryDirectory() as scratch:
        if with_sd15_shapes:
            folders = shapes.Folders(where / "sd15", progress)
            # At a square of the model's own size, for the peers know no other canvas.
            photo, mask = _square(PHOTO, 512, Path(scratch))
            report["shapes"] = "sd15"
            if is_profile:
                report["profiles"] = {
                    name: _rounds(
                        [as_on(one) for one in wanted(_core(folders))], photo, mask, Path(scratch), rounds, progress
                    )
                    for name, as_on in _instruction_sets().items()
                }
                return report
            entered = wanted(_sd15(folders, is_quick))
            report["contenders"] = _rounds(entered, photo, mask, Path(scratch), rounds, progress)
            operations = shapes.multiplications()
            attention = operations.pop("attention")
            report["unet_operations"] = {"attention": attention, "other": sum(operations.values())}
            if not is_quick:
                report["capped"] = _rounds(_capped(folders, peers), photo, mask, Path(scratch), 1, progress)
                sizes = [
                    Contender(
                        f"fast-{side}",
                        f"fast, {side} px",
                        "cyclorama",
                        str(folders.fast),
                        {"preset": "fast"},
                        size=side,
                    )
                    for side in _OTHER_SIZES
                ]
                report["sizes"] = _rounds(sizes, photo, mask, Path(scratch), 1, progress)
        if model is not None or not with_sd15_shapes:
            photo, mask = _with_mask(PHOTO, Path(scratch))
            report["model"] = str(model or "nano")
            entered = _of_model(model or "nano")
            report["own"] = _rounds(entered, photo, mask, Path(scratch), rounds, progress)
        sections: dict[str, Callable[[], Any]] = {
            "cold_process": lambda: _cold(Path(scratch)),
            "photos": lambda: _photo_sizes(Path(scratch), progress),
            "fidelity": lambda: fidelity.measure(where, 12, progress),
            "ceiling": ceiling.measure,
        }
        for section in ("ceiling",) if is_quick else sections:
            progress(section.replace("_", " "))
            try:
                report[section] = sections[section]()
            except CycloramaError as error:  # what was measured before took most of an hour
                report.setdefault("failures", {})[section] = str(error)
                note(f"{section} could not be measured: {error}")
    return report


def _instruction_sets() -> dict[str, Callable[[Contender], Contender]]:
    """This CPU's own, and those below it that OpenVINO can be held to; each as what it makes of a contender."""
    finest, sets = cpu_features()[-1:], dict[str, Callable[[Contender], Contender]]()
    sets[finest[0] if finest else "own"] = lambda one: one
    if finest and finest[0] not in ("avx2", "avx_vnni", "avx512f", "avx512_vnni"):
        # In float32, for OpenVINO does not notice that bf16 is gone, and emulates it.
        sets["avx512_vnni"] = lambda one: replace(one, environment=_CAP, is_exact=True)
    return sets


def _ours(key: str, name: str, folder: Path, **options: Any) -> Contender:
    return Contender(key, name, "cyclorama", str(folder), options, has_second_prompt="preset" in options)


def _peer(key: str, kind: str, name: str, folder: Path, **options: Any) -> Contender:
    return Contender(key, f"{kind} {name}", kind, str(folder), options)


def _core(folders: shapes.Folders) -> list[Contender]:
    """What is told of each instruction set."""
    return [
        _ours("fast", "fast", folders.fast, preset="fast"),
        _peer("genai-4", "openvino-genai", "4 steps", folders.peers, **_FOUR),
        _ours("int8-4", "int8, 4 steps", folders.int8, **_FOUR, **_PLAIN),
        _peer("genai-int8-4", "openvino-genai", "on our int8 folder, 4 steps", folders.int8, **_FOUR),
        _ours("quality", "quality", folders.int8, preset="quality"),
        _peer("genai-20", "openvino-genai", "20 guided steps", folders.peers, **_TWENTY),
    ]


def _sd15(folders: shapes.Folders, is_quick: bool) -> list[Contender]:
    two_guided = {"num_inference_steps": 2, "guidance_scale": 7.0}
    core = _core(folders)
    plain = _peer("diffusers-f32", "diffusers", "float32, 2 guided steps", folders.checkpoint, **two_guided)
    if is_quick:
        return [*core[:2], plain]
    bf16 = {**two_guided, "torch_dtype": "bfloat16"}
    return [
        *core,
        plain,
        _ours("int8-20", "int8, 20 guided steps", folders.int8, **_TWENTY, **_PLAIN),
        _ours("fp16-4", "fp16, 4 steps", folders.fp16, **_FOUR, **_PLAIN),
        _ours("ort-int8-4", "ONNX Runtime int8, 4 steps", folders.onnx_int8, **_FOUR),
        _ours("ort-f32-4", "ONNX Runtime float32, 4 steps", folders.onnx, **_FOUR),
        _peer("diffusers-bf16", "diffusers", "bfloat16, 2 guided steps", folders.checkpoint, **bf16),
        _peer("optimum-intel-4", "optimum-intel", "4 steps", folders.peers, **_FOUR),
        _peer("optimum-intel-int8-4", "optimum-intel", "on our int8 folder, 4 steps", folders.int8, **_FOUR),
        _peer("optimum-onnx-4", "optimum-onnx", "4 steps", folders.onnx, **_FOUR),
    ]


def _capped(folders: shapes.Folders, peers: Sequence[str]) -> list[Contender]:
    """What older and smaller machines would take: fewer instructions, and one core."""
    sides: list[tuple[str, str, str, Path, dict[str, Any]]] = [
        ("int8-4", "int8, 4 steps", "cyclorama", folders.int8, {**_FOUR, **_PLAIN})
    ]
    if "openvino-genai" in peers:
        sides.append(("genai-4", "openvino-genai 4 steps", "openvino-genai", folders.peers, _FOUR))
    entered = []
    for key, name, kind, folder, options in sides:
        # In float32, for OpenVINO does not notice that bf16 is gone, and emulates it.
        capped = Contender(f"{key}-vnni", f"{name}, AVX-512 VNNI", kind, str(folder), options)
        entered.append(replace(capped, environment=_CAP, is_exact=True))
        if hasattr(os, "sched_setaffinity"):
            entered.append(Contender(f"{key}-one-core", f"{name}, one core", kind, str(folder), options, cores=1))
    return entered


def _of_model(model: str | Path) -> list[Contender]:
    folder = ModelFolder(resolve(named_or_folder(model)))
    backends = [name for name, is_there in (("openvino", True), ("onnx", folder.has_onnx)) if is_there]
    presets = ["balanced", "quality"] if folder.distillation is None else ["fast", "balanced", "quality"]
    return [
        Contender(
            f"{preset}-{backend}",
            f"{preset}, {backend}",
            "cyclorama",
            str(folder.path),
            {"preset": preset},
            3,
            backend=backend,
            has_second_prompt=True,
        )
        for preset in presets
        for backend in backends
    ]


def _rounds(
    contenders: Sequence[Contender], photo: Path, mask: Path, scratch: Path, rounds: int, progress: Progress
) -> list[dict[str, Any]]:
    results: dict[str, list[dict[str, Any]]] = {contender.key: [] for contender in contenders}
    failures: dict[str, str] = {}
    for number in range(rounds):
        for contender in contenders:
            progress(f"{contender.name} ({number + 1} of {rounds})")
            try:
                results[contender.key].append(contender.run(photo, mask, scratch))
            except RuntimeError as error:
                failures[contender.key] = str(error)
    return [_summary(contender, results[contender.key], failures.get(contender.key)) for contender in contenders]


def _summary(contender: Contender, results: list[dict[str, Any]], failure: str | None) -> dict[str, Any]:
    """Medians and spreads in seconds over all runs but the first of each process, which warm up."""
    entry: dict[str, Any] = {
        "key": contender.key, "name": contender.name, "kind": contender.kind, "options": contender.options,
    }  # fmt: skip
    if failure is not None:
        return {**entry, "failure": failure}
    runs = [run for result in results for run in result["runs"]]
    stages = runs[0]["stages"]
    return {
        **entry,
        "load": _spread([result["load"] for result in results]),
        "first": _spread([result["first"]["total"] for result in results]),
        "total": _spread([run["total"] for run in runs]),
        "step": _spread([step for run in runs for step in run["steps"]]),
        "stages": {stage: statistics.median(run["stages"][stage] for run in runs) for stage in stages},
        **({"second_prompt": _spread([run["second_prompt"] for run in runs])} if "second_prompt" in runs[0] else {}),
        **({"compile": _spread([r["first"]["stages"]["compile"] for r in results])} if "compile" in stages else {}),
        "peak_memory": max(result["peak_memory"] for result in results),
        "disk": sum(path.stat().st_size for path in Path(contender.folder).rglob("*") if path.is_file()),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def _square(photo: Path, side: int, scratch: Path) -> tuple[Path, Path]:
    """The photo made square, and its mask."""
    square = scratch / "square.png"
    Image.fromarray(load_photo(photo).rgb).resize((side, side), Image.Resampling.LANCZOS).save(square)
    return _with_mask(square, scratch)


def _with_mask(photo: Path, scratch: Path) -> tuple[Path, Path]:
    mask = scratch / "mask.png"
    Image.fromarray(find_subject(load_photo(photo).rgb)).save(mask)
    return photo, mask


def _photo_sizes(scratch: Path, progress: Progress) -> list[dict[str, Any]]:
    """Seconds of a picture by nano's preset on photos of several sizes, JPEG file to PNG file; medians of 3."""
    generator = BackgroundGenerator.load("nano")
    original = Image.fromarray(load_photo(PHOTO).rgb)
    rows = []
    for megapixels in _MEGAPIXELS:
        progress(f"a photo of {megapixels} megapixels")
        scale = (megapixels * 1e6 / (original.width * original.height)) ** 0.5
        photo = scratch / "photo.jpg"
        original.resize((round(original.width * scale), round(original.height * scale))).save(photo, quality=95)
        taken, stages = [], {}
        for seed in range(3):
            start = time.perf_counter()
            result = generator.generate(generator.prepare(photo), "a sandy beach", seed=seed)
            saving = time.perf_counter()
            result.save(scratch / "photo.png")
            end = time.perf_counter()
            taken.append(end - start)
            stages = {**result.seconds, "save": end - saving}
        rows.append({"megapixels": megapixels, "total": float(np.median(taken)), "stages": stages})
    return rows


def _cold(scratch: Path) -> float:
    """Seconds of `cyclorama generate` as a whole new process, nano on a photo of one megapixel; median of 3."""
    photo = scratch / "cold.jpg"
    Image.fromarray(load_photo(PHOTO).rgb).resize((1250, 800)).save(photo)
    command = [sys.executable, "-P", "-m", "cyclorama", "generate", str(photo), "-p", "a beach", "--seed", "0"]
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        child = subprocess.run([*command, "-o", str(scratch / "cold.png")], capture_output=True, text=True, check=False)
        if child.returncode != 0:
            raise CycloramaError(f"a cold process failed: {child.stderr.strip()}")
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
