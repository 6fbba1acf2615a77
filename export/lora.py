"""LoRA files fused into a pipeline's weights before tracing.

Done here rather than by diffusers and peft, because with those a file whose layers differ in rank did
not give the weights that the formula says, nor attach to just the layers it names.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from cyclorama.engine.errors import InvalidOptions, first_line
from cyclorama.export.errors import ExportFailed
from cyclorama.models.catalogue import CATALOGUE
from cyclorama.models.hub import fetch_file
from cyclorama.models.weights import why_no_weights

# kohya writes `lora_unet_a_b.lora_down.weight`, peft `unet.a.b.lora_A.weight`, older diffusers
# `unet.a.b.lora.down.weight` and `unet.a.processor.to_q_lora.down.weight`.
_KEY = re.compile(
    r"^(?P<layer>.+?)[._](?:lora(?:_linear_layer)?[._](?P<role>down|up|A|B)(?:\.default)?\.weight|(?P<alpha>alpha))$"
)
_PREFIXES = {"lora_unet_": "unet", "unet_": "unet", "lora_te_": "text_encoder", "text_encoder_": "text_encoder"}


# What a file's metadata may say of its LoRA (peft's LoraConfig) without changing what it means for weights that are
# there; and of what does change it, the values that mean "no".
_IDLE = {
    "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "target_modules", "exclude_modules",
    "lora_dropout", "inference_mode", "task_type", "peft_type", "peft_version", "auto_mapping", "revision",
    "base_model_name_or_path", "layers_to_transform", "layers_pattern", "megatron_core", "runtime_config",
    "qalora_group_size", "eva_config", "loftq_config", "corda_config", "ensure_weight_tying", "lora_ga_config",
}  # fmt: skip
_NO = {"init_lora_weights": (True, False, "gaussian", "orthogonal", "eva", "lora_ga"), "bias": ("none",)}
_METADATA = "lora_adapter_metadata"


@dataclass
class _Layer:
    """One layer's part of a LoRA: its weight changes by alpha / rank * up @ down."""

    down: torch.Tensor | None = None
    up: torch.Tensor | None = None
    alpha: float | None = None
    by_root: bool = False  # rsLoRA (Kalajdzievski, 2023): alpha over the rank's square root

    def change(self, shape: torch.Size) -> torch.Tensor:
        if self.down is None or self.up is None:
            raise ValueError("half of a pair is missing")
        if min(self.down.ndim, self.up.ndim) < 2:
            raise ValueError(f"its halves have the shapes {tuple(self.down.shape)} and {tuple(self.up.shape)}")
        rank = self.down.shape[0]
        if rank == 0:
            raise ValueError("its rank is 0")
        if self.up.shape[1] != rank:
            raise ValueError(f"its halves have the ranks {rank} and {self.up.shape[1]}")
        scale = 1.0 if self.alpha is None else self.alpha / (math.sqrt(rank) if self.by_root else rank)
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
        path = _find(source)
        why = why_no_weights(path)
        if why:
            raise ExportFailed(f"the LoRA {source} {why}")
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = _adapters(source, file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ExportFailed(f"the LoRA {source} is no .safetensors file that can be read ({error})") from error
    layers: dict[str, _Layer] = {}
    paths: dict[str, str] = {}  # by the layer's name, how the file writes it, with its dots
    for key, tensor in tensors.items():
        match = _KEY.match(key)
        name = match["layer"].replace(".processor.", ".").replace(".", "_") if match else ""
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        if match is None or prefix is None:
            raise ExportFailed(f"{source} is no LoRA that can be fused: it has {key}; only plain LoRA layers can")
        full = f"{_PREFIXES[prefix]}_{name.removeprefix(prefix)}"
        layer = layers.setdefault(full, _Layer())
        paths[full] = match["layer"].partition(".")[2]
        if match["alpha"]:
            if tensor.numel() != 1:
                raise ExportFailed(
                    f"{source} is no LoRA that can be fused: {key} holds {tensor.numel()} numbers, not one"
                )
            layer.alpha = float(tensor)
        else:
            half = "down" if match["role"] in ("down", "A") else "up"
            if getattr(layer, half) is not None:
                raise ExportFailed(f"{source} is no LoRA that can be fused: it has {full} twice, {key} among it")
            setattr(layer, half, tensor)
    if not layers:
        raise ExportFailed(f"the LoRA {source} is empty")
    for name, layer in layers.items():
        part = "unet" if name.startswith("unet_") else "text_encoder"
        if part in metadata:
            _configure(layer, metadata[part], paths[name], source)
        yield name, layer


def _adapters(source: str, metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """peft's configuration of each part, from where diffusers keeps it in a file; refused where it is not honoured."""
    if _METADATA not in metadata:
        return {}
    try:
        entries: dict[str, Any] = json.loads(metadata[_METADATA])
        adapters: dict[str, dict[str, Any]] = {}
        for key, value in entries.items():
            part, _, name = key.partition(".")
            adapters.setdefault(part, {})[name] = value
    except (ValueError, AttributeError) as error:
        raise ExportFailed(f"the LoRA {source} has metadata that cannot be read ({first_line(error)})") from error
    for part, adapter in adapters.items():
        for name, value in adapter.items():
            if name not in _IDLE and value and value not in _NO.get(name, ()):
                raise ExportFailed(
                    f"the LoRA {source} says {part}.{name} = {value!r}; only plain LoRA layers can be fused"
                )
        for name in ("r", "lora_alpha"):
            _check_number(source, f"{part}.{name}", adapter.get(name))
        for name in ("rank_pattern", "alpha_pattern"):
            patterns = adapter.get(name) or {}
            if not isinstance(patterns, dict):
                raise ExportFailed(f"the LoRA {source} is damaged: {part}.{name} is {patterns!r:.60}")
            for pattern, value in patterns.items():
                _check_number(source, f"{part}.{name}", value)
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ExportFailed(
                        f"the LoRA {source} is damaged: {part}.{name} has {pattern!r} ({error})"
                    ) from None
    return adapters


def _check_number(source: str, name: str, value: Any) -> None:
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
    ):
        raise ExportFailed(f"the LoRA {source} is damaged: {name} is {value!r:.60}, no number")


def _configure(layer: _Layer, adapter: Mapping[str, Any], path: str, source: str) -> None:
    """Gives a layer the alpha that its file's metadata says; as in peft, patterns go before the common value."""
    rank, alpha = (
        _by_pattern(adapter.get(patterns) or {}, path, adapter.get(common))
        for patterns, common in (("rank_pattern", "r"), ("alpha_pattern", "lora_alpha"))
    )
    actual = None if layer.down is None else layer.down.shape[0]
    if rank is not None and actual is not None and actual != rank:
        raise ExportFailed(f"the LoRA {source} is damaged: {path} should have the rank {rank}, but has {actual}")
    if layer.alpha is None and alpha is not None:
        layer.alpha = float(alpha)
    layer.by_root = bool(adapter.get("use_rslora"))


def _by_pattern(patterns: Mapping[str, Any], path: str, common: Any) -> Any:
    """A value by the first pattern that a layer's name ends in, as peft's `get_pattern_key` has it."""
    return next((value for pattern, value in patterns.items() if re.match(rf"(.*\.)?({pattern})$", path)), common)


def _find(source: str) -> Path:
    entry = CATALOGUE.get(source)
    if entry and entry.kind == "lora" and entry.repository and entry.file:
        return fetch_file(entry.repository, entry.file, entry.revision)
    path = entry.shipped if entry and entry.shipped else Path(source)
    if not path.is_file():
        names = ", ".join(name for name, candidate in CATALOGUE.items() if candidate.kind == "lora")
        raise ExportFailed(f"there is no LoRA file {source}; give a .safetensors file or one of {names}")
    return path
