"""`python -m cyclorama.benchmarks.operations`: where a step of SD1.5's int8 UNet spends its time, beside the ideal.

Random weights, 512x512, attention to all tokens, OpenVINO on all cores. The ideal is the operations of each kind at the
speed of one large matrix product and one large convolution, measured before: int8's, and for attention's products
bf16's, which is float32's where the CPU has none. As on a CPU with VNNI but no bf16:
`ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI python -m cyclorama.benchmarks.operations --exact`.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import openvino as ov

from cyclorama.benchmarks import ceiling
from cyclorama.benchmarks.shapes import Folders, multiplications
from cyclorama.engine.backends import OPENVINO_FILE
from cyclorama.engine.machine import available_cores, cpu_features, cpu_name
from cyclorama.models.store import writable_home

_ROUNDS = 7
_SHAPES = {"sample": [1, 9, 64, 64], "timestep": [1], "encoder_hidden_states": [1, 77, 768]}
_ATTENTION = "scaled_dot_product_attention"  # in the names of the nodes that OpenVINO fuses one into


@click.command(help=__doc__)
@click.option("--exact", is_flag=True, help="float32 instead of bf16, which OpenVINO emulates where it is capped")
def main(exact: bool) -> None:
    """Prints a table."""
    folders = Folders(writable_home() / "benchmark" / "sd15", lambda stage: click.echo(f"{stage} ...", err=True))
    model = _fixed(folders.int8 / "unet" / OPENVINO_FILE)
    finest = "f32" if exact else "bf16"
    speeds = ceiling.measure(("int8", finest), finest=finest)
    speed = {
        "convolution": speeds["int8"]["convolution"],
        "matrix product": speeds["int8"]["matmul"],
        "attention": speeds[finest]["matmul"],
    }
    ideal = {kind: operations / speed[kind] / 1e9 for kind, operations in multiplications().items()}
    step, spent = _seconds(model, finest)
    instructions = os.environ.get("ONEDNN_MAX_CPU_ISA", cpu_features()[-1])
    click.echo(f"{cpu_name()}, {available_cores()} cores with {instructions}, OpenVINO {version('openvino')}\n")
    click.echo("| a step | measured | ideal | ratio |\n| --- | --- | --- | --- |")
    for kind in (*ideal, "the rest"):
        click.echo(_row(kind, spent[kind], ideal.get(kind)))
    click.echo(_row("all", step, sum(ideal.values())))


def _row(name: str, measured: float, ideal: float | None) -> str:
    beside = ("", "") if ideal is None else (f"{ideal:.2f} s", f"{measured / ideal:.2f}")
    return f"| {name} | {measured:.2f} s | {' | '.join(beside)} |"


def _fixed(path: Path) -> ov.Model:
    model = ov.Core().read_model(path)
    model.reshape({one.any_name: _SHAPES[one.any_name] for one in model.inputs})
    return model


def _seconds(model: ov.Model, finest: str) -> tuple[float, dict[str, float]]:
    """Of a step, the median; and of each kind, as a profile shares it out."""
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": available_cores(),
        "INFERENCE_PRECISION_HINT": finest,
    }
    noise = np.random.default_rng(0)
    feed = {name: noise.standard_normal(shape, np.float32) for name, shape in _SHAPES.items()}
    feed["timestep"] = np.full(1, 500, model.input("timestep").element_type.to_dtype())
    spent: Counter[str] = Counter()
    for is_profiled in (True, False):
        taken = []
        compiled = ov.Core().compile_model(model, "CPU", {**settings, "PERF_COUNT": is_profiled})
        request = compiled.create_infer_request()
        request.infer(feed)
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            request.infer(feed)
            taken.append(time.perf_counter() - start)
            for one in request.profiling_info if is_profiled else ():
                spent[_kind(one.node_name, one.node_type)] += one.real_time.total_seconds()
    assert spent["attention"], "OpenVINO names its attention otherwise now"
    step = statistics.median(taken)  # without a profile
    return step, {kind: step * spent[kind] / spent.total() for kind in spent}


def _kind(name: str, node_type: str) -> str:
    if _ATTENTION in name:
        return "attention"
    if node_type == "Convolution":
        return "convolution"
    return "matrix product" if node_type.startswith("FullyConnected") else "the rest"


if __name__ == "__main__":
    main()
