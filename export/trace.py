"""Tracing: each component of a pipeline to a file, by optimum's exporters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from diffusers import AutoencoderTiny
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from optimum.exporters.onnx.convert import export as export_onnx
from optimum.exporters.openvino.convert import export as export_openvino
from optimum.exporters.openvino.convert import export_tokenizer
from optimum.exporters.utils import get_diffusion_models_for_export
from optimum.intel.openvino.configuration import OVConfig

from cyclorama.engine.backends import ONNX_FILE, OPENVINO_FILE
from cyclorama.export.request import Format
from cyclorama.export.subpixel import subpixel_upsampling

Stored = Literal["fp32", "fp16"]


def components(pipeline: Any, format: Format) -> dict[str, tuple[Any, Any]]:
    """The four networks by name, each with optimum's description of its inputs and outputs."""
    # optimum reads this from the UNet's config to fix the length of the text.
    pipeline.unet.config.model_max_length = pipeline.tokenizer.model_max_length
    networks: dict[str, tuple[Any, Any]] = get_diffusion_models_for_export(
        pipeline, int_dtype="int64", float_dtype="fp32", exporter=format
    )
    if isinstance(pipeline.vae, AutoencoderTiny):
        _describe_tiny_vae(networks)
    return networks


def _describe_tiny_vae(networks: dict[str, tuple[Any, Any]]) -> None:
    """optimum knows AutoencoderKL only, whose levels have another name and whose latents a distribution."""
    encoder = networks["vae_encoder"][0]
    encoder.forward = lambda sample: {"latent_parameters": encoder.encode(sample).latents}
    decoder = networks["vae_decoder"][0]
    decoder.forward = lambda latent_sample: decoder.decode(latent_sample)  # noqa: PLW0108 - optimum looks at its name
    for name in ("vae_encoder", "vae_decoder"):
        normalized = networks[name][1]._normalized_config
        normalized.DOWN_BLOCK_TYPES = "encoder_block_out_channels"
        normalized.UP_BLOCK_TYPES = "decoder_block_out_channels"


def trace(network: Any, config: Any, folder: Path, format: Format, precision: Stored) -> Path:
    """Writes one network into its folder of the model and returns the file.

    fp16 is how weights are stored; what they are computed in is the backend's choice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _quiet():
        if format == "openvino":
            path = folder / OPENVINO_FILE
            with subpixel_upsampling(network):  # no quicker on ONNX Runtime, which moves the pixels apart at a cost
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


def load_graph(path: Path) -> onnx.ModelProto:
    """An ONNX file without the weights that lie beside it, beyond protobuf's 2 GB, but with all its constants.

    Constants are few and small, and shapes follow from them.
    """
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        for attribute in node.attribute:
            if external_data_helper.uses_external_data(attribute.t):
                external_data_helper.load_external_data_for_tensor(attribute.t, str(path.parent))
    return model


def _store_weights_as_fp16(path: Path) -> None:
    """Halves an ONNX file: large float32 weights become float16 with a Cast behind each.

    Runtimes fold the Cast away while loading and compute in float32 as before. Weights that lie
    beside the file (beyond protobuf's 2 GB) are converted one by one and stay beside it.
    """
    model = load_graph(path)
    graph = model.graph
    beside = path.with_name(f"{path.name}_data")
    halved = beside.with_suffix(".halved")
    casts = []
    with halved.open("wb") as file:
        for weight in graph.initializer:
            is_beside = external_data_helper.uses_external_data(weight)
            array = numpy_helper.to_array(weight, base_dir=str(path.parent))
            name = weight.name
            if array.dtype == np.float32 and array.size >= 64 and np.abs(array).max() <= np.finfo(np.float16).max:
                array = array.astype(np.float16)
                casts.append(helper.make_node("Cast", [f"{name}_fp16"], [name], to=TensorProto.FLOAT))
                name = f"{name}_fp16"
            stored = numpy_helper.from_array(array, name)
            if is_beside:
                external_data_helper.set_external_data(stored, beside.name, file.tell(), len(stored.raw_data))
                file.write(stored.raw_data)
                stored.ClearField("raw_data")
            weight.CopyFrom(stored)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    path.write_bytes(model.SerializeToString())
    beside.unlink(missing_ok=True)
    if halved.stat().st_size:
        halved.replace(beside)
    else:
        halved.unlink()


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
