"""What speed costs: nano's pictures, cheaper by one means or another, against those of its float32 network.

On nano because it is trained; the noise is the same, so that nothing but the means differs.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cyclorama import BackgroundGenerator, Result, Scene
from cyclorama.benchmarks.shapes import recipe_key
from cyclorama.export import Calibration, export_checkpoint
from cyclorama.export.drift import drift
from cyclorama.models.catalogue import embedded
from cyclorama.models.store import MANIFEST

_PLAIN = {"num_inference_steps": 20, "cache_interval": 1, "guidance_interval": (0.0, 1.0)}
_CACHED = {**_PLAIN, "cache_interval": 3}
_INTERVAL = {**_PLAIN, "guidance_interval": (0.0, 0.75)}
_BOTH = {**_INTERVAL, "cache_interval": 3}


def measure(where: Path, pictures: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """PSNR (dB) and SSIM of the background, the subject's error in grey levels, and the median seconds of a picture.

    where: a folder for nano's exports, kept.  pictures: of each means, on the calibration's photos with the prompts
    that nothing was calibrated on.
    """
    ir, int8 = exported(where, "fp32", "openvino", progress), exported(where, "int8", "openvino", progress)
    int8_onnx = exported(where, "int8", "onnx", progress)
    calibration = Calibration.load()
    exact = BackgroundGenerator.load(ir, exact=True)
    scenes = calibration.scenes(exact)
    reference = painted(exact, scenes, calibration, pictures, _PLAIN)
    means: list[tuple[str, BackgroundGenerator, dict[str, Any]]] = [
        ("float32, the reference", exact, _PLAIN),
        ("bf16 where the CPU has it", BackgroundGenerator.load(ir), _PLAIN),
        ("int8, OpenVINO", BackgroundGenerator.load(int8), _PLAIN),
        ("int8, ONNX Runtime", BackgroundGenerator.load(int8_onnx), _PLAIN),
        ("caching every 3 steps", exact, _CACHED),
        ("guidance for the first 3/4 of the steps", exact, _INTERVAL),
        ("caching and interval", exact, _BOTH),
        ("caching, interval, int8, bf16", BackgroundGenerator.load(int8), _BOTH),
    ]
    rows = []
    for name, generator, options in means:
        progress(f"fidelity of {name}")
        results = painted(generator, scenes, calibration, pictures, options)
        rows.append(
            {
                "name": name,
                **drift(reference, results),
                "subject_error": max(
                    _subject_error(result, scene)
                    for result, scene in zip(results, _cycle(scenes, pictures), strict=True)
                ),
                "seconds": statistics.median(result.seconds["denoise"] for result in results),
            }
        )
    return rows


def exported(where: Path, precision: Any, format: Any, progress: Callable[[str], None]) -> Path:
    """nano in another precision and format, exported to the folder `where` if it is not there yet."""
    nano = hashlib.sha256((embedded("nano") / MANIFEST).read_bytes()).hexdigest()[:8]
    folder = where / f"nano-{nano}-{format}-{precision}{f'-{recipe_key()}' if precision == 'int8' else ''}"
    if not folder.is_dir():
        progress(f"exporting nano to {format} in {precision}")
        export_checkpoint("nano", folder, format=format, precision=precision, name="nano")
    return folder


def _cycle(scenes: list[Scene], count: int) -> list[Scene]:
    return [scenes[i % len(scenes)] for i in range(count)]


def painted(
    generator: BackgroundGenerator, scenes: list[Scene], calibration: Calibration, count: int, options: dict[str, Any]
) -> list[Result]:
    """Pictures of the calibration's photos in turn, with the prompts that nothing was calibrated on; seeds in a row."""
    prompts = calibration.prompts[1::2]
    return [
        generator.generate(scene, prompts[i % len(prompts)], "quality", seed=i, **options)
        for i, scene in enumerate(_cycle(scenes, count))
    ]


def _subject_error(result: Result, scene: Scene) -> int:
    """Largest difference from the photo where the subject is opaque."""
    opaque = scene.cutout.alpha == 255
    difference = np.asarray(result.image, np.int16) - scene.cutout.photo.rgb
    return int(np.abs(difference[opaque]).max())
