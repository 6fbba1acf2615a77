"""`cyclorama export`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from cyclorama.commands.console import clear_errors, print_path, remark, stages
from cyclorama.engine.machine import int8_instructions


def _lora(_context: click.Context, _parameter: click.Parameter, values: Iterable[str]) -> list[tuple[str, float]]:
    parsed = []
    for value in values:
        file, separator, scale = value.rpartition(":")
        try:
            parsed.append((file, float(scale)) if separator else (value, 1.0))
        except ValueError:
            parsed.append((value, 1.0))  # a colon of the path's own
    return parsed


@click.command()
@click.argument("source")
@click.argument("out_dir", type=click.Path(path_type=Path))
@click.option("--format", type=click.Choice(["openvino", "onnx"]), default="openvino", show_default=True)
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8", "auto"]), default="fp16", show_default=True,
              help="auto: int8 where this CPU computes it faster than float, else fp16.")  # fmt: skip
@click.option("--for-cuda", is_flag=True, help="With onnx and fp16: compute in half precision, as GPUs are made for.")
@click.option("--revision", help="Branch, tag or commit of a hub repository.")
@click.option("--lora", "loras", multiple=True, metavar="FILE[:SCALE]", callback=_lora, help="Fuse a LoRA; repeatable.")
@click.option("--tiny-vae", metavar="SOURCE", help="Put an AutoencoderTiny in the VAE's place (`taesd`, or a folder).")
@click.option("--distilled", type=click.Choice(["lcm", "tcd"]), help="The weights or LoRAs were distilled so.")
@click.option(
    "--calibration-images", type=click.Path(path_type=Path), help="int8: a folder of photos; some are shipped."
)
@click.option(
    "--calibration-prompts", type=click.Path(path_type=Path), help="int8: a file, a prompt a line; some are shipped."
)
@click.option("--recipe", "kind", type=click.Choice(["full", "hybrid", "weight-only"]), help="int8: default full.")
@clear_errors
def export(
    source: str,
    out_dir: Path,
    calibration_images: Path | None,
    calibration_prompts: Path | None,
    kind: Any,
    **options: Any,
) -> None:
    """Turn a Stable Diffusion checkpoint into a model folder that runs without torch.

    SOURCE is a diffusers folder, a .safetensors file in the original layout, a hub id or a name
    from `models list`. Every network is held against PyTorch before the folder appears; int8 ones, calibrated on photos
    that are painted with the float ones, against what those paint.

    \b
    Examples:
      cyclorama export ./my-checkpoint ./my-model
      cyclorama export ./my-checkpoint ./my-model --precision int8
      cyclorama export sd15-inpaint ./sd15-fast --lora lcm-lora-sd15 --tiny-vae taesd
    """
    from cyclorama.export.request import Recipe, check_request
    from cyclorama.export.request import stages as stages_of

    if options["precision"] == "auto":
        fast = int8_instructions()
        options["precision"] = "int8" if fast else "fp16"
        remark(f"{options['precision']}, for this CPU has {', '.join(fast) or 'no instructions for int8'}")
    if kind:
        options["recipe"] = Recipe(kind)
    # Before torch and its kin are imported, which takes many seconds.
    has_calibration = bool(calibration_images or calibration_prompts)
    check_request(source, out_dir, has_calibration=has_calibration, **options)
    if has_calibration:
        from cyclorama.export import Calibration

        options["calibration"] = Calibration.load(calibration_images, calibration_prompts)
    named = stages_of(
        options["loras"], options["tiny_vae"], options["precision"], options["format"], options.get("recipe")
    )
    with stages("loading torch", 1 + len(named)) as progress:
        from cyclorama.export import export_checkpoint

        folder = export_checkpoint(source, out_dir, progress=progress, **options)
    manifest = json.loads((folder / "cyclorama.json").read_text())
    halves = manifest.get("quantisation", {}).get("vae", {})
    for component, error in manifest["verification"]["max_relative_error"].items():
        is_int8 = manifest["precision"][component] == "int8"
        if is_int8 and component in halves:
            remark(f"{component} in int8 agrees with the float one to {halves[component]['psnr']} dB")
        else:
            how = "in int8 differs from PyTorch by up to" if is_int8 else "agrees with PyTorch within"
            remark(f"{component} {how} {error:.1e} of its range")
    print_path(folder)
