"""LoRA files fused into a pipeline's weights before tracing.

Done here rather than by diffusers and peft, because with those a file whose layers differ in rank did
not give the weights that the formula says, nor attach to just the layers it names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from engine.errors import InvalidOptions, first_line
from export.errors import ExportFailed
from models.catalogue import CATALOGUE
from models.hub import fetch_file

# kohya writes `lora_unet_a_b.lora_down.weight`, peft `unet.a.b.lora_A.weight`, older diffusers
# `unet.a.b.lora.down.weight` and `unet.a.processor.to_q_lora.down.weight`.
_KEY = re.compile(
    r"^(?P<layer>.+?)[._](?:lora(?:_linear_layer)?[._](?P<role>down|up|A|B)(?:\.default)?\.weight|(?P<alpha>alpha))$"
)
_PREFIXES = {"lora_unet_": "unet", "unet_": "unet", "lora_te_": "text_encoder", "text_encoder_": "text_encoder"}


@dataclass
class _Layer:
    """One layer's part of a LoRA: its weight changes by alpha / rank * up @ down."""

    down: torch.Tensor | None = None
    up: torch.Tensor | None = None
    alpha: float | None = None

    def change(self, shape: torch.Size) -> torch.Tensor:
        if self.down is None or self.up is None:
            raise ValueError("half of a pair is missing")
        rank = self.down.shape[0]
        scale = 1.0 if self.alpha is None else self.alpha / rank
        # A convolution's kernel lies in `down`; `up` is 1x1.
        return scale * (self.up.flatten(1).float() @ self.down.flatten(1).float()).reshape(shape)


@torch.no_grad()
def fuse_lora(pipeline: Any, source: str, scale: float = 1.0) -> None:
    """W += scale * alpha / rank * up @ down for every layer in the file, linear and convolution.

    source: a `.safetensors` file (kohya's and diffusers' key formats, as of LCM-LoRA and Hyper-SD)
    or a LoRA's name in the catalogue. Raises ExportFailed when the file cannot be read or does not
    fit the model; then no weight was changed.
    """
    if not math.isfinite(scale):
        raise InvalidOptions(f"the scale of the LoRA {source} must be a number, got {scale}")
    changes = []
    modules = {
        f"{part}_{name.replace('.', '_')}": module
        for part in ("unet", "text_encoder")
        for name, module in getattr(pipeline, part).named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }
    for name, layer in _layers(source):
        module = modules.get(name, modules.get(f"{name}_0"))  # older diffusers says to_out for to_out.0
        if module is None:
            raise ExportFailed(
                f"the LoRA {source} does not fit this model, which has no layer {name}; "
                "was it trained for another base model?"
            )
        try:
            changes.append((module.weight, layer.change(module.weight.shape)))
        except (ValueError, RuntimeError) as error:
            raise ExportFailed(
                f"the LoRA {source} does not fit this model at {name} ({first_line(error)}); "
                "was it trained for another base model?"
            ) from error
    for weight, change in changes:
        weight.add_(change, alpha=scale)


def _layers(source: str) -> Iterator[tuple[str, _Layer]]:
    """The file's layers, named `unet_...` or `text_encoder_...` with underscores throughout."""
    try:
        tensors = load_file(_find(source))
    except (OSError, SafetensorError) as error:
        raise ExportFailed(f"the LoRA {source} is no .safetensors file that can be read ({error})") from error
    layers: dict[str, _Layer] = {}
    for key, tensor in tensors.items():
        match = _KEY.match(key)
        name = match["layer"].replace(".processor.", ".").replace(".", "_") if match else ""
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        if match is None or prefix is None:
            raise ExportFailed(f"{source} is no LoRA that can be fused: it has {key}; only plain LoRA layers can")
        layer = layers.setdefault(f"{_PREFIXES[prefix]}_{name.removeprefix(prefix)}", _Layer())
        if match["alpha"]:
            layer.alpha = float(tensor)
        elif match["role"] in ("down", "A"):
            layer.down = tensor
        else:
            layer.up = tensor
    if not layers:
        raise ExportFailed(f"the LoRA {source} is empty")
    yield from layers.items()


def _find(source: str) -> Path:
    entry = CATALOGUE.get(source)
    if entry and entry.kind == "lora" and entry.repository and entry.file:
        return fetch_file(entry.repository, entry.file, entry.revision)
    path = entry.shipped if entry and entry.shipped else Path(source)
    if not path.is_file():
        names = ", ".join(name for name, candidate in CATALOGUE.items() if candidate.kind == "lora")
        raise ExportFailed(f"there is no LoRA file {source}; give a .safetensors file or one of {names}")
    return path
