"""What ONNX Runtime's CPU kernels ask of a QDQ graph before they compute it in int8.

Measured with ONNX Runtime 1.32, SD1.5's UNet on two cores with AMX: as NNCF leaves the graph it takes longer than in
float. MLAS multiplies unsigned by signed bytes at thirty times the speed of signed by signed; a convolution becomes
`QLinearConv` only where its output is quantised too; and attention spends its time on writing out its probabilities,
which the fused operator never holds (CONTRIBUTING.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cyclorama.engine.backends import open_session
from cyclorama.export.calibration import Feeds
from cyclorama.export.trace import load_graph

Ranges = dict[str, tuple[float, float]]

_DOMAIN = "com.microsoft"


def convolution_ranges(path: Path, samples: Sequence[Feeds]) -> Ranges:
    """Least and largest value of each convolution's output in a float network, each the mean over the samples."""
    model = load_graph(path)
    names = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    shown = {value.name for value in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in shown
    )
    observed = path.with_suffix(".observed.onnx")  # beside the original, whose weights it shares
    try:
        observed.write_bytes(model.SerializeToString())
        session = open_session(observed, "onnx")
        ends = []
        for feeds in samples:
            outputs = session.run(feeds)
            ends.append([(float(np.min(outputs[name])), float(np.max(outputs[name]))) for name in names])
    finally:
        observed.unlink(missing_ok=True)
    means = np.mean(ends, axis=0)
    return {name: (float(low), float(high)) for name, (low, high) in zip(names, means, strict=True)}


def fit_for_onnxruntime(model: onnx.ModelProto, ranges: Ranges) -> None:
    """Changes a QDQ graph in place so that it runs in int8. `ranges` are its convolutions', from the float network."""
    _make_activations_unsigned(model.graph)
    _quantise_convolution_outputs(model.graph, ranges)
    _fuse_attention(model)
    del model.graph.value_info[:]  # some types changed; runtimes infer them again


def _make_activations_unsigned(graph: Any) -> None:
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    points = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    for name in points:
        point = numpy_helper.to_array(initializers[name])
        if point.dtype == np.int8:
            unsigned = (point.astype(np.int16) + 128).astype(np.uint8)
            initializers[name].CopyFrom(numpy_helper.from_array(unsigned, name))


def _quantise_convolution_outputs(graph: Any, ranges: Ranges) -> None:
    dequantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "Conv" or node.input[0] not in dequantised:
            continue
        name = node.output[0]
        low, high = min(ranges[name][0], 0.0), max(ranges[name][1], 0.0)
        scale = max((high - low) / 255, 1e-12)
        point = np.array(round(-low / scale), np.uint8)
        parameters = f"{name}_scale", f"{name}_zero_point"
        graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), parameters[0]))
        graph.initializer.append(numpy_helper.from_array(point, parameters[1]))
        node.output[0] = f"{name}_float"
        nodes.append(helper.make_node("QuantizeLinear", [f"{name}_float", *parameters], [f"{name}_uint8"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_uint8", *parameters], [name]))
    _replace_nodes(graph, nodes)


def _fuse_attention(model: onnx.ModelProto) -> None:
    """Puts ONNX Runtime's MultiHeadAttention, which works in tiles, in the place of products and softmax.

    The pattern is what torch's exporter makes of diffusers' attention, scaled by 1/sqrt(head width).
    Raises ValueError for any other.
    """
    graph = model.graph
    producer = {name: node for node in graph.node for name in node.output}
    consumers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    fused, renamed = {}, {}
    for softmax in [node for node in graph.node if node.op_type == "Softmax"]:
        scores, product = producer[softmax.input[0]], consumers[softmax.output[0]][0]
        if (scores.op_type, product.op_type, len(consumers[softmax.output[0]])) != ("MatMul", "MatMul", 1):
            raise ValueError(f"{softmax.name} does not stand between two products as in diffusers' attention")
        reshapes = [_above(name, "Reshape", producer) for name in (*scores.input, product.input[1])]
        shape = producer.get(reshapes[0].input[1])
        if shape is None or shape.op_type != "Concat":
            raise ValueError(f"{softmax.name} has a fixed shape, which cannot be fused")
        heads = numpy_helper.to_array(_constant(shape.input[2], graph, producer))
        transpose = consumers[product.output[0]][0]
        while transpose.op_type in ("QuantizeLinear", "DequantizeLinear"):  # which do not mind the shape
            transpose = consumers[transpose.output[0]][0]
        merged = consumers[transpose.output[0]][0]
        if (transpose.op_type, merged.op_type) != ("Transpose", "Reshape"):
            raise ValueError(f"{softmax.name} is not followed as in diffusers' attention")
        renamed[merged.output[0]] = transpose.input[0]
        fused[product.output[0]] = helper.make_node(
            "MultiHeadAttention",
            [reshape.input[0] for reshape in reshapes],
            list(product.output),
            name=f"{softmax.name}_fused",
            domain=_DOMAIN,
            num_heads=int(heads.item()),
        )
    _replace_nodes(graph, [fused.get(node.output[0], node) for node in graph.node])
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
    _drop_dead_nodes(graph)
    if fused and all(opset.domain != _DOMAIN for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def _above(name: str, op_type: str, producer: dict[str, Any]) -> Any:
    """The nearest node of a type, going up by the first input (transposing and scaling lie between)."""
    node = producer[name]
    while node.op_type != op_type:
        node = producer[node.input[0]]
    return node


def _constant(name: str, graph: Any, producer: dict[str, Any]) -> Any:
    if name in producer:
        return next(attribute.t for attribute in producer[name].attribute if attribute.name == "value")
    return next(tensor for tensor in graph.initializer if tensor.name == name)


def _drop_dead_nodes(graph: Any) -> None:
    needed = {value.name for value in graph.output}
    alive = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            alive.append(node)
    _replace_nodes(graph, reversed(alive))


def _replace_nodes(graph: Any, nodes: Iterable[Any]) -> None:
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)
