"""What is asked of an export, checked before any of the heavy libraries is imported or anything is fetched."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from cyclorama.engine.checks import number, one_of, shown, text, yes_or_no
from cyclorama.engine.diffusion.model_folder import COMPONENTS
from cyclorama.engine.errors import CannotWrite, InvalidOptions
from cyclorama.export.errors import ExportFailed
from cyclorama.models.catalogue import CATALOGUE
from cyclorama.models.weights import why_no_weights

Format = Literal["openvino", "onnx"]
Precision = Literal["fp32", "fp16", "int8"]
Distilled = Literal["lcm", "tcd"]
Kind = Literal["full", "hybrid", "weight-only"]

QUANTISING = (
    "recording the UNet's inputs", "painting for comparison", "quantising the UNet", "measuring the drift",
)  # fmt: skip
QUANTISING_VAE = "quantising the VAE"
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w.-]+")
_ADDRESS = re.compile(r"(?:https?|hf):/{1,2}(?:[^/]+\.[^/]+/)?(?P<id>[\w][\w.-]*/[\w.-]+)?")


@dataclass(frozen=True)
class Recipe:
    """How a UNet is quantised. Raises InvalidOptions.

    kind: `full` computes convolutions and matrix products in int8; `hybrid` convolutions alone, the products'
    weights being stored in int8; `weight-only` nothing: weights are stored in int8 and computed in float. The latter
    two are for OpenVINO IR.
    smooth_quant: alpha of SmoothQuant (Xiao et al., 2022) for the matrix products of `full`, 0 to 1; None: without.
    float_ends: first and last convolution and the time embedding stay float.
    """

    kind: Kind = "full"
    smooth_quant: float | None = None
    float_ends: bool = True

    def __post_init__(self) -> None:
        one_of("the recipe", self.kind, get_args(Kind))
        yes_or_no("float_ends", self.float_ends)
        if self.smooth_quant is not None:
            number("smooth_quant", self.smooth_quant, 0, 1)
            if self.kind != "full":
                raise InvalidOptions(f"smooth_quant goes with `full`, got {self.kind}")


def check_request(
    source: object,
    out_dir: object,
    *,
    format: str,
    precision: str,
    revision: object = None,
    loras: Sequence[tuple[str, float]] = (),
    tiny_vae: object = None,
    distilled: str | None = None,
    has_calibration: bool = False,
    recipe: Recipe | None = None,
    for_cuda: object = False,
) -> None:
    """Raises InvalidOptions, ExportFailed or CannotWrite for what cannot be; see `export_checkpoint`."""
    one_of("format", format, get_args(Format))
    one_of("precision", precision, get_args(Precision))
    if distilled is not None:
        one_of("distilled", distilled, get_args(Distilled))
    if revision is not None:
        text("revision", revision)
    if recipe is not None and not isinstance(recipe, Recipe):
        raise InvalidOptions(f"a recipe must be a Recipe, got {shown(recipe)}")
    if precision != "int8" and (has_calibration or recipe):
        raise InvalidOptions(f"a calibration or a recipe goes with precision int8, got {precision}")
    yes_or_no("for_cuda", for_cuda)
    if for_cuda and (format, precision) != ("onnx", "fp16"):
        raise InvalidOptions(f"for CUDA a model is exported to onnx in fp16, got {format} in {precision}")
    if format == "onnx" and recipe and recipe.kind != "full":
        raise InvalidOptions(f"the recipe {recipe.kind} is for OpenVINO; use full, or --format openvino")
    check_source(source)
    if tiny_vae is not None:
        check_source(tiny_vae, "tiny VAE")
    if not isinstance(loras, Sequence) or isinstance(loras, str):
        raise InvalidOptions(f"loras must be pairs of a file and a scale, got {shown(loras)}")
    for lora in loras:
        _check_lora(lora)
    _check_folder(out_dir)


def stages(
    loras: Sequence[tuple[str, float]] = (),
    tiny_vae: object = None,
    precision: str = "fp16",
    format: str = "openvino",
    recipe: Recipe | None = None,
) -> tuple[str, ...]:
    """What `export_checkpoint` tells its `progress`, in order."""
    *quantising, drift = QUANTISING
    vae = (QUANTISING_VAE,) if quantises_vae(format, recipe or Recipe()) else ()
    return (
        "loading the checkpoint",
        *(f"fusing {lora}" for lora, _ in loras),
        *(["loading the tiny VAE"] if tiny_vae is not None else []),
        *(f"{doing} {component}" for component in COMPONENTS for doing in ("exporting", "verifying")),
        *((*quantising, *vae, drift) if precision == "int8" else ()),
    )


def quantises_vae(format: str, recipe: Recipe) -> bool:
    """Whether the VAE is wanted in int8 as well. On ONNX Runtime it stays float, and with `weight-only` all does."""
    return format == "openvino" and recipe.kind != "weight-only"


def check_source(source: object, what: str = "checkpoint") -> None:
    """Refuses what is plainly no checkpoint's folder, file, name or hub id."""
    if not isinstance(source, str | os.PathLike):
        raise InvalidOptions(f"a {what} is a folder, a file, a name or a hub id, got {shown(source)}")
    name = os.fspath(source)
    if not isinstance(name, str) or not name or "\0" in name:
        raise InvalidOptions(f"a {what} is a folder, a file, a name or a hub id, got {shown(name)}")
    if match := _ADDRESS.match(name):
        meant = f"give its id alone: {match['id']}" if match["id"] else "give the hub's id, owner/name"
        raise ExportFailed(f"{name} is a web address; {meant}")
    path = Path(name)
    if name in CATALOGUE:
        entry = CATALOGUE[name]
        if entry.embedded and not entry.repository and not (entry.shipped and entry.shipped.exists()):
            raise ExportFailed(
                f"the {what} of {name} is not installed, only its exported form; give {entry.file} of a clone instead"
            )
        return
    if path.is_file():
        why = why_no_weights(path)
        if what != "checkpoint":
            raise ExportFailed(f"{path} is a file; a {what} is a diffusers folder, a name or a hub id")
        if why:
            raise ExportFailed(f"{path} {why}")
        return
    if path.is_dir():
        if what == "checkpoint" and not (path / "model_index.json").is_file():
            raise ExportFailed(f"{path} is no diffusers checkpoint: it has no model_index.json")
        return
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise ExportFailed(
            f"there is no {what} {name}; give a diffusers folder, a .safetensors file, "
            "a name in the catalogue or a hub id like owner/name"
        )


def _check_lora(lora: object) -> None:
    if not isinstance(lora, tuple | list) or len(lora) != 2:
        raise InvalidOptions(f"each of loras must be a file and a scale, got {shown(lora)}")
    source, scale = lora
    name = text("the LoRA's file or name", os.fspath(source) if isinstance(source, os.PathLike) else source)
    if not isinstance(scale, int | float) or isinstance(scale, bool) or not math.isfinite(scale):
        raise InvalidOptions(f"the scale of the LoRA {name} must be a number, got {scale}")
    entry = CATALOGUE.get(name)
    if entry and entry.kind == "lora" and (entry.repository or (entry.shipped and entry.shipped.is_file())):
        return
    path = Path(name)
    if not path.is_file():
        names = ", ".join(name for name, candidate in CATALOGUE.items() if candidate.kind == "lora")
        raise ExportFailed(f"there is no LoRA file {name}; give a .safetensors file or one of {names}")
    why = why_no_weights(path)
    if why:
        raise ExportFailed(f"the LoRA {name} {why}")


def _check_folder(out_dir: object) -> None:
    if not isinstance(out_dir, str | os.PathLike) or not os.fspath(out_dir):
        raise InvalidOptions(f"the folder to export into must be a path, got {shown(out_dir)}")
    out = Path(os.fspath(out_dir)).resolve()
    if out == Path.cwd() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise InvalidOptions(f"{out_dir} exists already; name another folder or remove it first")
    existing = next(folder for folder in out.parents if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        reason = "not permitted" if existing.is_dir() else f"{existing} is a file"
        raise CannotWrite(f"cannot write {out}: {reason}; name another folder")
