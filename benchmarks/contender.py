"""One contender in a process of its own.

`python -m cyclorama.benchmarks.contender SPEC` prints what it took as a line of JSON.

A process each, so that peak memory is that of one pipeline and no library's threads stand in another's way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

_PROMPTS = ("a sandy beach at sunset", "snowy mountains under a clear sky", "green leaves with soft light")
Paint = Callable[[str], dict[str, Any]]


@dataclass(frozen=True)
class Contender:
    """What is run, and how.

    key: what it is looked up by.  name: what is shown.  kind: of `KINDS`.  folder: the model.  options: of our
    `generate`, or of the peer's pipeline.  environment: variables set for the process.  cores: how many it may use;
    None: all.  backend: ours.  size: of the working square's side.  has_second_prompt: another prompt is timed on the
    same photo, ours.  is_exact: float32 where OpenVINO would take bf16.
    """

    key: str
    name: str
    kind: str
    folder: str
    options: dict[str, Any]
    repeats: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    cores: int | None = None
    backend: str = "auto"
    size: int | None = None
    has_second_prompt: bool = False
    is_exact: bool = False

    def run(self, photo: Path, mask: Path, scratch: Path) -> dict[str, Any]:
        """Loads, paints once to warm up and then `repeats` times; seconds, steps and peak memory in bytes.

        Raises RuntimeError with the last line of what the process said when it fails.
        """
        spec = {**dataclasses.asdict(self), "photo": str(photo), "mask": str(mask), "scratch": str(scratch)}
        child = subprocess.run(
            [sys.executable, "-P", "-m", "cyclorama.benchmarks.contender", json.dumps(spec)],
            env={**os.environ, **self.environment, "TQDM_DISABLE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if child.returncode != 0:
            lines = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
            raise RuntimeError(f"{self.name}: {lines[-1]}")
        result: dict[str, Any] = json.loads(child.stdout.strip().splitlines()[-1])
        return result


class _Ours:
    """Photo file to PNG file, the subject's mask included; then another prompt on the same photo."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        from cyclorama import BackgroundGenerator

        self._spec = spec
        self._generator = BackgroundGenerator.load(
            Path(spec["folder"]), backend=spec["backend"], exact=spec["is_exact"]
        )

    def paint(self, prompt: str) -> dict[str, Any]:
        start = time.perf_counter()
        scene = self._generator.prepare(self._spec["photo"], size=self._spec["size"])
        first, steps, stages = self._one(scene, prompt, start)
        taken = {"total": first, "steps": steps, "stages": stages}
        if self._spec["has_second_prompt"]:
            taken["second_prompt"], _, _ = self._one(scene, f"{prompt}, in the morning", time.perf_counter())
        return taken

    def _one(self, scene: Any, prompt: str, start: float) -> tuple[float, list[float], dict[str, float]]:
        steps, done = [], time.perf_counter()
        for step in self._generator.steps(scene, prompt, seed=0, **self._spec["options"]):
            now = time.perf_counter()
            steps.append(now - done)
            done, last = now, step
        result = last.result()
        saving = time.perf_counter()
        result.save(Path(self._spec["scratch"]) / "ours.png")
        end = time.perf_counter()
        return end - start, steps[1:], {**result.seconds, "save": end - saving}


class _Peer:
    """Photo and mask files to PNG file; no peer looks for the subject itself."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec

    def _images(self) -> tuple[Any, Any]:
        from PIL import Image

        side = self._spec["size"] or 512
        with Image.open(self._spec["photo"]) as photo, Image.open(self._spec["mask"]) as mask:
            paint = Image.eval(mask.convert("L"), lambda alpha: 255 - alpha)
            return photo.convert("RGB").resize((side, side)), paint.resize((side, side))

    def _call(self, prompt: str, step_done: Callable[[], None]) -> Any:
        raise NotImplementedError

    def paint(self, prompt: str) -> dict[str, Any]:
        start = time.perf_counter()
        ends: list[float] = []
        image = self._call(prompt, lambda: ends.append(time.perf_counter()))
        image.save(Path(self._spec["scratch"]) / "peer.png")
        end = time.perf_counter()
        steps = [after - before for before, after in pairwise(ends)]
        step = statistics.median(steps)
        stages = {"before": ends[0] - start - step, "denoise": len(ends) * step, "decode": end - ends[-1]}
        return {"total": end - start, "steps": steps, "stages": stages}


class _Diffusers(_Peer):
    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__(spec)
        import torch
        from diffusers import StableDiffusionInpaintPipeline

        options = dict(spec["options"])
        dtype = getattr(torch, options.pop("torch_dtype", "float32"))
        self._options = options
        self._pipeline: Any = StableDiffusionInpaintPipeline.from_pretrained(
            spec["folder"], torch_dtype=dtype, safety_checker=None
        )

    def _call(self, prompt: str, step_done: Callable[[], None]) -> Any:
        image, mask = self._images()

        def on_step_end(_pipeline: Any, _step: int, _timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
            step_done()
            return kwargs

        return self._pipeline(
            prompt,
            image=image,
            mask_image=mask,
            width=image.width,
            height=image.height,
            callback_on_step_end=on_step_end,
            **self._options,
        ).images[0]


class _OptimumIntel(_Diffusers):
    def __init__(self, spec: Mapping[str, Any]) -> None:
        _Peer.__init__(self, spec)
        from optimum.intel import OVStableDiffusionInpaintPipeline

        self._options = spec["options"]
        self._pipeline = OVStableDiffusionInpaintPipeline.from_pretrained(spec["folder"], compile=True)


class _OptimumOnnx(_Diffusers):
    def __init__(self, spec: Mapping[str, Any]) -> None:
        _Peer.__init__(self, spec)
        from optimum.onnxruntime import ORTStableDiffusionInpaintPipeline

        self._options = spec["options"]
        self._pipeline = ORTStableDiffusionInpaintPipeline.from_pretrained(spec["folder"])


class _GenAI(_Peer):
    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__(spec)
        import openvino_genai

        self._pipeline = openvino_genai.InpaintingPipeline(
            spec["folder"], "CPU", **({"INFERENCE_PRECISION_HINT": "f32"} if spec["is_exact"] else {})
        )

    def _call(self, prompt: str, step_done: Callable[[], None]) -> Any:
        import numpy as np
        import openvino as ov
        from PIL import Image

        image, mask = self._images()

        def callback(_step: int, _steps: int, _latents: Any) -> bool:
            step_done()
            return False

        painted = self._pipeline.generate(
            prompt,
            ov.Tensor(np.asarray(image)[None].copy()),
            ov.Tensor(np.asarray(mask.convert("RGB"))[None].copy()),
            width=image.width,
            height=image.height,
            strength=1.0,
            callback=callback,
            **self._spec["options"],
        )
        return Image.fromarray(np.asarray(painted.data)[0])


KINDS: dict[str, Any] = {
    "cyclorama": _Ours,
    "diffusers": _Diffusers,
    "optimum-intel": _OptimumIntel,
    "openvino-genai": _GenAI,
    "optimum-onnx": _OptimumOnnx,
}


def _main() -> None:
    spec = json.loads(sys.argv[1])
    if spec["cores"]:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: spec["cores"]])
    with contextlib.redirect_stdout(sys.stderr):  # some libraries chat there
        start = time.perf_counter()
        contender = KINDS[spec["kind"]](spec)
        load = time.perf_counter() - start
        first = contender.paint(_PROMPTS[0])
        runs = [contender.paint(_PROMPTS[1 + i % 2]) for i in range(spec["repeats"])]
        from cyclorama.engine.machine import peak_memory

        result = {"load": load, "first": first, "runs": runs, "peak_memory": peak_memory()}
    print(json.dumps(result))


if __name__ == "__main__":
    _main()
