"""Networks compiled by OpenVINO, kept on disk: what takes six seconds the first time takes three the next.

A file holds the compiled graph without its weights, which stay where the model has them: 7 MB for SD1.5's UNet. It is
named after all that it depends on, so a changed model, another OpenVINO or another processor finds none; it appears
whole or not at all, so any number of processes may share the folder; and it ends with its own SHA-256, so a damaged
one is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import openvino as ov

from cyclorama.engine.backends import Shapes, deepcache, downsampling
from cyclorama.engine.machine import cpu_features, cpu_name
from cyclorama.models.atomic import write_atomically
from cyclorama.models.errors import NoHome
from cyclorama.models.store import home

LIMIT = 256_000_000  # bytes in the folder; beyond them go the files that were not used for longest
_DIGEST = hashlib.sha256().digest_size


def folder() -> Path:
    """Where the files lie. They may be removed at any time."""
    return home() / "compiled"


def compile_model(
    core: ov.Core,
    device: str,
    path: Path,
    part: str,
    build: Callable[[], ov.Model],
    shapes: Shapes,
    config: Mapping[str, object],
) -> ov.CompiledModel:
    """Compiles what `build` gives, a network for inputs of these shapes, or takes from disk what once was compiled.

    path: the IR whose weights it has. Nothing is kept of an ONNX file, whose weights OpenVINO cannot find again, nor of
    what is compiled for other devices than the CPU.
    part: which part of it that is.  Raises RuntimeError, as OpenVINO does.
    """
    if path.suffix != ".xml" or device != "CPU":
        return core.compile_model(build(), device, dict(config))
    try:
        file = folder() / f"{_key(core, path, part, shapes, config)}.blob"
    except (OSError, NoHome):  # weights that lie elsewhere, or no place for what is kept
        return core.compile_model(build(), "CPU", dict(config))
    weightless = {**config, "CACHE_MODE": "OPTIMIZE_SIZE"}
    content = _read(file)
    if content is not None:
        with contextlib.suppress(RuntimeError):  # whatever is wrong with it, compiling puts it right
            return core.import_model(
                ov.Tensor(content), "CPU", {**weightless, "WEIGHTS_PATH": str(path.with_suffix(".bin"))}
            )
    model = build()  # held here, so that its weights stay mapped whatever happens: see `mapped_memory_given_back`
    compiled = core.compile_model(model, "CPU", weightless)
    with contextlib.suppress(RuntimeError, OSError):  # a full or read-only disk: the next process compiles again
        _write(file, compiled.export_model().getvalue())
    return compiled


def states(path: Path) -> list[tuple[int, int]]:
    """Size and time of a network's file and of its weights beside it. Raises OSError."""
    weights = [path.with_suffix(".bin")] if path.suffix == ".xml" else []
    return [(file.stat().st_size, file.stat().st_mtime_ns) for file in (path, *weights)]


def _key(core: ov.Core, path: Path, part: str, shapes: Shapes, config: Mapping[str, object]) -> str:
    facts: list[object] = [str(path.resolve()), states(path), part, sorted(shapes.items()), sorted(config.items())]
    facts += [ov.__version__, cpu_name(), cpu_features(), os.environ.get("ONEDNN_MAX_CPU_ISA")]
    facts += [str(core.get_property("CPU", name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    facts += [inspect.getsource(module) for module in (deepcache, downsampling)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _read(file: Path) -> np.ndarray | None:
    try:
        data = file.read_bytes()
    except OSError:
        return None
    with contextlib.suppress(OSError):  # a folder that may only be read is of use too
        file.touch()
    content, digest = data[:-_DIGEST], data[-_DIGEST:]
    return np.frombuffer(content, np.uint8) if hashlib.sha256(content).digest() == digest else None


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, content + hashlib.sha256(content).digest())
    _prune(file.parent)


def _prune(where: Path) -> None:
    for path in where.glob("*.part"):  # of processes that were killed
        if path.stat().st_mtime < time.time() - 3600:
            path.unlink(missing_ok=True)
    ages = sorted(((path.stat().st_mtime, path) for path in where.glob("*.blob")), reverse=True)
    total = 0
    for _, path in ages:
        total += path.stat().st_size
        if total > LIMIT:
            path.unlink(missing_ok=True)
