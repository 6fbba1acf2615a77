"""The export, from a checkpoint to a verified model folder."""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from cyclorama.engine.backends import open_session
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.diffusion.tokenizer import ClipTokenizer
from cyclorama.engine.errors import BadModel, CannotWrite, CycloramaError, first_line
from cyclorama.export import verification
from cyclorama.export.calibration import Calibration
from cyclorama.export.errors import ExportFailed
from cyclorama.export.half import compute_in_half
from cyclorama.export.lora import fuse_lora
from cyclorama.export.quantisation import quantise_folder
from cyclorama.export.request import Distilled, Format, Precision, Recipe, check_request
from cyclorama.export.source import load_pipeline, load_tiny_vae, use_distilled_scheduler
from cyclorama.export.trace import Stored, components, save_tokenizer, trace
from cyclorama.models.catalogue import CATALOGUE
from cyclorama.models.store import MANIFEST, hashes

Progress = Callable[[str], None]

_FULL = 1_000_000  # bytes free; OpenVINO does not say why it cannot write

_TOOLS = (
    "cyclorama", "torch", "diffusers", "transformers", "optimum", "optimum-intel", "optimum-onnx", "openvino", "nncf",
)  # fmt: skip


def export_checkpoint(
    source: str | Path,
    out_dir: str | Path,
    *,
    format: Format = "openvino",
    precision: Precision = "fp16",
    revision: str | None = None,
    loras: Sequence[tuple[str, float]] = (),
    tiny_vae: str | Path | None = None,
    distilled: Distilled | None = None,
    calibration: Calibration | None = None,
    recipe: Recipe | None = None,
    for_cuda: bool = False,
    name: str | None = None,
    progress: Progress = lambda stage: None,
) -> Path:
    """Turns a checkpoint into a model folder and returns it.

    source, revision: see `export.source.load_pipeline`.  loras: files or catalogue names with their
    scales.  tiny_vae: an AutoencoderTiny to put in the VAE's place.  distilled: the weights (or a
    LoRA among `loras`) were distilled so, and are to be sampled accordingly; known for LoRAs of the
    catalogue.  calibration, recipe: what int8 networks are calibrated on and how they are made; both have defaults, and
    with `int8` the other networks are stored as fp16.  for_cuda: networks compute in half precision as well; goes with
    ONNX and fp16.  name: what the model is called in metadata; a name of the
    catalogue brings the presets that fit.  progress: told each stage as it begins, see
    `export.request.stages`.

    Every network is held against PyTorch, and what int8 ones paint against what float ones do at the same noise. What
    fails, or is interrupted, leaves no folder behind.
    Raises ExportFailed, DownloadFailed, InvalidOptions, CannotWrite.
    """
    check_request(
        source,
        out_dir,
        format=format,
        precision=precision,
        revision=revision,
        loras=loras,
        tiny_vae=tiny_vae,
        distilled=distilled,
        has_calibration=calibration is not None,
        recipe=recipe,
        for_cuda=for_cuda,
    )
    out = Path(out_dir).resolve()
    with _partial_folder(out) as partial:
        progress("loading the checkpoint")
        pipeline, commit = load_pipeline(source, revision)
        entry = CATALOGUE.get(name or str(source))
        presets = entry.manifest_facts if entry else {}
        for lora, scale in loras:
            progress(f"fusing {lora}")
            fuse_lora(pipeline, lora, scale)
            if lora in CATALOGUE:
                distilled = distilled or CATALOGUE[lora].distilled
                presets |= CATALOGUE[lora].manifest_facts
        if distilled:
            use_distilled_scheduler(pipeline, distilled)
        if tiny_vae is not None:
            progress("loading the tiny VAE")
            pipeline.register_modules(vae=load_tiny_vae(tiny_vae))
        errors, of_unet = _write(pipeline, partial, format, precision, for_cuda, progress)
        del pipeline
        gc.collect()  # optimum's patched networks refer to themselves
        manifest = {
            "name": name or out.name,
            "source": str(source) if not Path(source).exists() else Path(source).resolve().name,
            "revision": commit,
            "loras": [{"source": Path(lora).name, "scale": scale} for lora, scale in loras],
            "tiny_vae": None if tiny_vae is None else Path(tiny_vae).name,
            "format": format,
            "precision": {component: _stored(component, precision) for component in errors},
            "for_cuda": for_cuda,
            **presets,
            "versions": {tool: version(tool) for tool in _TOOLS},
        }
        if precision == "int8":
            _save_manifest(manifest, partial)  # whose preset the UNet is calibrated for
            made = manifest["quantisation"] = quantise_folder(
                partial, format, calibration or Calibration.load(), recipe or Recipe(), progress
            )
            manifest["precision"]["unet"] = "int8"
            for half, facts in made["vae"].items():
                if facts["share_in_int8"]:
                    manifest["precision"][half] = "int8"
            # Of what is delivered, which is another than the float UNet that was held against PyTorch before.
            errors["unet"] = of_unet.relative_error(
                open_session(ModelFolder(partial).component("unet", format), format)
            )
        manifest["verification"] = {"max_relative_error": errors}
        _save_manifest({**manifest, "sha256": hashes(partial)}, partial)
        if out.exists():
            out.rmdir()  # empty, as checked above
        partial.replace(out)
    return Path(out_dir)


def _save_manifest(manifest: dict[str, Any], folder: Path) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _stored(component: str, precision: Precision) -> Stored:
    """How a component's weights are traced. A UNet that is to be quantised is float32 until then."""
    if precision == "int8":
        return "fp32" if component == "unet" else "fp16"
    return precision


@contextmanager
def _partial_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into, made before and gone after whatever happens."""
    partial = out.parent / f".{out.name}.partial-{os.getpid()}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for leftover in out.parent.glob(f".{out.name}.partial-*"):  # of exports that were killed
            if not psutil.pid_exists(int(leftover.name.rpartition("-")[2])):
                shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir()
        yield partial
    except OSError as error:
        raise CannotWrite(f"cannot write {out}: {error.strerror or error}; name another folder") from error
    except CycloramaError:
        raise
    except Exception as error:  # torch's, OpenVINO's and ONNX's own have no common base
        if partial.exists() and shutil.disk_usage(partial).free < _FULL:
            raise CannotWrite(f"cannot write {out}: no space left on device; name another folder") from error
        raise ExportFailed(
            f"the export failed ({type(error).__name__}: {first_line(error)}); nothing was kept. Please report it"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(
    pipeline: Any, folder: Path, format: Format, precision: Precision, for_cuda: bool, progress: Progress
) -> tuple[dict[str, float], verification.Reference]:
    """Writes all files of the model, and returns each component's error, and what PyTorch's UNet computes."""
    errors, references = {}, {}
    networks = components(pipeline, format)
    latent_size = 2 ** len(pipeline.unet.config.down_block_types)
    for component in list(networks):
        network, config = networks.pop(component)
        progress(f"exporting {component}")
        stored = _stored(component, precision)
        file = trace(network, config, folder / component, format, stored)
        if for_cuda:
            compute_in_half(file)
        session = open_session(file, format)
        _save_config(network, folder / component)
        progress(f"verifying {component}")
        size = 8 * latent_size if component == "vae_encoder" else latent_size
        references[component] = verification.Reference.of(network, session, size)
        errors[component] = references[component].relative_error(session)
        verification.check(component, errors[component], stored)
    pipeline.scheduler.save_pretrained(folder / "scheduler")
    save_tokenizer(pipeline, folder / "tokenizer", format)
    _check_tokenizer(pipeline.tokenizer, folder / "tokenizer")
    pipeline.save_config(folder)
    return errors, references["unet"]


def _check_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Raises ExportFailed unless ours reads a sentence as transformers' does."""
    sentence = "a sandy beach at sunset, 4k photo"
    theirs = tokenizer(sentence)["input_ids"]
    try:
        ours = ClipTokenizer(folder).encode(sentence)
    except BadModel as error:
        raise ExportFailed(f"the checkpoint's tokenizer cannot be used: {error}") from error
    if ours != list(theirs):
        raise ExportFailed(f"the checkpoint's tokenizer reads {sentence!r} as {theirs}, and here it would be {ours}")


def _save_config(network: Any, folder: Path) -> None:
    if hasattr(network, "save_config"):
        network.save_config(folder)
    else:
        network.config.save_pretrained(folder)
