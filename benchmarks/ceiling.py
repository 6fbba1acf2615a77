"""What this machine's cores can do at best: one large matrix product and one convolution per precision."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np
import openvino as ov
from openvino import opset13 as op

from cyclorama.engine.machine import available_cores

PRECISIONS = ("int8", "bf16", "f32")
_M, _K, _N = 4096, 4096, 4096
_CHANNELS, _SIDE = 640, 32  # of the size of SD1.5's convolutions


def measure(
    precisions: Sequence[str] = PRECISIONS, repeats: int = 15, finest: str = "bf16"
) -> dict[str, dict[str, float]]:
    """GOP/s (two operations per multiplication, 1e9) by precision and kind, medians; on CPUs without bf16 that is
    computed in float32.

    finest: what is computed in where it is neither int8 nor float32.
    """
    return {
        precision: {"matmul": _speed(*_matmul(precision), precision, repeats, finest),
                    "convolution": _speed(*_convolution(precision), precision, repeats, finest)}
        for precision in precisions
    }  # fmt: skip


def _matmul(precision: str) -> tuple[ov.Model, float]:
    x = op.parameter([1, _M, _K], np.float32)
    weights = np.random.default_rng(0).standard_normal((_K, _N), np.float32)
    product = op.matmul(_quantised(x, precision), _quantised(op.constant(weights), precision), False, False)
    return ov.Model([product], [x]), 2.0 * _M * _K * _N


def _convolution(precision: str) -> tuple[ov.Model, float]:
    x = op.parameter([1, _CHANNELS, _SIDE, _SIDE], np.float32)
    weights = np.random.default_rng(0).standard_normal((_CHANNELS, _CHANNELS, 3, 3), np.float32)
    convolved = op.convolution(
        _quantised(x, precision), _quantised(op.constant(weights), precision), [1, 1], [1, 1], [1, 1], [1, 1]
    )
    return ov.Model([convolved], [x]), 2.0 * _CHANNELS**2 * 9 * _SIDE**2


def _quantised(node: ov.Node, precision: str) -> ov.Node:
    if precision != "int8":
        return node
    ends = [op.constant(np.array(value, np.float32)) for value in (-4.0, 4.0, -4.0, 4.0)]
    is_weight = node.get_type_name() == "Constant"
    return op.fake_quantize(node, *ends, 255 if is_weight else 256)


def _speed(model: ov.Model, operations: float, precision: str, repeats: int, finest: str) -> float:
    compiled = ov.Core().compile_model(
        model,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": available_cores(),
            "INFERENCE_PRECISION_HINT": "f32" if precision == "f32" else finest,
        },
    )
    request = compiled.create_infer_request()
    feed = np.random.default_rng(1).standard_normal(tuple(compiled.inputs[0].shape), np.float32)
    request.infer([feed])
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        request.infer([feed])
        seconds.append(time.perf_counter() - start)
    return operations / statistics.median(seconds) / 1e9
