"""Checkpoints of Stable Diffusion 1.5's shape with random weights: speed does not depend on the values."""

from __future__ import annotations

import hashlib
import inspect
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
)
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from cyclorama.engine.backends import ONNX_FILE, OPENVINO_FILE, open_session, random_feeds
from cyclorama.export import Recipe, export_checkpoint, qdq, quantisation, quantised_vae, subpixel
from cyclorama.export.quantised_vae import QuantisedVAE
from cyclorama.export.request import Format
from cyclorama.export.source import load_pipeline, use_distilled_scheduler
from cyclorama.export.trace import components, trace
from cyclorama.models.catalogue import embedded

# Layers of a decoder that the export left float in a KL VAE of the same layers, a quarter as wide, which was trained on
# photos for a quarter of an hour: those of the middle's attention, the first of all, and the last block.
_FLOAT_WHEN_TRAINED = re.compile(r"attentions|post_quant_conv|up_blocks\.3\.resnets")
_TOKENIZER = embedded("nano") / "tokenizer"


@dataclass(frozen=True)
class Folders:
    """One checkpoint in all the forms that are compared; a folder is made when first asked for, and kept."""

    where: Path
    progress: Callable[[str], None]

    def _made(self, name: str, make: Callable[[Path], object]) -> Path:
        folder = self.where / name
        if not folder.is_dir():
            self.progress(f"making {name}")
            partial = self.where / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.parent.mkdir(parents=True, exist_ok=True)
            make(partial)
            partial.replace(folder)
        return folder

    @property
    def checkpoint(self) -> Path:
        """As diffusers reads it."""
        return self._made("checkpoint", save_sd15)

    @property
    def fp16(self) -> Path:
        """OpenVINO IR, weights in fp16."""
        return self._made(f"openvino-fp16-{recipe_key()}", lambda out: export_checkpoint(self.checkpoint, out))

    @property
    def peers(self) -> Path:
        """What optimum-intel makes of the checkpoint by itself, with none of our changes: IR, weights in fp16."""
        return self._made("openvino-optimum", self._by_optimum)

    @property
    def int8(self) -> Path:
        """The same in int8, the VAE too."""
        return self._made(f"openvino-int8-{recipe_key()}", lambda out: self._quantised(self.fp16, out, "openvino"))

    @property
    def fast(self) -> Path:
        """The int8 UNet with a tiny VAE in int8, to be sampled as a distilled one is."""
        return self._made(f"openvino-fast-{recipe_key()}", self._with_tiny_vae)

    @property
    def onnx(self) -> Path:
        """ONNX in float32."""
        return self._made(
            "onnx-fp32", lambda out: export_checkpoint(self.checkpoint, out, format="onnx", precision="fp32")
        )

    @property
    def for_cuda(self) -> Path:
        """ONNX that computes in half precision."""
        return self._made(
            "onnx-half", lambda out: export_checkpoint(self.checkpoint, out, format="onnx", for_cuda=True)
        )

    @property
    def onnx_int8(self) -> Path:
        """The same with an int8 UNet."""
        return self._made(f"onnx-int8-{recipe_key()}", lambda out: self._quantised(self.onnx, out, "onnx"))

    def _by_optimum(self, out: Path) -> None:
        # Here, for without a home folder they cannot be imported, which `cyclorama.export` says in a sentence.
        from optimum.exporters.openvino import main_export
        from optimum.intel.openvino.configuration import OVConfig

        main_export(
            str(self.checkpoint), out, task="inpainting", library_name="diffusers", ov_config=OVConfig(dtype="fp16"),
            convert_tokenizer=True,
        )  # fmt: skip

    def _quantised(self, source: Path, out: Path, format: Format) -> None:
        shutil.copytree(source, out)
        path = out / "unet" / (OPENVINO_FILE if format == "openvino" else ONNX_FILE)
        session = open_session(path, format)
        feeds = [random_feeds(session, size=64, tokens=77, seed=seed) for seed in range(3)]
        # Random weights have no accuracy to keep, so three samples of noise are as good as any.
        quantisation.quantise(
            path, format, [{name: np.asarray(value) for name, value in feed.items()} for feed in feeds], Recipe()
        )
        if format == "openvino":
            _quantise_vae(out)

    def _with_tiny_vae(self, out: Path) -> None:
        shutil.copytree(self.int8, out)
        pipeline, _ = load_pipeline(self.checkpoint)
        torch.manual_seed(0)
        pipeline.register_modules(vae=AutoencoderTiny())  # of TAESD's shape
        use_distilled_scheduler(pipeline, "lcm")
        networks = components(pipeline, "openvino")
        for name in ("vae_encoder", "vae_decoder"):
            network, config = networks[name]
            shutil.rmtree(out / name)
            trace(network, config, out / name, "openvino", "fp16")
            network.save_config(out / name)
        _quantise_vae(out)
        pipeline.scheduler.save_pretrained(out / "scheduler")
        pipeline.save_config(out)


def _quantise_vae(folder: Path) -> None:
    """What int8 changes in random weights says nothing, so that what stays float is taken from a trained VAE."""
    for half, side in (("vae_encoder", 512), ("vae_decoder", 64)):
        path = folder / half / OPENVINO_FILE
        session = open_session(path, "openvino")
        feeds = {name: np.asarray(value) for name, value in random_feeds(session, size=side).items()}
        with quantisation.quiet():
            vae = QuantisedVAE(path, [feeds], [feeds], lambda output: output)
            kept = [name for name in vae.layers if half == "vae_decoder" and _FLOAT_WHEN_TRAINED.search(name)]
            quantisation.save_ir(vae.with_float(kept), path)


def recipe_key() -> str:
    """Changes with whatever decides how networks are traced and quantised, so that no older ones are measured."""
    sources = [inspect.getsource(module) for module in (quantisation, quantised_vae, subpixel, qdq)]
    facts = "".join([*sources, version("nncf"), version("openvino")])
    return hashlib.sha256(facts.encode()).hexdigest()[:8]


def multiplications() -> dict[str, int]:
    """Operations (two per multiplication) of one UNet forward at 512x512, by kind; attention's are its own products."""
    with torch.device("meta"):
        unet = _unet()
        feeds = torch.empty(1, 9, 64, 64), torch.empty(1), torch.empty(1, 77, 768)
        with FlopCounterMode(display=False) as counter:
            unet(*feeds)
    by_operator = counter.get_flop_counts()["Global"]
    found = {"convolution": 0, "matrix product": 0, "attention": 0}
    for operator, count in by_operator.items():
        # On the meta device attention is taken apart; nothing else in this network is a batched product.
        kind = {"aten.convolution": "convolution", "aten.bmm": "attention"}.get(str(operator), "matrix product")
        found[kind] += int(count)
    return found


def _unet() -> Any:
    return UNet2DConditionModel(
        sample_size=64, in_channels=9, out_channels=4, cross_attention_dim=768, attention_head_dim=8
    )


def save_sd15(folder: Path) -> Path:
    """A diffusers checkpoint of SD1.5-inpainting's shape, weights stored as fp16 (2.1 GB); returns its folder.

    The tokenizer is nano's: it has fewer words, and gives as many tokens.
    """
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(_TOKENIZER, model_max_length=77)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
            max_position_embeddings=77,
            projection_dim=768,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )
    pipeline: Any = StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=_unet(),
        scheduler=DDIMScheduler(  # which every peer has
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, clip_sample=False
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder)
    return folder
