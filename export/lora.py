"""LoRA files fused into a pipeline's weights before tracing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from export.errors import ExportFailed
from models.catalogue import CATALOGUE
from models.hub import fetch_file


def fuse_lora(pipeline: Any, source: str, scale: float = 1.0) -> None:
    """W += scale * alpha / rank * up @ down for every layer in the file, linear and convolution.

    source: a `.safetensors` file (diffusers' and kohya's key formats: LCM-LoRA, Hyper-SD) or a
    LoRA's name in the catalogue. Raises ExportFailed when the file cannot be read or when it does
    not fit the model, rather than fusing half of it.
    """
    path = _find(source)
    try:
        state_dict, _ = pipeline.lora_state_dict(str(path), local_files_only=True)
        wanted = {key.rsplit(".lora", 1)[0] for key in state_dict if ".lora" in key}
        pipeline.load_lora_weights(str(path), adapter_name="fused", local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        line = str(error).strip().splitlines()
        raise ExportFailed(f"the LoRA {source} does not fit this model: {line[0] if line else error!r}") from error
    fitted = sum(
        hasattr(module, "lora_A") for part in (pipeline.unet, pipeline.text_encoder) for module in part.modules()
    )
    if not wanted or fitted != len(wanted):
        raise ExportFailed(
            f"the LoRA {source} does not fit this model: {fitted} of its {len(wanted)} layers were found in it; "
            "was it trained for another base model?"
        )
    pipeline.fuse_lora(lora_scale=scale)
    pipeline.unload_lora_weights()


def _find(source: str) -> Path:
    entry = CATALOGUE.get(source)
    if entry and entry.kind == "lora" and entry.repository and entry.file:
        return fetch_file(entry.repository, entry.file, entry.revision)
    path = Path(source)
    if not path.is_file():
        names = ", ".join(name for name, candidate in CATALOGUE.items() if candidate.kind == "lora")
        raise ExportFailed(f"there is no LoRA file {source}; give a .safetensors file or one of {names}")
    return path
