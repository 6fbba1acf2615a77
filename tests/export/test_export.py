"""Exporting: sources of every shape, LoRAs, tiny VAEs, verification, and what other tools make of the result."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

from cyclorama import BackgroundGenerator, BadModel, CannotWrite, InvalidOptions
from cyclorama.engine.backends import open_session
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.presets import resolve_options
from cyclorama.export import ExportFailed, export_checkpoint, verification
from cyclorama.export.lora import fuse_lora
from cyclorama.export.source import load_pipeline
from cyclorama.models.store import verify
from tests.checkpoints import copy_nano, make_checkpoint, make_tiny_vae
from tests.conftest import NANO_CHECKPOINT, PHOTOS, ROOT
from tests.hub import Hub, serve

SIZE = (128, 96)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest checkpoint there is."""
    return make_checkpoint(tmp_path_factory.mktemp("tiny") / "checkpoint")


def paint(model: Path, **options: Any) -> Image.Image:
    generator = BackgroundGenerator.load(model, exact=True)
    mask = np.zeros((96, 128), np.uint8)
    mask[20:80, 40:90] = 255
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        scene = generator.prepare(photo.resize(SIZE), mask=mask)
    return generator.generate(scene, "a beach", num_inference_steps=2, seed=0, **options).background


def test_manifest_tells_what_was_done(nano_openvino: Path) -> None:
    manifest = json.loads((nano_openvino / "cyclorama.json").read_text())
    assert manifest["name"] == "nano"
    assert manifest["source"] == "checkpoint"
    assert set(manifest["precision"]) == {"text_encoder", "unet", "vae_encoder", "vae_decoder"}
    assert set(manifest["precision"].values()) == {"fp32"}
    assert all(0 <= error < 1e-3 for error in manifest["verification"]["max_relative_error"].values())
    assert manifest["versions"]["torch"].startswith("2.")
    assert manifest["preset"] == "quality"
    assert verify(nano_openvino) == len(manifest["sha256"])


def test_fp16_halves_the_weights_and_still_agrees(nano_onnx: Path, tmp_path: Path) -> None:
    half = export_checkpoint(NANO_CHECKPOINT, tmp_path / "half", format="onnx", precision="fp16", name="nano")
    sizes = [(model / "unet" / "model.onnx").stat().st_size for model in (half, nano_onnx)]
    assert sizes[0] < 0.55 * sizes[1]
    difference = np.abs(np.asarray(paint(half)).astype(int) - np.asarray(paint(nano_onnx)))
    assert difference.max() <= 2  # nano's checkpoint itself is fp16


def test_weights_beside_the_file_are_halved_where_they_lie(tiny: Path, tmp_path: Path) -> None:
    """Checkpoints beyond protobuf's 2 GB keep their weights in a second file."""
    from cyclorama.export.trace import _store_weights_as_fp16

    full = export_checkpoint(tiny, tmp_path / "full", format="onnx", precision="fp32")
    path = tmp_path / "unet" / "model.onnx"
    path.parent.mkdir()
    model = onnx.load(full / "unet" / "model.onnx")
    onnx.save(
        model, path, save_as_external_data=True, location="model.onnx_data", size_threshold=100, convert_attribute=True
    )
    before = (path.parent / "model.onnx_data").stat().st_size
    _store_weights_as_fp16(path)
    assert 0.4 * before < (path.parent / "model.onnx_data").stat().st_size < 0.55 * before
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.onnx", "model.onnx_data"]
    networks = load_pipeline(tiny)[0]
    session = open_session(path, "onnx")
    reference = verification.Reference.of(networks.unet, session, 8)
    assert reference.relative_error(session) < verification.TOLERANCE["fp16"]


def test_an_occupied_folder_is_left_alone(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(InvalidOptions, match="exists already"):
        export_checkpoint(tiny, tmp_path, format="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_disagreement_with_pytorch_leaves_no_folder(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(verification.TOLERANCE, "fp32", 1e-12)
    with pytest.raises(ExportFailed, match=r"is off by .* of its range against PyTorch"):
        export_checkpoint(tiny, tmp_path / "model", format="onnx", precision="fp32")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_refused(tiny: Path, tmp_path: Path) -> None:
    pipeline, _ = load_pipeline(tiny)
    pipeline.unet.conv_out.bias[0] = float("nan")
    pipeline.save_pretrained(tmp_path / "checkpoint")
    with pytest.raises(ExportFailed, match="the unet gives values that are not finite"):
        export_checkpoint(tmp_path / "checkpoint", tmp_path / "model", format="onnx")
    with pytest.raises(InvalidOptions, match="scale of the LoRA"):
        fuse_lora(pipeline, "lora.safetensors", float("nan"))


def test_folders_that_cannot_be_written(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match=r"cannot write .*/file/model"):
        export_checkpoint(tiny, tmp_path / "file" / "model", format="onnx")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidOptions, match="exists already"):
        export_checkpoint(tiny, ".", format="onnx")
    with pytest.raises(InvalidOptions, match="precision must be one of fp32, fp16"):
        export_checkpoint(tiny, tmp_path / "model", precision="int4")  # type: ignore[arg-type]


@pytest.mark.parametrize("free", [0, 10**9])
def test_what_a_library_raises_is_one_line(
    free: int, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO on a full disk: RuntimeError, basic_ios::clear."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("basic_ios::clear: iostream error\nsecond line")

    monkeypatch.setattr("cyclorama.export.exporter.trace", fail)
    monkeypatch.setattr("cyclorama.export.exporter.shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(ExportFailed if free else CannotWrite, match="basic_ios" if free else "no space left") as error:
        export_checkpoint(tiny, tmp_path / "model", format="openvino")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_sdxl_is_refused(tiny: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "xl"))
    config = json.loads((folder / "unet" / "config.json").read_text())
    config |= {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 24,
    }
    (folder / "unet" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExportFailed, match=r"SDXL|cannot be read"):
        load_pipeline(folder)


def test_a_network_unlike_its_config_is_a_bad_model(tiny: Path, tmp_path: Path) -> None:
    model = export_checkpoint(tiny, tmp_path / "model", format="onnx")
    config = json.loads((model / "unet" / "config.json").read_text())
    for key, value, says in (("in_channels", 4, "takes 9 channels"), ("time_cond_proj_dim", 8, "timestep_cond")):
        (model / "unet" / "config.json").write_text(json.dumps({**config, key: value}))
        with pytest.raises(BadModel, match=says):
            BackgroundGenerator.load(model)
    shutil.copy(model / "vae_encoder" / "model.onnx", model / "unet" / "model.onnx")
    with pytest.raises(BadModel, match="only Stable Diffusion"):
        BackgroundGenerator.load(model)


def test_an_interrupted_export_leaves_nothing_that_loads(tiny: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from cyclorama.export import export_checkpoint\n"
        "export_checkpoint(sys.argv[1], sys.argv[2], format='onnx', progress=lambda s: print(s, flush=True))"
    )
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(tiny), str(tmp_path / "model")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("exporting vae_encoder"):
            os.kill(child.pid, signal.SIGKILL)
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    time.sleep(0.1)
    assert not (tmp_path / "model").exists()
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    with pytest.raises(BadModel):
        ModelFolder(left[0])
    export_checkpoint(tiny, tmp_path / "model", format="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_sources_that_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ExportFailed, match=r"no \.safetensors file that can be read"):
        load_pipeline(tmp_path / "text.safetensors")
    save_file({"lora_unet_down.lora_up.weight": torch.zeros(1)}, tmp_path / "lora.safetensors")
    with pytest.raises(ExportFailed, match="is it a LoRA"):
        load_pipeline(tmp_path / "lora.safetensors")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExportFailed, match=r"no model_index\.json"):
        load_pipeline(tmp_path / "empty")
    damaged = copy_nano(tmp_path / "damaged")
    (damaged / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ExportFailed, match="cannot be read as a Stable Diffusion checkpoint") as error:
        load_pipeline(damaged)
    assert "\n" not in str(error.value)
    with pytest.raises(ExportFailed, match="takes 8 channels"):
        load_pipeline(make_checkpoint(tmp_path / "ip2p", in_channels=8))


def test_half_precision_twins_are_read(tiny: Path, tmp_path: Path) -> None:
    """Repositories often hold `*.fp16.safetensors` only, or beside the full ones."""
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(tiny, torch_dtype=torch.float16)
    pipeline.save_pretrained(tmp_path / "fp16", variant="fp16")
    loaded, _ = load_pipeline(tmp_path / "fp16")
    assert loaded.unet.dtype == loaded.vae.dtype == loaded.text_encoder.dtype == torch.float32


def test_tiny_vae_takes_the_vae_s_place(tiny: Path, tmp_path: Path) -> None:
    make_tiny_vae().save_pretrained(tmp_path / "taesd")
    model = export_checkpoint(tiny, tmp_path / "model", format="onnx", tiny_vae=tmp_path / "taesd")
    folder = ModelFolder(model)
    assert folder.scaling_factor == 1.0
    assert folder.vae_scale_factor == 8
    assert paint(model).size == SIZE
    with pytest.raises(ExportFailed, match="is no tiny VAE"):
        export_checkpoint(tiny, tmp_path / "other", format="onnx", tiny_vae=tiny / "vae")


# --- LoRA


def lora_layers(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Every kind of layer that LCM-LoRA touches: attention, feed-forward, time embedding, convolutions."""
    wanted = re.compile(
        r"to_q$|to_out\.0$|ff\.net\.2$|conv1$|conv_shortcut$|time_emb_proj$|downsamplers\.0\.conv$|proj_in$"
    )
    return {
        name: module
        for name, module in pipeline.unet.named_modules()
        if wanted.search(name) and isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }


def make_lora(pipeline: Any, layout: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A random LoRA in one of three key formats, and the change of weight that it stands for."""
    generator = torch.Generator().manual_seed(1)
    tensors: dict[str, torch.Tensor] = {}
    changes: dict[str, torch.Tensor] = {}
    for index, (name, module) in enumerate(lora_layers(pipeline).items()):
        rank, alpha = 2 + index % 3, 1.0 + index % 4
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        down = torch.randn(rank, *weight.shape[1:], generator=generator) * 0.1
        up = torch.randn(weight.shape[0], rank, *(1,) * (weight.dim() - 2), generator=generator) * 0.1
        scale = alpha / rank
        if layout == "kohya":
            key = "lora_unet_" + name.replace(".", "_")
            tensors |= {
                f"{key}.lora_down.weight": down,
                f"{key}.lora_up.weight": up,
                f"{key}.alpha": torch.tensor(alpha),
            }
        else:
            roles = ("lora_A", "lora_B") if layout == "peft" else ("lora.down", "lora.up")
            tensors |= {f"unet.{name}.{roles[0]}.weight": down, f"unet.{name}.{roles[1]}.weight": up}
            scale = 1.0
        changes[name] = scale * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    return {key: value.contiguous() for key, value in tensors.items()}, changes


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("layout", ["kohya", "peft", "diffusers"])
def test_lora_changes_each_weight_as_the_formula_says(layout: str, scale: float, tiny: Path, tmp_path: Path) -> None:
    pipeline, _ = load_pipeline(tiny)
    before = {name: layer.weight.detach().clone() for name, layer in lora_layers(pipeline).items()}  # type: ignore[operator]
    tensors, changes = make_lora(pipeline, layout)
    assert len(changes) >= 10
    assert {value.dim() for value in changes.values()} == {2, 4}
    save_file(tensors, tmp_path / "lora.safetensors")
    fuse_lora(pipeline, str(tmp_path / "lora.safetensors"), scale)
    after = {name: layer.weight for name, layer in lora_layers(pipeline).items()}
    assert after.keys() == before.keys()
    for name, change in changes.items():
        torch.testing.assert_close(after[name], before[name] + scale * change, atol=1e-5, rtol=1e-4)


def test_lora_of_another_model_is_refused_whole(tiny: Path, tmp_path: Path) -> None:
    pipeline, _ = load_pipeline(tiny)
    tensors, _ = make_lora(load_pipeline(NANO_CHECKPOINT)[0], "kohya")
    save_file(tensors, tmp_path / "lora.safetensors")
    with pytest.raises(ExportFailed, match="does not fit this model"):
        fuse_lora(pipeline, str(tmp_path / "lora.safetensors"))
    with pytest.raises(ExportFailed, match=r"no LoRA file nothing; give .* lcm-lora-sd15"):
        fuse_lora(pipeline, "nothing")
    save_file({"lora_unet_conv_in.hada_w1_a": torch.zeros(1)}, tmp_path / "loha.safetensors")
    with pytest.raises(ExportFailed, match="only plain LoRA layers"):
        fuse_lora(pipeline, str(tmp_path / "loha.safetensors"))
    tensors, _ = make_lora(pipeline, "kohya")
    tensors.popitem()
    wrong = {key: value for key, value in tensors.items() if not key.endswith("conv1.lora_up.weight")}
    save_file(wrong, tmp_path / "half.safetensors")
    before = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}
    with pytest.raises(ExportFailed, match="half of a pair is missing"):
        fuse_lora(pipeline, str(tmp_path / "half.safetensors"))
    for name, value in pipeline.unet.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_lora_of_the_text_encoder_and_of_attention_processors(tiny: Path, tmp_path: Path) -> None:
    pipeline, _ = load_pipeline(tiny)
    layer = pipeline.text_encoder.text_model.encoder.layers[0].self_attn.q_proj
    out = pipeline.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_out[0]
    width, inner = layer.weight.shape[0], out.weight.shape[0]
    pairs = {
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.{}.weight": (layer, width),
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.{}.weight": (out, inner),
    }
    before = [module.weight.clone() for module, _ in pairs.values()]
    tensors: dict[str, torch.Tensor] = {}
    for key, (_, size) in pairs.items():
        tensors |= {key.format("down"): torch.full((1, size), 0.5), key.format("up"): torch.ones(size, 1)}
    save_file(tensors, tmp_path / "lora.safetensors")
    fuse_lora(pipeline, str(tmp_path / "lora.safetensors"))
    for old, (module, _) in zip(before, pairs.values(), strict=True):
        torch.testing.assert_close(module.weight, old + 0.5)


def test_lcm_lora_of_the_catalogue_makes_a_fast_model(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, _ = make_lora(load_pipeline(tiny)[0], "kohya")
    repository = tmp_path / "hub"
    repository.mkdir()
    save_file(tensors, repository / "pytorch_lora_weights.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with serve(Hub({"latent-consistency/lcm-lora-sdv1-5": repository})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        model = export_checkpoint(tiny, tmp_path / "model", format="onnx", loras=[("lcm-lora-sd15", 0.8)])
    folder = ModelFolder(model)
    assert folder.distillation == "lcm"
    assert folder.manifest["loras"] == [{"source": "lcm-lora-sd15", "scale": 0.8}]
    options = resolve_options(folder, "a beach")
    assert (options.sampler, options.num_inference_steps, options.guidance_scale) == ("lcm", 4, 1.0)
    assert paint(model).size == SIZE
    plain = export_checkpoint(tiny, tmp_path / "plain", format="onnx", distilled="tcd")
    assert ModelFolder(plain).distillation == "tcd"


# --- Single files in the original layout

_RESNET = {"in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
           "out_layers.3": "conv2", "skip_connection": "conv_shortcut"}  # fmt: skip


def original_layout(checkpoint: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors under the names of the original Stable Diffusion code."""
    unet = load_file(checkpoint / "unet" / "diffusion_pytorch_model.safetensors")
    vae = load_file(checkpoint / "vae" / "diffusion_pytorch_model.safetensors")
    text = load_file(checkpoint / "text_encoder" / "model.safetensors")
    out = {f"model.diffusion_model.{_unet_name(key)}": value for key, value in unet.items()}
    for key, value in vae.items():
        name = _vae_name(key)
        is_attention = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name)
        out[f"first_stage_model.{name}"] = value[:, :, None, None] if is_attention else value
    out |= {f"cond_stage_model.transformer.{key}": value for key, value in text.items()}
    return {key: value.float().contiguous() for key, value in out.items()}


def _unet_name(key: str) -> str:
    """For UNets of two levels with one layer each."""
    for theirs, ours in _RESNET.items():
        key = re.sub(rf"(resnets\.\d)\.{ours}\.", rf"\1.{theirs}.", key)
    rules = {
        r"^time_embedding\.linear_1": "time_embed.0", r"^time_embedding\.linear_2": "time_embed.2",
        r"^conv_in": "input_blocks.0.0", r"^conv_norm_out": "out.0", r"^conv_out": "out.2",
        r"^down_blocks\.0\.resnets\.0": "input_blocks.1.0", r"^down_blocks\.0\.attentions\.0": "input_blocks.1.1",
        r"^down_blocks\.0\.downsamplers\.0\.conv": "input_blocks.2.0.op",
        r"^down_blocks\.1\.resnets\.0": "input_blocks.3.0",
        r"^mid_block\.resnets\.0": "middle_block.0", r"^mid_block\.attentions\.0": "middle_block.1",
        r"^mid_block\.resnets\.1": "middle_block.2",
        r"^up_blocks\.0\.resnets\.(\d)": r"output_blocks.\1.0",
        r"^up_blocks\.0\.upsamplers\.0": "output_blocks.1.1",
        r"^up_blocks\.1\.resnets\.0": "output_blocks.2.0", r"^up_blocks\.1\.attentions\.0": "output_blocks.2.1",
        r"^up_blocks\.1\.resnets\.1": "output_blocks.3.0", r"^up_blocks\.1\.attentions\.1": "output_blocks.3.1",
    }  # fmt: skip
    return _renamed(key, rules)


def _vae_name(key: str) -> str:
    for index in range(4):
        key = key.replace(f"decoder.up_blocks.{index}.", f"decoder.up.{3 - index}.")
    rules = {
        r"encoder\.down_blocks\.(\d)\.resnets\.(\d)": r"encoder.down.\1.block.\2",
        r"encoder\.down_blocks\.(\d)\.downsamplers\.0": r"encoder.down.\1.downsample",
        r"decoder\.up\.(\d)\.resnets\.(\d)": r"decoder.up.\1.block.\2",
        r"decoder\.up\.(\d)\.upsamplers\.0": r"decoder.up.\1.upsample",
        r"mid_block\.resnets\.0": "mid.block_1", r"mid_block\.resnets\.1": "mid.block_2",
        r"mid_block\.attentions\.0\.group_norm": "mid.attn_1.norm", r"mid_block\.attentions\.0\.to_q": "mid.attn_1.q",
        r"mid_block\.attentions\.0\.to_k": "mid.attn_1.k", r"mid_block\.attentions\.0\.to_v": "mid.attn_1.v",
        r"mid_block\.attentions\.0\.to_out\.0": "mid.attn_1.proj_out",
        r"conv_norm_out": "norm_out", r"conv_shortcut": "nin_shortcut",
    }  # fmt: skip
    return _renamed(key, rules, every=True)


def _renamed(key: str, rules: dict[str, str], every: bool = False) -> str:
    for pattern, replacement in rules.items():
        if re.search(pattern, key):
            key = re.sub(pattern, replacement, key)
            if not every:
                return key
    return key


def test_single_file_in_the_original_layout(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights from the file; configs and tokenizer from the hub's repository of that kind."""
    save_file(original_layout(tiny), tmp_path / "single.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with serve(Hub({"stable-diffusion-v1-5/stable-diffusion-inpainting": tiny})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        loaded, _ = load_pipeline(tmp_path / "single.safetensors")
        assert not [name for name in hub.served if name.endswith(".safetensors")]
        model = export_checkpoint(tmp_path / "single.safetensors", tmp_path / "model", format="onnx")
    reference, _ = load_pipeline(tiny)
    for part in ("unet", "vae", "text_encoder"):
        ours, theirs = (getattr(pipeline, part).state_dict() for pipeline in (loaded, reference))
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, msg=f"{part}.{key}")
    assert paint(model).size == SIZE


# --- Beside the other tools of the same folder format, which know no AutoencoderTiny such as nano's


@pytest.fixture(scope="module")
def kl_openvino(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_checkpoint(tiny, tmp_path_factory.mktemp("kl") / "openvino", format="openvino")


@pytest.mark.parametrize("format", ["openvino", "onnx"])
def test_folders_of_optimum_cli_run_unchanged(format: str, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    command = [str(Path(sys.executable).parent / "optimum-cli"), "export", format, "--model", str(tiny)]
    command += ["--task", "inpainting"] if format == "openvino" else ["--task", "text-to-image"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert BackgroundGenerator.load(folder).backend == format
    mine = tmp_path / "mine"
    export_checkpoint(tiny, mine, format="onnx")
    difference = np.asarray(paint(folder)).astype(int) - np.asarray(paint(mine))
    assert np.abs(difference).mean() < 1


def test_runs_in_openvino_genai(kl_openvino: Path) -> None:
    genai = pytest.importorskip("openvino_genai")
    import openvino as ov

    pipeline = genai.InpaintingPipeline(str(kl_openvino), "CPU")
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        image = np.asarray(photo.resize(SIZE))[None]
    mask = np.full((1, SIZE[1], SIZE[0], 3), 255, np.uint8)
    mask[:, 30:60, 40:80] = 0
    painted = pipeline.generate(
        "a beach", ov.Tensor(image), ov.Tensor(mask), num_inference_steps=2, width=SIZE[0], height=SIZE[1], strength=1.0
    )
    assert np.asarray(painted.data).shape == (1, SIZE[1], SIZE[0], 3)


def test_runs_in_optimum_intel(kl_openvino: Path, tmp_path: Path) -> None:
    from optimum.intel import OVStableDiffusionInpaintPipeline

    folder = Path(shutil.copytree(kl_openvino, tmp_path / "model"))  # it writes a cache into the folder
    pipeline = OVStableDiffusionInpaintPipeline.from_pretrained(folder, compile=True)
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        image = photo.resize(SIZE)
    painted = pipeline(
        "a beach",
        image=image,
        mask_image=Image.new("L", SIZE, 255),
        num_inference_steps=2,
        width=SIZE[0],
        height=SIZE[1],
    ).images[0]
    assert painted.size == SIZE
