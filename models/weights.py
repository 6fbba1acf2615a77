"""Files of weights: which of a component's are read, and what a file is by its content."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STEM = r"(?:diffusion_pytorch_model|pytorch_model|model)"
_SHARD = r"(?:-\d{5}-of-(?P<shards>\d{5}))?"
# Twice, for the variant stands before the shard's number or after it, as tools and times have it.
_FILE = re.compile(rf"{_STEM}(?:\.(?P<variant>\w+))?{_SHARD}\.(?P<kind>safetensors|bin)")
_OLD_SHARD = re.compile(rf"{_STEM}{_SHARD}\.(?P<variant>\w+)\.(?P<kind>safetensors|bin)")
_INDEX = re.compile(rf"{_STEM}\.(?P<kind>safetensors|bin)\.index(?:\.(?P<variant>\w+))?\.json")
# First come, first taken: half precision is half to fetch and what is stored in the end, bf16 is coarser.
_ORDER = tuple((kind, variant) for kind in ("safetensors", "bin") for variant in ("fp16", None, "bf16"))


@dataclass(frozen=True)
class WeightFiles:
    """The files of one component's weights that belong together.

    variant: `fp16`, `bf16` or None for full precision, as diffusers and transformers call it.
    """

    names: tuple[str, ...]
    variant: str | None
    is_safetensors: bool


def choose_weights(names: Iterable[str]) -> WeightFiles | None:
    """Of the files in a component's folder, here or on a hub, those to read; None where there are none.

    Half precision goes before full and full before bf16, safetensors before pickles; whole sets of shards, with their
    index, are as good as one file.
    """
    sets: dict[tuple[str, str | None], dict[int, list[str]]] = {}
    indexes: dict[tuple[str, str | None], str] = {}
    for name in sorted(names):
        if match := _INDEX.fullmatch(name):
            indexes[match["kind"], match["variant"]] = name
        elif match := _FILE.fullmatch(name) or _OLD_SHARD.fullmatch(name):
            sets.setdefault((match["kind"], match["variant"]), {}).setdefault(int(match["shards"] or 1), []).append(
                name
            )
    for kind, variant in _ORDER:
        for shards, files in sorted(sets.get((kind, variant), {}).items()):
            index = indexes.get((kind, variant))
            if len(files) >= shards and (index or "-of-" not in files[0]):
                chosen = (*files[:shards], *([index] if index and "-of-" in files[0] else []))
                return WeightFiles(chosen, variant, kind == "safetensors")
    return None


_FAMILIES = (
    ("StableDiffusionXL", "Stable Diffusion XL"), ("StableDiffusion3", "Stable Diffusion 3"), ("Flux", "FLUX"),
    ("Kandinsky", "Kandinsky"), ("PixArt", "PixArt"), ("QwenImage", "Qwen-Image"), ("Sana", "Sana"),
    ("Lumina", "Lumina"), ("StableCascade", "Stable Cascade"), ("HiDream", "HiDream"), ("ZImage", "Z-Image"),
)  # fmt: skip


def other_family(model_index: Mapping[str, Any]) -> str | None:
    """What a `model_index.json` describes, where that is no Stable Diffusion 1 or 2; else None."""
    name = str(model_index.get("_class_name", ""))
    family = next((family for beginning, family in _FAMILIES if name.startswith(beginning)), None)
    if family:
        return f"a {family} model ({name})"
    if "transformer" in model_index or "text_encoder_2" in model_index:
        return f"a model of another family ({name or 'unnamed'})"
    return None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; ValueError, in one line, where there is none."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__}, not an object")
    return value


def why_no_weights(path: Path) -> str | None:
    """Why a file holds no weights that are read here, with a remedy, by its content; None for a .safetensors file."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        return "is empty; fetch it again"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the weights themselves; run `git lfs pull` where it was cloned"
    is_safe = head[8:9] == b"{"
    is_pickle = head.startswith(b"PK\x03\x04") or (head[:1] == b"\x80" and head[1:2] <= b"\x05" and not is_safe)
    if is_pickle or (not is_safe and path.suffix.lower() in (".ckpt", ".pt", ".pth")):
        safe = path.with_suffix(".safetensors")
        return (
            "is a pickled checkpoint, which may run code while it is read, and is not read here; turn it into "
            f'.safetensors: python -c "{_CONVERT}" {shlex.quote(str(path))} {shlex.quote(str(safe))}'
        )
    if head.startswith(b"GGUF"):
        return "is a GGUF file, whose weights are quantised already; give the checkpoint that it was made of"
    if head.lstrip()[:1] == b"<":
        return "is a web page, not the weights themselves; fetch it again, past the page that asks for a login"
    length, size = int.from_bytes(head[:8], "little"), path.stat().st_size
    if len(head) < 9 or not is_safe or length + 8 > size or length > _LONGEST_HEADER:
        return "is no .safetensors file that can be read, or is cut off; fetch it again"
    try:
        with path.open("rb") as file:
            file.seek(8)
            entries = json.loads(file.read(length))
        end = (
            8
            + length
            + max((entry["data_offsets"][1] for name, entry in entries.items() if name[:2] != "__"), default=0)
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "is no .safetensors file that can be read: its header is damaged; fetch it again"
    return None if end <= size else f"is cut off: it has {size} of {end} bytes; fetch it again"


_LONGEST_HEADER = 100_000_000  # bytes, as safetensors itself allows
_CONVERT = (
    "import sys, torch; from safetensors.torch import save_file; c = torch.load(sys.argv[1], weights_only=True); "
    "c = c.get('state_dict', c); "
    "save_file({k: v.clone().contiguous() for k, v in c.items() if torch.is_tensor(v)}, sys.argv[2])"
)


def lfs_pointers(folder: Path) -> Iterator[Path]:
    """Files under a folder that only stand for what Git LFS would fetch."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size < 1024 and path.read_bytes().startswith(b"version https://git-lfs"):
            yield path
