"""The script for a lent GPU, as far as a CPU can try it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclorama.benchmarks import cuda
from cyclorama.engine.backends import ONNX_FILE
from tests.conftest import PHOTOS


def test_what_it_tells_of_a_network(nano_onnx: Path, tmp_path: Path) -> None:
    unet = nano_onnx / "unet" / ONNX_FILE
    kernels = cuda._kernels(unet, "cpu", tmp_path)
    assert kernels["CPUExecutionProvider, float"] > 0.5 * sum(kernels.values())
    step = cuda._step(unet, "CPUExecutionProvider")
    assert isinstance(step, dict)
    assert 0 < step["min"] <= step["median"] <= step["max"]
    assert cuda._step(unet, "TensorrtExecutionProvider") == "TensorrtExecutionProvider did not start"


def test_a_device_that_paints_otherwise_would_be_seen(nano_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "SAMPLERS", ("lcm",))
    cat = PHOTOS / "cat.jpg"
    assert cuda._parity("nano", "cpu", cat) == {"lcm": 148.1}  # equal
    assert 35 < cuda._parity(nano_onnx, "cpu", cat)["lcm"] < 120  # float32 weights against fp16
