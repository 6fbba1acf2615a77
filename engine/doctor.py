"""What this machine offers, and whether the engine works on it."""

from __future__ import annotations

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import psutil

from cyclorama.engine.errors import CycloramaError, NoHome
from cyclorama.engine.generator import BackgroundGenerator
from cyclorama.engine.machine import available_cores, cgroup_quota, cpu_features, cpu_name, int8_instructions
from cyclorama.models.catalogue import CATALOGUE
from cyclorama.models.store import is_present, writable_home

_PACKAGES = (
    "cyclorama",
    "numpy",
    "pillow",
    "openvino",
    "onnxruntime",
    "onnxruntime-gpu",
    "tokenizers",
    "rembg",
    "torch",
)


def examine() -> dict[str, dict[str, Any]]:
    """Facts by section, each a plain dictionary; `self-test` says for each backend that it works, or why not."""
    memory = psutil.virtual_memory()
    quota = cgroup_quota()
    return {
        "machine": {
            "system": platform.platform(),
            "cpu": cpu_name(),
            "instruction sets": cpu_features(),
            "int8": _int8(),
            "cores of the host": psutil.cpu_count() or 1,
            "container's CPU quota": "none" if quota is None else f"{quota:g}",
            "threads used": available_cores(),
            "memory": f"{memory.total / 1e9:.1f} GB, {memory.available / 1e9:.1f} GB free",
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "backends": {"openvino devices": _openvino_devices(), "onnxruntime providers": _onnx_providers()},
        "models": {
            "local store": _store(),
            "ready to run": [name for name, entry in CATALOGUE.items() if is_present(entry)],
        },
        "self-test": {backend: _try(backend) for backend in ("openvino", "onnx")},
    }


def _int8() -> str:
    fast = int8_instructions()
    if fast:
        return f"quicker than float here ({', '.join(fast)}): export with --precision int8"
    return "hardly quicker than float here: export with --precision fp16, or int8 for half the memory"


def _store() -> str:
    try:
        return str(writable_home())
    except NoHome as error:
        return f"none: {error}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _openvino_devices() -> list[str]:
    from cyclorama.engine.backends.probe import why_openvino_fails

    reason = why_openvino_fails()
    if reason is not None:
        return [f"none: {reason}"]
    import openvino

    return list(openvino.Core().available_devices)


def _onnx_providers() -> list[str]:
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def _try(backend: Any) -> str:
    """Four steps of nano on a grey picture with a white square for a subject."""
    from cyclorama.engine.backends.probe import why_openvino_fails

    if backend == "openvino" and (reason := why_openvino_fails()) is not None:
        return f"fails: {reason}"
    start = time.perf_counter()
    photo = np.full((128, 128, 3), 128, np.uint8)
    mask = np.zeros((128, 128), np.uint8)
    mask[48:80, 48:80] = 255
    try:
        generator = BackgroundGenerator.load("nano", backend=backend)
        scene = generator.prepare(photo, mask=mask)
        result = generator.generate(scene, "blue sky with clouds", num_inference_steps=4, seed=0)
    except CycloramaError as error:
        return f"fails: {error}"
    if not np.array_equal(np.asarray(result.image)[mask == 255], photo[mask == 255]):
        return "fails: the subject's pixels were changed"
    return f"works, {time.perf_counter() - start:.2f} s for loading and 4 steps"
