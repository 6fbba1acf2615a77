"""ONNX graphs that compute in half precision, which a GPU is made for: T4's tensor cores know no float32.

What is stored in half otherwise (`export.trace`) is computed in float32 behind casts, as CPUs want it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnx import TensorProto
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from cyclorama.export.trace import load_graph


def compute_in_half(path: Path) -> None:
    """Changes an ONNX file whose weights are float16 already: activations become it too, inputs and outputs stay.

    The embedding of the timestep stays float32, whose angles reach 999: half holds them to a quarter only. Softmax and
    normalisations are float16 in the graph; ONNX Runtime's CUDA kernels sum them up in float32.
    """
    model = load_graph(path)
    half = OnnxModel(convert_float_to_float16(model, keep_io_types=True, node_block_list=_of_angles(model.graph)))
    _join(half.model.graph)
    half.prune_graph()
    half.topological_sort()  # the new casts stand at the end
    path.write_bytes(half.model.SerializeToString())


def _join(graph: Any) -> None:
    """Takes away the casts to float16 and back that the converter leaves between nodes that stay float32."""
    rounded = {node.output[0]: node.input[0] for node in graph.node if _casts_to(node, TensorProto.FLOAT16)}
    whole = {
        node.output[0]: rounded[node.input[0]]
        for node in graph.node
        if _casts_to(node, TensorProto.FLOAT) and node.input[0] in rounded
    }
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = whole.get(name, name)


def _casts_to(node: Any, kind: int) -> bool:
    return bool(node.op_type == "Cast" and node.attribute[0].i == kind)


def _of_angles(graph: Any) -> list[str]:
    """The names of all nodes that a sine or cosine depends on, and its own."""
    makers = {output: node for node in graph.node for output in node.output}
    wanted = [node for node in graph.node if node.op_type in ("Sin", "Cos")]
    found: dict[str, None] = {}
    while wanted:
        node = wanted.pop()
        if node.name not in found:
            found[node.name] = None
            wanted += [makers[name] for name in node.input if name in makers]
    return list(found)
