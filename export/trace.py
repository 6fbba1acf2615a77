"""Tracing: each component of a pipeline to a file, by optimum's exporters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import onnx
import torch
from diffusers import AutoencoderTiny
from onnx import TensorProto, helper, numpy_helper
from optimum.exporters.onnx.convert import export as export_onnx
from optimum.exporters.openvino.convert import export as export_openvino
from optimum.exporters.openvino.convert import export_tokenizer
from optimum.exporters.utils import get_diffusion_models_for_export
from optimum.intel.openvino.configuration import OVConfig

from engine.backends import ONNX_FILE, OPENVINO_FILE

Format = Literal["openvino", "onnx"]
Precision = Literal["fp32", "fp16"]

_INLINE = 1_000_000_000  # bytes; a protobuf file cannot pass 2 GiB, larger weights go beside it


def components(pipeline: Any, format: Format) -> dict[str, tuple[Any, Any]]:
    """The four networks by name, each with optimum's description of its inputs and outputs."""
    # optimum reads this from the UNet's config to fix the length of the text.
    pipeline.unet.config.model_max_length = pipeline.tokenizer.model_max_length
    networks: dict[str, tuple[Any, Any]] = get_diffusion_models_for_export(
        pipeline, int_dtype="int64", float_dtype="fp32", exporter=format
    )
    if isinstance(pipeline.vae, AutoencoderTiny):
        encoder = networks["vae_encoder"][0]
        # optimum asks for the parameters of a distribution, which a tiny VAE does not have.
        encoder.forward = lambda sample: {"latent_parameters": encoder.encode(sample).latents}
    return networks


def trace(network: Any, config: Any, folder: Path, format: Format, precision: Precision) -> Path:
    """Writes one network into its folder of the model and returns the file.

    fp16 is how weights are stored; what they are computed in is the backend's choice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _quiet():
        if format == "openvino":
            path = folder / OPENVINO_FILE
            export_openvino(
                model=network,
                config=config,
                output=path,
                stateful=False,
                library_name="diffusers",
                ov_config=OVConfig(dtype=precision),
            )
        else:
            path = folder / ONNX_FILE
            export_onnx(model=network, config=config, output=path)
            if precision == "fp16":
                _store_weights_as_fp16(path)
    return path


def save_tokenizer(pipeline: Any, folder: Path, format: Format) -> None:
    """The tokenizer's files; for OpenVINO also as a network, which openvino-genai wants."""
    with _quiet():
        pipeline.tokenizer.save_pretrained(folder)
        if format == "openvino":
            export_tokenizer(pipeline.tokenizer, folder)


def _store_weights_as_fp16(path: Path) -> None:
    """Halves an ONNX file: large float32 weights become float16 with a Cast behind each.

    Runtimes fold the Cast away while loading and compute in float32 as before.
    """
    model = onnx.load(path)
    graph = model.graph
    casts = []
    for index, weight in enumerate(graph.initializer):
        if weight.data_type != TensorProto.FLOAT:
            continue
        array = numpy_helper.to_array(weight)
        if array.size < 64 or abs(array).max() > 65504:
            continue
        stored = f"{weight.name}_fp16"
        casts.append(helper.make_node("Cast", [stored], [weight.name], to=TensorProto.FLOAT))
        graph.initializer[index].CopyFrom(numpy_helper.from_array(array.astype("float16"), stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    beside = path.with_name(path.name + "_data")
    beside.unlink(missing_ok=True)
    onnx.save(
        model,
        path,
        save_as_external_data=model.ByteSize() > _INLINE,
        all_tensors_to_one_file=True,
        location=beside.name,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Tracers warn of every Python branch they fix; verification is what tells whether that was wrong."""
    import logging

    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
