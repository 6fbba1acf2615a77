"""A model in int8, by NNCF's post-training quantisation."""

from __future__ import annotations

import dataclasses
import gc
import io
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import onnx
import openvino as ov
from nncf.onnx.quantization.backend_parameters import BackendParameters
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, AdvancedSmoothQuantParameters

from cyclorama import BackgroundGenerator
from cyclorama.engine.arrays import Array
from cyclorama.engine.backends import ONNX_FILE, OPENVINO_FILE
from cyclorama.engine.errors import first_line
from cyclorama.engine.notes import note
from cyclorama.export.calibration import Calibration, Feeds, recording
from cyclorama.export.drift import LEAST_PSNR, LEAST_SSIM, drift
from cyclorama.export.errors import ExportFailed
from cyclorama.export.qdq import convolution_ranges, fit_for_onnxruntime
from cyclorama.export.quantised_vae import LEAST_PSNR as LEAST_HALF_PSNR
from cyclorama.export.quantised_vae import QuantisedVAE
from cyclorama.export.request import QUANTISING, QUANTISING_VAE, Format, Recipe, quantises_vae
from cyclorama.export.trace import load_graph

# The ends, through which all that is painted passes, and what all blocks learn the timestep from.
_ENDS = [".*conv_in.*", ".*conv_out.*", ".*time_emb.*"]
# Cross-attention's own products and what it hands on: a few hundredths of the work. On nano int8 costs 7 dB in the
# latter, and in the former, where the rest is computed in bf16, 13 (CONTRIBUTING.md).
_SENSITIVE = [r".*attn2[./]to_out.*", r".*attn2.*scaled_dot.*"]
# ONNX Runtime's fused attention is float.
_ATTENTION_ONNX = [r".*/attn\d/(MatMul|MatMul_1|Softmax)$"]


def quantise_folder(
    folder: Path, format: Format, calibration: Calibration, recipe: Recipe, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Quantises a float model folder, and says how and what it changed, for the manifest.

    The UNet, and for OpenVINO, unless only weights are wanted in int8, as much of the VAE as `export.quantised_vae`
    allows; what stays float as a whole has `share_in_int8` 0.
    The drift is that of what the model paints for the calibration's photos with other prompts: see `export.drift`.
    Raises ExportFailed and InvalidOptions.
    """
    progress(QUANTISING[0])
    generator = BackgroundGenerator.load(folder, backend=format, exact=True)
    scenes = calibration.scenes(generator)
    with recording(generator.vae, "encoder") as encoder, recording(generator.vae, "decoder") as decoder:
        samples = list(calibration.record(generator, scenes)) if recipe.kind != "weight-only" else []
        decodings = len(decoder.feeds)
        progress(QUANTISING[1])
        reference = calibration.results(generator, scenes)
    del generator
    gc.collect()  # the float UNet: what remembers prompts holds its generator in a cycle
    progress(QUANTISING[2])
    quantise(folder / "unet" / (OPENVINO_FILE if format == "openvino" else ONNX_FILE), format, samples, recipe)
    halves = {}
    if quantises_vae(format, recipe):
        progress(QUANTISING_VAE)
        # Other photos, and the same photos with other prompts, than what each is calibrated on.
        fed = {
            "vae_encoder": (encoder.feeds[::2], encoder.feeds[1::2] or encoder.feeds),
            "vae_decoder": (decoder.feeds[:decodings], decoder.feeds[decodings:]),
        }
        for half, (feeds, held_out) in fed.items():
            path = folder / half / OPENVINO_FILE
            halves[half] = quantise_vae_half(path, _some(feeds, 8), _some(held_out, 4))
    progress(QUANTISING[3])
    generator = BackgroundGenerator.load(folder, backend=format)
    measured = drift(reference, calibration.results(generator, calibration.scenes(generator)))
    is_large = measured["psnr"] < LEAST_PSNR or measured["ssim"] < LEAST_SSIM
    note(
        f"int8 against float at the same noise: PSNR {measured['psnr']:.1f} dB, SSIM {measured['ssim']:.3f}"
        + f"; below {LEAST_PSNR:g} dB or {LEAST_SSIM:g} look at the pictures, or calibrate on more" * is_large
    )
    return {
        "recipe": dataclasses.asdict(recipe),
        "samples": len(samples),
        "seed": calibration.seed,
        "photos": len(scenes),
        "prompts": len(calibration.prompts),
        "vae": halves,
        "drift": measured,
    }


def quantise(path: Path, format: Format, samples: Sequence[Feeds], recipe: Recipe) -> None:
    """Replaces a float network on disk, IR or ONNX, by its int8 form.

    samples: what the network is fed in use; `weight-only` looks at none.  Raises ExportFailed.
    """
    try:
        with quiet():
            if format == "openvino":
                save_ir(_quantised(ov.Core().read_model(path), samples, recipe), path)
            else:
                ranges = convolution_ranges(path, samples)
                model = _quantised(load_graph(path), samples, recipe, path.parent)
                fit_for_onnxruntime(model, ranges)
                _save_onnx(model, path)
    except Exception as error:  # NNCF's own have no common base
        raise ExportFailed(f"the UNet could not be quantised ({first_line(error)}); export it as fp16") from error


def _quantised(model: Any, samples: Sequence[Feeds], recipe: Recipe, beside: Path | None = None) -> Any:
    """beside: the folder with the weights of an ONNX model that are no part of its file."""
    kept = [*_SENSITIVE, *(_ENDS if recipe.float_ends else []), *(_ATTENTION_ONNX if beside else [])]
    left = nncf.IgnoredScope(patterns=kept, validate=False)
    if recipe.kind == "weight-only":
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM, ignored_scope=left)
    if recipe.kind == "hybrid":
        others = nncf.IgnoredScope(patterns=kept, types=["Convolution"], validate=False)
        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM, ignored_scope=others)
        left = nncf.IgnoredScope(patterns=kept, types=["MatMul", "ScaledDotProductAttention"], validate=False)
    return nncf.quantize(
        model,
        nncf.Dataset(list(samples)),
        subset_size=len(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=left,
        advanced_parameters=AdvancedQuantizationParameters(
            smooth_quant_alphas=AdvancedSmoothQuantParameters(
                matmul=-1.0 if recipe.smooth_quant is None else recipe.smooth_quant, convolution=-1.0
            ),
            backend_params={BackendParameters.EXTERNAL_DATA_DIR: str(beside.resolve())} if beside else {},
        ),
    )


def quantise_vae_half(path: Path, feeds: Sequence[Feeds], held_out: Sequence[Feeds]) -> dict[str, Any]:
    """Replaces the IR of a VAE's encoder or decoder by its int8 form, or leaves it; returns what was measured.

    feeds: what it is fed in use; held_out: the same, to measure on.  Raises ExportFailed.
    """
    half = path.parent.name
    try:
        with quiet():
            model, facts = QuantisedVAE(path, feeds, held_out, partial(_seen, path)).fitting()
            if model is not None:
                save_ir(model, path)
    except Exception as error:  # NNCF's own have no common base
        raise ExportFailed(f"the {half} could not be quantised ({first_line(error)}); export it as fp16") from error
    if facts["float_layers"]:
        layers = ", ".join(facts["float_layers"])
        what = "these layers stay" if model is not None else "the whole stays"
        note(f"{half}: {what} float, for with them in int8 it would stay below {LEAST_HALF_PSNR:g} dB: {layers}")
    return facts


def _some(feeds: Sequence[Feeds], most: int) -> Sequence[Feeds]:
    """Some, evenly spread: SD1.5's halves take seconds for each, and each has thousands of values to learn from."""
    return feeds[:: -(-len(feeds) // most)] if feeds else feeds


def _seen(path: Path, output: Array) -> Array:
    """What is used of what a VAE's half gives: pixels within their range; the mean of a KL encoder's distribution."""
    if path.parent.name == "vae_decoder":
        return np.clip(output, -1, 1)
    channels: int = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))["latent_channels"]
    return output[:, :channels]


def save_ir(model: ov.Model, path: Path) -> None:
    """Replaces an IR, whose weights `model` may still be reading."""
    unfinished = path.with_stem(f"{path.stem}.part")
    ov.save_model(model, unfinished)
    unfinished.with_suffix(".bin").replace(path.with_suffix(".bin"))
    unfinished.replace(path)


def _save_onnx(model: onnx.ModelProto, path: Path) -> None:
    unfinished = path.with_suffix(".part")
    onnx.save(model, unfinished)  # all in one file again: a quarter of the float network
    path.with_name(f"{path.name}_data").unlink(missing_ok=True)
    unfinished.replace(path)


@contextmanager
def quiet() -> Iterator[None]:
    """NNCF draws its progress on stdout, where data goes."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
